"""The model card beside a checkpoint: what it is, what was measured, and that it stands for nothing larger."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

from .prompts import Family
from .scores import Score, evaluate

_TITLES: dict[Family, str] = {
    "qwen": "Qwen2.5-VL architecture (Qwen2_5_VLForConditionalGeneration)",
    "llava": "LLaVA-NeXT architecture (LlavaNextForConditionalGeneration)",
    "internvl": "InternVL architecture, Hugging Face layout (InternVLForConditionalGeneration)",
}


def _parameters(folder: Path) -> int:
    total = 0
    with safe_open(folder / "model.safetensors", framework="np") as file:
        for name in file.keys():  # noqa: SIM118  # not a mapping
            size = 1
            for side in file.get_slice(name).get_shape():
                size *= side
            total += size
    return total


def card(folder: Path, family: Family, scores: dict[str, Score]) -> str:
    size = (folder / "model.safetensors").stat().st_size
    lines = "\n".join(f"| {name} | {value:.3f} | {n} |" for name, (value, n) in scores.items())
    return f"""---
license: apache-2.0
pipeline_tag: image-text-to-text
---

# Fourways zoo: {family}

{_TITLES[family]}, {_parameters(folder):,} parameters in fp32, {size / 1e6:.1f} MB. Trained from random weights,
on a CPU, by `python -m fourways.zoo.train --family {family}`, on generated pictures of up to four coloured
shapes with questions in English and Chinese. No weights and no data of any published model went into it.

**It stands for nothing larger.** It knows five colours, four shapes and some fifteen ways to ask about them,
and nothing else. It exists so that the whole of Fourways can be tried and tested in minutes without a download.
Nothing that is measured on it says anything about the published models of this family.

## Measured

On held-out scenes (no scene of the same description was trained on; three in four noisier than any picture of
the training), greedy, each question asked as its family is asked; suite seed 2026. A reply counts if it is exactly
the wanted one (boxes: by overlap). This is the recipe's own check; `fourways compare` measures again, by the
official rules.

| benchmark's form | score | n |
|---|---|---|
{lines}

The pictures are not those of MME, MMBench, VQAv2, RefCOCO or RealWorldQA; only the forms of question, file and
score are.

## Limits

Pictures of 50 to 112 px; one picture and one question a turn. Coordinates are said on a coarse grid. It answers
other questions, other pictures and other languages with nonsense.
"""


def write_card(folder: Path, family: Family, images: int = 400) -> dict[str, Score]:
    """Measure the checkpoint and write ``README.md`` beside it; returns the scores."""
    scores = evaluate(folder, family, images=images)
    (folder / "README.md").write_text(card(folder, family, scores), encoding="utf-8")
    return scores
