"""VLMEvalKit's side of `eval_vs_kits.py`: its own data set class, prompt and inference job, on a thin model class.

    python vlmevalkit_side.py JOB.json      (with an interpreter that has VLMEvalKit)

The kit's own classes of these families ask for a CUDA device, so the model is a `BaseModel` of ours that does what its
classes for transformers do: open the file, chat template, processor, `generate`. Writes what `sides.py` reads.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers
import vlmeval
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from vlmeval.dataset import build_dataset
from vlmeval.inference import infer_data_job
from vlmeval.smp import get_pred_file_path, load
from vlmeval.vlm.base import BaseModel

JOB: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())

DATASET = "MMBench_zoo"


class Model(BaseModel):
    """Notes when each reply was there."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(folder)
        self.times: list[tuple[float, float]] = []
        self.prompts: list[str] = []

    def generate_inner(self, message, dataset=None):
        content = [{"type": "image"} if m["type"] == "image" else {"type": "text", "text": m["value"]} for m in message]
        images = [Image.open(m["value"]).convert("RGB") for m in message if m["type"] == "image"]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        inputs = self.processor(text=[text], images=images, return_tensors="pt")
        out = self.model.generate(**inputs, do_sample=False, max_new_tokens=JOB["tokens"])
        reply = self.processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        self.prompts.append(message[-1]["value"])
        self.times.append((time.perf_counter(), time.process_time()))
        return reply


def main() -> None:
    torch.set_num_threads(JOB["threads"])
    work = Path(JOB["work"])
    (work / f"{DATASET}.tsv").symlink_to(JOB["tsv"])
    dataset = build_dataset(DATASET)
    model = Model(JOB["checkpoint"])
    infer_data_job(model, work_dir=str(work), model_name="zoo", dataset=dataset)
    answered = load(get_pred_file_path(str(work), "zoo", DATASET, use_env_format=True))
    # An empty reply comes back from the kit's table as not a number.
    texts = ["" if text != text else str(text) for text in answered["prediction"]]
    replies = dict(zip(map(str, answered["index"]), texts, strict=True))
    order = [str(index) for index in dataset.data["index"]]
    Path(JOB["out"]).write_text(
        json.dumps(
            {
                "replies": replies,
                "prompts": dict(zip(order, model.prompts, strict=True)),
                "times": model.times,
                "versions": {
                    "vlmevalkit": vlmeval.__version__,
                    "torch": torch.__version__,
                    "transformers": transformers.__version__,
                    "processor": type(model.processor.image_processor).__name__,
                },
            }
        )
    )


if __name__ == "__main__":
    main()
