"""A forecast as tables, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from rich.console import RenderableType
from rich.table import Table

from fourways.axes.prediction import Ask, Card, Forecast, Workload, fits, needed_bytes

GIB, MIB = 1 << 30, 1 << 20
_NOTE = (
    "A peak holds all that is alive then: the weights; keys and values of {all}, prompt and answer; and activations, "
    "which come and go. {together} at once for vision and prefill, as the local engine does (4,096 tokens together, or "
    "one longer request). Not in it: that engine's caches of features and prefixes (0.75 GiB at most), and that its "
    "store of keys and values grows by doubling: up to twice the requests and tokens, the old one beside the new."
)
_TRAIN_NOTE = (
    "The second step of a fine-tune by Fourways' recipe: frozen tower, no gradient checkpointing; the features of a "
    "whole data set come on top."
)
_CUDA_NOTE = (
    "Allocated bytes on CUDA: tensors in the allocator's blocks. A card must also hold 0.75 GiB (context, workspaces) "
    "and 3 % of what comes and goes (fragments)."
)


def tables(
    model: str,
    ask: Ask,
    workload: Workload,
    forecast: Forecast,
    cards: Sequence[Card],
    card: Card | None,
    limits: dict[str, int | None] | None,
) -> list[RenderableType]:
    """What `fourways memory` prints."""
    shown: list[RenderableType] = [
        _title(model, ask, workload, forecast),
        _weights(forecast, ask.train),
        _stages(forecast),
    ]
    shown.append(_TRAIN_NOTE if ask.train else _serving_note(workload.batch, forecast.together))
    if ask.target == "cuda":
        shown += [_CUDA_NOTE, _cards(forecast, cards)]
    else:
        shown.append("Live tensor bytes on the CPU, weights included.")
    if card is not None and limits is not None:
        shown.append(_limits(card, limits))
    return shown


def as_json(
    model: str,
    ask: Ask,
    workload: Workload,
    forecast: Forecast,
    cards: Sequence[Card],
    card: Card | None,
    limits: dict[str, int | None] | None,
) -> str:
    """One object; sizes in bytes."""
    found = {
        "schema": "fourways.memory/v1",
        "model": model,
        "dtype": ask.dtype,
        "device": ask.target,
        "quantization": ask.quantization,
        "kv_quantization": ask.kv_quantization,
        "lora": ask.lora,
        "train": ask.train,
        "images": workload.images,
        "batch": workload.batch,
        "new_tokens": workload.new_tokens,
        "prefill_tokens": None if ask.train else workload.prefill_tokens,
        "forecast": forecast,
        "cards": [
            {
                "gigabytes": one.gigabytes,
                "example": one.example,
                "usable_bytes": one.usable_bytes,
                "needed_bytes": _needed(forecast),
                "fits": fits(forecast, one),
            }
            for one in cards
            if ask.target == "cuda"
        ],
        "largest": None if card is None else {"card_gigabytes": card.gigabytes, **(limits or {})},
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def _title(model: str, ask: Ask, workload: Workload, forecast: Forecast) -> str:
    counts = ", ".join(
        f"{workload.images.count(size)} of {size[0]}×{size[1]} px" for size in dict.fromkeys(workload.images)
    )
    forms: list[str] = [ask.dtype]
    forms += [f"{ask.quantization} weights"] if ask.quantization else []
    forms += [f"{ask.kv_quantization} keys and values"] if ask.kv_quantization else []
    forms += [f"LoRA r={ask.lora.rank} on {ask.lora.targets}"] if ask.lora else []
    work = "a training step of " if ask.train else ""
    each = f"{counts}; {forecast.visual_tokens:,} visual tokens, context {forecast.context:,}"
    return f"{model} · {', '.join(forms)} · {work}{workload.batch} × ({each})"


def _serving_note(batch: int, together: int) -> str:
    every = "the request" if batch == 1 else f"all {batch} requests"
    group = "One request" if together == 1 else f"{together} requests"
    return _NOTE.format(all=every, together=group)


def _weights(forecast: Forecast, train: bool) -> Table:
    """A training step keeps no keys and values."""
    unit, write = _in_unit(forecast.weights_bytes)
    table = Table(title="Weights" if train else "Weights, and keys and values", title_justify="left")
    table.add_column("part")
    table.add_column(unit, justify="right")
    for part, size in forecast.parts.items():
        table.add_row(part, write(size) if size else "tied")
    table.add_row("all weights", write(forecast.weights_bytes), style="bold")
    if forecast.lora_parameters:
        table.add_row(f"LoRA, {forecast.lora_parameters:,} parameters", write(forecast.lora_bytes))
    if not train:
        table.add_row(f"keys and values, {forecast.kv_bytes_per_token:,} bytes a token", write(forecast.kv_bytes))
    return table


def _stages(forecast: Forecast) -> Table:
    names = list(dict.fromkeys(name for stage in forecast.stages for name in stage.shares))
    unit, write = _in_unit(forecast.peak.peak_bytes)
    table = Table(title=f"Peak of each stage, {unit}", title_justify="left")
    table.add_column("stage")
    for name in (*names, "peak"):
        table.add_column(name, justify="right")
    for stage in forecast.stages:
        shares = [write(stage.shares[name]) if name in stage.shares else "–" for name in names]
        style = "bold" if stage is forecast.peak else ""
        table.add_row(stage.stage.replace("_", " "), *shares, write(stage.peak_bytes), style=style)
    return table


def _cards(forecast: Forecast, cards: Sequence[Card]) -> Table:
    table = Table(title=f"Fits on (needs {_gib(_needed(forecast))} GiB, reserve included)", title_justify="left")
    table.add_column("card")
    table.add_column("for example")
    table.add_column("usable GiB", justify="right")
    table.add_column("fits")
    table.add_column("left GiB", justify="right")
    for card in cards:
        left = card.usable_bytes - _needed(forecast)
        table.add_row(
            f"{card.gigabytes} GB", card.example, _gib(card.usable_bytes), "yes" if left >= 0 else "no", _gib(left)
        )
    return table


def _limits(card: Card, limits: dict[str, int | None]) -> Table:
    table = Table(title=f"The most that fits {card.gigabytes} GB, the rest as asked", title_justify="left")
    table.add_column("what")
    table.add_column("largest", justify="right")
    unit = {"batch": "requests at once", "context": "tokens of context", "image_side": "px, side of square pictures"}
    for name, most in limits.items():
        table.add_row(unit[name], "none fits" if most is None else f"{most:,}")
    return table


def _needed(forecast: Forecast) -> int:
    return needed_bytes(forecast.peak.peak_bytes, forecast.weights_bytes)


def _in_unit(largest: int) -> tuple[str, Callable[[int], str]]:
    """The unit of a table whose largest size this is, and how sizes are written in it."""
    return ("GiB", _gib) if largest >= GIB else ("MiB", lambda size: f"{size / MIB:.2f}")


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}"
