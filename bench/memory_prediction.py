"""Memory said from the config alone against memory measured, on models of random shape.

    python bench/memory_prediction.py --seed 1 [--configurations 12] [--families qwen-vl llava-next internvl]

For each family and each of its drawn configurations, in float32 and in bfloat16: the probe of the memory axis runs one
batch of requests and one LoRA training step with random weights, and reads the peak of live tensors of every stage;
the prediction has seen config.json only. Weights, bytes per token and the store of keys and values must agree to the
byte; of a peak, what comes beside the weights must agree within 10 %. Exit code 1 where it does not.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
import transformers

from drawn_models import BASES, Drawn, draw
from fourways.axes.memory_gauges import Gauges
from fourways.axes.memory_stages import plan, run_request
from fourways.axes.memory_training import STEPS, train_step
from fourways.axes.prediction import ModelAsk, Workload, load_shapes, request_peaks, training_peak
from fourways.axes.prediction.parts import weight_parts
from fourways.core.candidate import Dtype
from fourways.engines.local.kv import KVStore
from fourways.families.registry import find_family
from fourways.trace.resident import PeakResident
from fourways.tuning.recipe import Recipe

BAR = 0.10
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")
EXACT = ("weights", "kv_store")


@dataclass(frozen=True)
class Compared:
    """Bytes of one stage of one configuration, weights left out of both, but in the stages that are exact."""

    family: str
    base: str
    number: int
    dtype: str
    image: tuple[int, int]
    batch: int
    context: int
    stage: str
    measured: int
    predicted: int

    @property
    def error(self) -> float:
        return abs(self.predicted - self.measured) / self.measured

    @property
    def holds(self) -> bool:
        return self.predicted == self.measured if self.stage in EXACT else self.error <= BAR


def main() -> int:
    args = _arguments()
    found: list[Compared] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for family in args.families:
            for number, drawn in enumerate(draw(family, args.configurations, args.seed, Path(folder))):
                for dtype in DTYPES:
                    found += _compare(drawn, number, dtype)
                print(f"{family} {number + 1}/{args.configurations} {drawn.base}", file=sys.stderr, flush=True)
    _show(found, args.families)
    if args.out is not None:
        args.out.write_text(json.dumps(_record(found, args.seed, time.monotonic() - started), indent=1) + "\n")
    missed = [one for one in found if not one.holds]
    for one in missed:
        print(f"MISSED: {one}")
    print(f"{len(found) - len(missed)} of {len(found)} hold")
    return 1 if missed else 0


def _compare(drawn: Drawn, number: int, dtype: Dtype) -> list[Compared]:
    recipe = Recipe(seed=0, steps=STEPS, batch_size=drawn.batch, rank=drawn.rank)
    measured, context = _measured(drawn, dtype, recipe)
    predicted = _predicted(drawn, dtype, recipe, context)
    return [
        Compared(
            drawn.family, drawn.base, number, dtype, drawn.image, drawn.batch, context, stage,
            size if stage in EXACT else size - measured["weights"],
            predicted[stage] if stage in EXACT else predicted[stage] - predicted["weights"],
        )
        for stage, size in measured.items()
    ]  # fmt: skip


def _measured(drawn: Drawn, dtype: Dtype, recipe: Recipe) -> tuple[dict[str, int], int]:
    """Stage → bytes, as the probe reads them; and the context."""
    family = find_family(drawn.checkpoint.architecture).load(drawn.checkpoint, dtype=dtype, device="cpu")
    found: dict[str, int] = {}
    with PeakResident() as resident:
        gauges = Gauges(torch.device("cpu"), resident)
        loaded = gauges.loaded(family)
        request = plan(family, drawn.image, None, drawn.new_tokens)
        readings = [*loaded, *run_request(family, request, drawn.batch, gauges)]
        readings += train_step(family, request, recipe, None, gauges)
    found |= {stage: size for stage, quantity, size in readings if quantity in ("exact", "live_tensors")}
    room = drawn.batch * request.context * family.spec.kv_bytes_per_token
    store = KVStore(family.spec, max_rows=drawn.batch, max_bytes=room)
    store.add(drawn.batch, request.context)
    found["kv_store"] = store.bytes
    return found, request.context


def _predicted(drawn: Drawn, dtype: Dtype, recipe: Recipe, context: int) -> dict[str, int]:
    family = load_shapes(ModelAsk(drawn.checkpoint, dtype))
    workload = Workload((drawn.image,), drawn.batch, None, drawn.new_tokens)
    found: dict[str, int] = {"weights": sum(weight_parts(family).values())}
    found["kv_store"] = drawn.batch * context * family.spec.kv_bytes_per_token
    found |= {stage: size for stage, _, size in request_peaks(family, workload, "cpu")}
    return found | {stage: size for stage, _, size in training_peak(family, workload, recipe, "cpu")}


def _show(found: list[Compared], families: list[str]) -> None:
    stages = list(dict.fromkeys(one.stage for one in found))
    print(f"{'worst error':<14}" + "".join(f"{stage:>16}" for stage in stages))
    for family in families:
        worst = [
            max((o.error for o in found if o.family == family and o.stage == stage), default=0) for stage in stages
        ]
        print(f"{family:<14}" + "".join(f"{100 * error:>14.3f} %" for error in worst))


def _record(found: list[Compared], seed: int, seconds: float) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "seed": seed,
        "bar": BAR,
        "seconds": round(seconds, 1),
        "compared": [asdict(one) | {"error": one.error, "holds": one.holds} for one in found],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True, help="draws the configurations")
    parser.add_argument("--configurations", type=int, default=12, help="of each family")
    parser.add_argument("--families", nargs="+", choices=list(BASES), default=list(BASES))
    parser.add_argument("--out", type=Path, default=None, help="write the raw numbers as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
