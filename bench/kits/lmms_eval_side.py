"""lmms-eval's side of `eval_vs_kits.py`: its own evaluator, task functions and generic Hugging Face model class.

    python lmms_eval_side.py JOB.json      (with an interpreter that has lmms-eval)

The task is the kit's `mmbench_en_dev_static` read from a local file. The model is the kit's `huggingface` chat model,
loaded in fp32 on the CPU, which its constructor cannot be told. Writes what `sides.py` reads.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers
from lmms_eval import evaluator
from lmms_eval.models.chat.huggingface import Huggingface
from lmms_eval.tasks import TaskManager
from transformers import AutoModelForImageTextToText

JOB: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())

TASK = "mmbench_zoo"
YAML = """
task: {task}
dataset_path: parquet
dataset_kwargs: {{data_files: {{dev: {data}}}}}
test_split: dev
output_type: generate_until
doc_to_visual: !function zoo_utils.mmbench_doc_to_visual
doc_to_text: !function zoo_utils.mmbench_doc_to_text
doc_to_target: answer
process_results: !function zoo_utils.mmbench_process_results
lmms_eval_specific_kwargs:
  default: {{pre_prompt: "", post_prompt: "\\nAnswer with the option's letter from the given choices directly."}}
generation_kwargs:
  {{until: ["ASSISTANT:"], max_new_tokens: {tokens}, temperature: 0, top_p: 1.0, num_beams: 1, do_sample: false}}
metric_list:
  - metric: gpt_eval_score
    aggregation: !function zoo_utils.mmbench_aggregate_dev_results_static
    higher_is_better: true
"""
"""The kit's own `_default_template_mmbench_en_yaml`, but for the data and the length of a reply."""


class Processor:
    """The checkpoint's own, without the empty lists of media that the kit hands it and that it refuses by now."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, **given: Any) -> Any:
        return self._processor(**{key: value for key, value in given.items() if value != []})


class Model(Huggingface):
    """The kit's class, in fp32 on the CPU. Notes when each reply was there."""

    def __init__(self, folder: str) -> None:
        super().__init__(pretrained=folder, device="cpu", device_map="cpu", batch_size=1)
        self._model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = Processor(self.processor)
        self.times: list[tuple[float, float]] = []
        self.prompts: list[str] = []
        generate, write = self._model.generate, self.processor.apply_chat_template

        def noted(*args, **kwargs):
            out = generate(*args, **kwargs)
            self.times.append((time.perf_counter(), time.process_time()))
            return out

        def written(messages, *args, **kwargs):
            self.prompts.append(messages[-1]["content"][-1]["text"])
            return write(messages, *args, **kwargs)

        self._model.generate, self.processor.apply_chat_template = noted, written


def main() -> None:
    torch.set_num_threads(JOB["threads"])
    work = Path(JOB["work"])
    (work / "zoo_utils.py").write_text("from lmms_eval.tasks.mmbench.en_utils import *\n")
    (work / f"{TASK}.yaml").write_text(YAML.format(task=TASK, data=JOB["parquet"], tokens=JOB["tokens"]))
    model = Model(JOB["checkpoint"])
    tasks = TaskManager("ERROR", include_path=str(work), include_defaults=False)
    results = evaluator.simple_evaluate(
        model, tasks=[TASK], task_manager=tasks, batch_size=1, log_samples=True, bootstrap_iters=0
    )
    samples = results["samples"][TASK]
    replies = {str(s["doc"]["index"]): s["filtered_resps"][0] for s in samples}
    order = [str(s["doc"]["index"]) for s in sorted(samples, key=lambda s: s["doc_id"])]
    Path(JOB["out"]).write_text(
        json.dumps(
            {
                "replies": replies,
                "prompts": dict(zip(order, model.prompts, strict=True)),
                "times": model.times,
                "versions": {
                    "lmms_eval": version("lmms_eval"),
                    "torch": torch.__version__,
                    "transformers": transformers.__version__,
                    "processor": type(model.processor.image_processor).__name__,
                },
            }
        )
    )


if __name__ == "__main__":
    main()
