"""Fine-tuning: labelled examples in, a LoRA adapter folder out, through PEFT, on the family's own forward path.

The loss that is minimised is the likelihood of the answer under the very layout, features, embeddings and forward pass
that the engine answers with. Never evaluates (the engine does), never touches the base weights, reads no benchmark.

Public face: `examples.Example`, `recipe.Recipe`, `lora.LoraRun`, `targets.match_targets`, `folder.read_manifest`.
"""
