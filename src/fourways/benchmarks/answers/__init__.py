"""How a kind of answer is asked for, read from a reply and scored, where several benchmarks do it alike.

It must never open a file. One file a kind: `choice` (letters), `yes_no`, `short_answers`, `vqa_answers` (the VQA
normalisation), `boxes` (declared formats ↔ pixels); `scoring`: rows to the parts of a metric."""
