"""`fourways memory`: what a model would need, from its config alone, and which cards it fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError

if TYPE_CHECKING:
    from fourways.axes.prediction import Ask, Card, Forecast, Forecaster, Workload

EXAMPLES = """Examples:

  fourways memory Qwen2.5-VL-7B-Instruct --images 2x1344x1344 --batch 8 --context 8192

  fourways memory InternVL3-8B-hf --quant int4 --kv-quant int8 --card 24GB

  fourways memory Qwen2.5-VL-3B-Instruct --train --lora r=16 --images 640x480 --batch 2

`fourways models` lists the configurations that ship; a folder with config.json or a Hugging Face id will do too."""
_SIZE = re.compile(r"(?:(\d+)x)?(\d+)x(\d+)", re.IGNORECASE)
_MOST_IMAGES, _MOST_PIXELS_A_SIDE = 64, 16_384
_MOST_BATCH = 256
_CONTEXT_STEP = 256
_MOST_SIDE, _SIDE_STEP = 4_480, 112
"""How far, and how finely, `--card` looks."""


def memory(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name, folder or Hugging Face id, as `compare` takes.")
    ],
    images: Annotated[
        str, typer.Option(metavar="[Nx]WxH,…", help="Pictures of one request, in pixels.")
    ] = "1x1344x1344",
    batch: Annotated[
        int, typer.Option(min=1, max=1024, help="Equal requests running at once (with --train: examples a step).")
    ] = 1,
    context: Annotated[
        int | None,
        typer.Option(
            min=1, help="Tokens of each request, answer included; text fills it up. Default: what the pictures need."
        ),
    ] = None,
    new_tokens: Annotated[int, typer.Option(min=2, help="Tokens of the answer.")] = 128,
    dtype: Annotated[str, typer.Option(help="bfloat16, float16 or float32.")] = "bfloat16",
    quant: Annotated[str | None, typer.Option(metavar="int8|int4", help="Weights of the language model.")] = None,
    kv_quant: Annotated[str | None, typer.Option(metavar="int8|int4", help="Keys and values.")] = None,
    lora: Annotated[
        str | None,
        typer.Option(metavar="r=N[,targets=NAME]", help="An adapter; targets: llm. With --train: r=8."),
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Foresee a LoRA training step instead of a request.")] = False,
    visual_tokens: Annotated[int | None, typer.Option(min=1, help="The most that one picture may cost.")] = None,
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    card: Annotated[
        str | None, typer.Option(metavar="24GB", help="Also find the largest batch, context and picture for it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, sizes in bytes.")] = False,
) -> None:
    """Foresee the memory of a model on a workload, stage by stage, from its config: no weights, no GPU."""
    if card is not None and device == "cpu":
        raise UserError("--card: a card's memory is asked about, and --device is cpu", hint="leave one of them out")
    sizes = _images(images)
    with notes().status("reading the model's code …") as status:
        ask_of = _asked(model, dtype, device, quant, kv_quant, lora, train)
        from fourways.axes.prediction import CARDS, Forecaster, Workload, card_named
        from fourways.cli import memory_tables
        from fourways.engines.local.scheduler import MAX_PREFILL_TOKENS

        size = None if card is None else card_named(card)
        workload = Workload(sizes, batch, context, new_tokens, visual_tokens, MAX_PREFILL_TOKENS)
        forecaster = Forecaster(ask_of())
        status.update("foreseeing its stages …")
        forecast = forecaster.foresee(workload)
        limits = None if size is None else _limits(forecaster, workload, size, status.update)
    if json:
        results().file.write(memory_tables.as_json(model, forecaster.ask, workload, forecast, CARDS, size, limits))
        return
    results().print(*memory_tables.tables(model, forecaster.ask, workload, forecast, CARDS, size, limits))


def _asked(
    model: str, dtype: str, device: str, quant: str | None, kv_quant: str | None, lora: str | None, train: bool
) -> Callable[[], Ask]:
    """Checks all words, and finds the model, before what runs models is imported: that takes seconds."""
    from fourways import zoo
    from fourways.cli.choices import DTYPES
    from fourways.hub import resolve

    if dtype not in DTYPES:
        raise UserError(f"--dtype: {dtype!r} is none of {', '.join(DTYPES)}")
    if train and kv_quant is not None:
        raise UserError("--kv-quant: a training step keeps no keys and values", hint="leave it out with --train")
    rank_and_targets = _lora(lora, train)
    target = _one_of("--device", device, Literal["cuda", "cpu"])
    weights = None if quant is None else _one_of("--quant", quant, Literal["int8", "int4"])
    keys = None if kv_quant is None else _one_of("--kv-quant", kv_quant, Literal["int8", "int4"])
    checkpoint = resolve(model, embedded=zoo.checkpoints(), weights="random")

    def ask() -> Ask:
        from fourways.axes.prediction import Ask, Lora

        adapter = None if rank_and_targets is None else Lora(*rank_and_targets)
        return Ask(checkpoint, DTYPES[dtype], target, weights, keys, adapter, train)

    return ask


def _one_of(option: str, value: str, words: Any) -> Any:
    if value not in get_args(words):
        raise UserError(f"{option}: {value!r} is none of {', '.join(get_args(words))}")
    return value


def _images(text: str) -> tuple[tuple[int, int], ...]:
    """`2x1344x1344,640x480` → three sizes. Raises UserError."""
    sizes: list[tuple[int, int]] = []
    for word in text.split(","):
        found = _SIZE.fullmatch(word.strip())
        if found is None:
            raise UserError(f"--images: {word!r} is no size", hint="for example: --images 2x1344x1344,640x480")
        count, width, height = int(found[1] or 1), int(found[2]), int(found[3])
        if not 1 <= count <= _MOST_IMAGES or not all(1 <= side <= _MOST_PIXELS_A_SIDE for side in (width, height)):
            raise UserError(
                f"--images: {word!r} is out of range",
                hint=f"at most {_MOST_IMAGES} pictures of a size, sides of 1 to {_MOST_PIXELS_A_SIDE:,} px",
            )
        sizes += [(width, height)] * count
    return tuple(sizes)


def _lora(text: str | None, train: bool) -> tuple[int, str] | None:
    """`r=16`, `r=16,targets=llm+connector` → rank and targets; to train without one, the recipe's own. Raises
    UserError."""
    from fourways.tuning.recipe import Recipe

    if text is None:
        own = Recipe(seed=0, steps=1)
        return (own.rank, own.targets) if train else None
    rank, _, rest = text.partition(",")
    name, _, number = rank.partition("=")
    key, _, targets = rest.partition("=")
    if name != "r" or not number.isdecimal() or int(number) < 1 or (rest and (key != "targets" or not targets)):
        raise UserError(f"--lora: {text!r} is no adapter", hint="for example: --lora r=16 or --lora r=16,targets=llm")
    return int(number), targets or "llm"


def _limits(
    forecaster: Forecaster, workload: Workload, card: Card, say: Callable[[str], None]
) -> dict[str, int | None]:
    """The largest batch, context and square picture for the card, the others as they are."""
    from fourways.axes.prediction import largest

    least = forecaster.foresee(replace(workload, batch=1, context=None)).context
    model = forecaster.family.spec.context
    start = workload.context or least

    def with_batch(count: int) -> Forecast:
        return forecaster.foresee(replace(workload, batch=count))

    def with_context(tokens: int) -> Forecast | None:
        """Of that context or any shorter one: where fewer prompts share a prefill, a longer prompt can need less."""
        tokens = max(tokens, least)
        shorter = _last_shared(workload, tokens - workload.new_tokens) + workload.new_tokens
        lengths = {tokens, shorter} if least <= shorter < tokens and not forecaster.ask.train else {tokens}
        try:
            forecasts = [forecaster.foresee(replace(workload, context=length)) for length in lengths]
        except UserError:  # a training example's answer may not fit beside so long a prompt
            return None
        return max(forecasts, key=lambda forecast: forecast.peak.peak_bytes)

    def with_side(side: int) -> Forecast | None:
        try:
            return forecaster.foresee(replace(workload, images=((side, side),) * len(workload.images)))
        except UserError:  # more visual tokens than the context holds
            return None

    say("looking for the largest batch …")
    batch = largest(with_batch, card, workload.batch, _MOST_BATCH)
    say("looking for the longest context …")
    context = largest(with_context, card, start, model, _CONTEXT_STEP)
    say("looking for the largest picture …")
    side = largest(with_side, card, min(min(size) for size in workload.images), _MOST_SIDE, _SIDE_STEP)
    return {
        "batch": batch,
        "context": None if context is None or context < least else context,
        "image_side": side,
    }


def _last_shared(workload: Workload, prompt: int) -> int:
    """The longest prompt, up to `prompt`, of which one more is prefilled together; 0 where all of `prompt` are."""
    together = workload.together(prompt)
    most = workload.prefill_tokens
    if most is None or together >= workload.batch:
        return 0
    return most // (together + 1)
