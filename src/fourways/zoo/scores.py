"""The recipe's own check: a checkpoint's scores on the held-out suite, for the model card. ``compare`` measures
again, by its own path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForImageTextToText, PreTrainedModel
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

from . import suite
from .batches import Batch, Sample, collate
from .joint import batch_features
from .language import language_model, reply_loss
from .pictures import pixels, processor
from .prompts import Family, parse_box
from .questions import Asked
from .scenes import Box, Scene, render
from .suite_files import rotations
from .tokens import END, build, token_id

Score = tuple[float, int]
"""A mean and how many it is of."""


def iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


class Judge:
    """One checkpoint under test."""

    def __init__(self, folder: Path, family: Family) -> None:
        self._family = family
        self._model: PreTrainedModel = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
        self._language: Qwen2_5_VLTextModel = language_model()
        for part in (self._model, self._language):
            nn.Module.train(part, False)
        inner: Any = self._model
        self._language.load_state_dict(inner.model.language_model.state_dict())
        self._tokenizer, self._process = build(), processor(family)

    def _batches(self, asked: Sequence[tuple[Scene, Asked]], size: int) -> list[tuple[Batch, torch.Tensor]]:
        out = []
        for start in range(0, len(asked), size):
            part = asked[start : start + size]
            samples = [Sample(i, scene, question, self._family) for i, (scene, question) in enumerate(part)]
            seen = [pixels(render(scene), self._family, self._process) for scene, _ in part]
            batch = collate(samples, self._tokenizer)
            out.append((batch, batch_features(self._model, self._family, batch, seen)))
        return out

    @torch.inference_mode()
    def right(self, asked: Sequence[tuple[Scene, Asked]]) -> list[bool]:
        """Whether the greedy reply is exactly the wanted one."""
        return [ok for b, v in self._batches(asked, 64) for ok in reply_loss(self._language, b, v)[1].tolist()]

    @torch.inference_mode()
    def overlaps(self, asked: Sequence[tuple[Scene, Asked]]) -> list[float]:
        """IoU of the box in the greedy reply with the true one."""
        out: list[float] = []
        for batch, visual in self._batches(asked, 64):
            replies = self._generate(batch, visual, 20)
            for sample, reply in zip(batch.samples, replies, strict=True):
                box = parse_box(self._family, reply, sample.scene)
                assert sample.asked.thing is not None
                out.append(iou(box, sample.scene.box_px(sample.asked.thing)) if box else 0.0)
        return out

    def _generate(self, batch: Batch, visual: torch.Tensor, most: int) -> list[str]:
        ids, positions = batch.ids.clone(), batch.positions.clone()
        ends = (batch.weight > 0).int().argmax(1)
        rows = torch.arange(len(ends))
        for step in range(most):
            embeds = self._language.embed_tokens(ids).masked_scatter(batch.visual.unsqueeze(-1), visual)
            hidden = self._language(inputs_embeds=embeds, position_ids=positions, use_cache=False).last_hidden_state
            at = ends + step
            if int(at.max()) + 1 >= ids.shape[1]:
                break
            ids[rows, at + 1] = (hidden[rows, at] @ self._language.embed_tokens.weight.T).argmax(-1)
            positions[:, rows, at + 1] = positions[:, rows, at] + 1
        texts = []
        for row, start in zip(ids.tolist(), ends.tolist(), strict=True):
            reply = row[start + 1 : start + 1 + most]
            end = token_id(self._tokenizer, END)
            texts.append(self._tokenizer.decode(reply[: reply.index(end)] if end in reply else reply))
        return texts


def _mean(values: Sequence[float]) -> Score:
    return sum(values) / len(values), len(values)


def evaluate(folder: Path, family: Family, *, images: int = 300, seed: int = 2026) -> dict[str, Score]:
    """Score a checkpoint: name → (mean, n)."""
    judge, out = Judge(folder, family), dict[str, Score]()
    by_task = suite.mme(seed, images)
    for task, items in by_task.items():
        out[f"mme {task} acc"] = _mean(judge.right([(i.scene, i.asked) for i in items]))
    total = sum(len(items) for items in by_task.values())
    out["mme acc"] = sum(s * n for k, (s, n) in out.items() if k.startswith("mme ")) / total, total
    pairs = suite.mmbench(seed, images)
    for number, language in enumerate(("en", "cn")):
        asked, groups = [], []
        for pair in pairs:
            question = pair[number].asked
            for options, answer in rotations(question.options, question.answer):
                asked.append((pair[number].scene, replace(question, options=options, answer=answer)))
                groups.append(pair[number].image)
        hits: dict[int, list[bool]] = defaultdict(list)
        for group, ok in zip(groups, judge.right(asked), strict=True):
            hits[group].append(ok)
        out[f"mmbench_{language} vanilla"] = _mean([h[0] for h in hits.values()])
        out[f"mmbench_{language} circular"] = _mean([all(h) for h in hits.values()])
    out["vqav2 acc"] = _mean(judge.right([(i.scene, i.asked) for i in suite.vqav2(seed, images, 2)]))
    out["realworldqa acc"] = _mean(judge.right([(i.scene, i.asked) for i in suite.realworldqa(seed, images, 2)]))
    overlaps = judge.overlaps([(i.scene, i.asked) for i in suite.refcoco(seed, images, 2)])
    out["refcoco acc@0.5"] = _mean([o >= 0.5 for o in overlaps])
    out["refcoco mean iou"] = _mean(overlaps)
    return out
