"""How soon is there a manifest of a 70 B checkpoint, and how fast are files hashed, beside `openssl dgst -sha256`?

    python bench/hub.py

*Manifest*: a synthetic checkpoint of Qwen2.5-VL-72B's shape (80 layers of 8192, in 30 files), whose files have the
headers of real ones and are otherwise holes, so that 147 GB take no room. Timed, with hashes pending: the call in this
process, and the whole command, interpreter and imports included. The bar: both medians under 2 s.

*SHA-256*: `hash_file` against `openssl dgst -sha256` on the same warm file, one right after the other, in an order that
alternates; many short pairs, because the machine is shared. openssl's time is its process's, without the start of a
process: that is measured on an empty file, at every pair, and taken off. By the clock, and by processor time, which
other work on the machine disturbs less. The bar: the median ratio of rates at least 0.9 by processor time.

*Parallel*: `hash_files` on as many files as there are cores, against as many openssl processes at once, in pairs too,
with the same bar; and both against themselves with one file after the other, which says how many cores there were to be
had while it ran.

Exit status 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psutil

from fourways.core.digests import hash_file
from fourways.hub.hashing import cores, hash_files
from fourways.hub.manifest import make
from fourways.stats.quantiles import quantile_interval

RESULTS = Path(__file__).parent / "results"
LIMIT_S, LEAST_RATIO = 2.0, 0.9
SHARDS = 30
HIDDEN, INTERMEDIATE, LAYERS, VOCABULARY, KEYS = 8192, 29568, 80, 152064, 1024
VISION, VISION_INTERMEDIATE, BLOCKS = 1280, 3456, 32
Shapes = dict[str, tuple[int, ...]]


def shapes() -> Shapes:
    """Tensor name → shape, as the published index of Qwen2.5-VL-72B-Instruct has them."""
    found: Shapes = {"visual.patch_embed.proj.weight": (VISION, 3, 2, 14, 14)}
    for block in range(BLOCKS):
        at = f"visual.blocks.{block}."
        found |= {f"{at}norm1.weight": (VISION,), f"{at}norm2.weight": (VISION,)}
        found |= {f"{at}attn.qkv.weight": (3 * VISION, VISION), f"{at}attn.qkv.bias": (3 * VISION,)}
        found |= {f"{at}attn.proj.weight": (VISION, VISION), f"{at}attn.proj.bias": (VISION,)}
        for name, (rows, columns) in {
            "gate_proj": (VISION_INTERMEDIATE, VISION),
            "up_proj": (VISION_INTERMEDIATE, VISION),
            "down_proj": (VISION, VISION_INTERMEDIATE),
        }.items():
            found |= {f"{at}mlp.{name}.weight": (rows, columns), f"{at}mlp.{name}.bias": (rows,)}
    merged = 4 * VISION
    found |= {"visual.merger.ln_q.weight": (VISION,), "visual.merger.mlp.0.weight": (merged, merged)}
    found |= {"visual.merger.mlp.0.bias": (merged,), "visual.merger.mlp.2.weight": (HIDDEN, merged)}
    found |= {"visual.merger.mlp.2.bias": (HIDDEN,), "model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        found |= {f"{at}input_layernorm.weight": (HIDDEN,), f"{at}post_attention_layernorm.weight": (HIDDEN,)}
        for name, rows in (("q", HIDDEN), ("k", KEYS), ("v", KEYS)):
            found |= {f"{at}self_attn.{name}_proj.weight": (rows, HIDDEN), f"{at}self_attn.{name}_proj.bias": (rows,)}
        found |= {f"{at}self_attn.o_proj.weight": (HIDDEN, HIDDEN), f"{at}mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN)}
        found |= {
            f"{at}mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
            f"{at}mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
        }
    return {**found, "model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCABULARY, HIDDEN)}


def write_checkpoint(folder: Path) -> int:
    """The checkpoint, in bf16. Returns the bytes that its weights claim to have."""
    config = {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS, "max_position_embeddings": 128000, "vocab_size": VOCABULARY,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps({"min_pixels": 3136, "max_pixels": 12845056}))
    vocabulary = {f"token {index}": index for index in range(VOCABULARY)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}" * 100}))
    sizes = {name: 2 * _numbers(shape) for name, shape in shapes().items()}
    total, places, shard, filled = sum(sizes.values()), {}, 0, 0
    for name, size in sizes.items():
        places[name] = shard
        filled += size
        if filled >= total / SHARDS * (shard + 1) and shard < SHARDS - 1:
            shard += 1
    names = [f"model-{index + 1:05d}-of-{SHARDS:05d}.safetensors" for index in range(SHARDS)]
    for index, file in enumerate(names):
        _write_shard(folder / file, {name: shapes()[name] for name, place in places.items() if place == index})
    weight_map = {name: names[place] for name, place in places.items()}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return total


def _write_shard(file: Path, tensors: Shapes) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in tensors.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at := at + 2 * _numbers(shape)]}
    raw = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(raw)) + raw)
        stream.truncate(8 + len(raw) + at)


def _numbers(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


def time_manifest(folder: Path, repeats: int) -> dict[str, Any]:
    """Seconds of the call and of the command, in turns; of the command also those of the processor."""
    command = [sys.executable, "-c", "from fourways.cli import main; main()", "models", "manifest", str(folder)]
    calls, commands = [], []
    made = make(folder)
    for _ in range(repeats):
        calls.append(_seconds(lambda: make(folder)))
        commands.append(_cost(lambda: _run([*command, "--no-hashes"])))
    parts = {name: part.parameters for name, part in made.parts.items()}
    return {
        "parameters": made.parameters, "parts": parts, "tensors": made.tensors, "shards": made.shards,
        "call_s": calls, "command_s": [wall for wall, _ in commands], "command_cpu_s": [cpu for _, cpu in commands],
        "passed": max(median(calls), median(wall for wall, _ in commands)) < LIMIT_S,
    }  # fmt: skip


def time_openssl(file: Path, empty: Path, pairs: int) -> dict[str, Any]:
    """Ratios of rates, ours over openssl's: by the clock, and by processor time."""
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    said = subprocess.run(_openssl(file), capture_output=True, text=True, check=True).stdout.split()[0]
    assert said == hash_file(file)
    for pair in range(pairs):
        sides: list[Callable[[], None]] = [
            lambda: ours.append(_cost(lambda: hash_file(file))),
            lambda: theirs.append(_without_start(file, empty)),
        ]
        for side in sides if pair % 2 else reversed(sides):
            side()
    wall = [their[0] / our[0] for our, their in zip(ours, theirs, strict=True)]
    cpu = [their[1] / our[1] for our, their in zip(ours, theirs, strict=True)]
    size = file.stat().st_size
    return {
        "bytes": size, "pairs": pairs, "ratio_by_clock": wall, "ratio_by_processor": cpu,
        "ours_gb_per_s": size / 1e9 / median(our[1] for our in ours),
        "openssl_gb_per_s": size / 1e9 / median(their[1] for their in theirs),
        "passed": median(cpu) >= LEAST_RATIO,
    }  # fmt: skip


def _without_start(file: Path, empty: Path) -> tuple[float, float]:
    """openssl's (wall, processor) seconds for the file's bytes alone."""
    start, whole = _cost(lambda: _run(_openssl(empty))), _cost(lambda: _run(_openssl(file)))
    return whole[0] - start[0], whole[1] - start[1]


def time_parallel(files: Sequence[Path], pairs: int, cache: Path) -> dict[str, Any]:
    """All files at once, ours against openssl's processes; and each against itself one file after the other."""

    def ours_at_once() -> None:
        cache.unlink(missing_ok=True)
        hash_files(files)

    def theirs_at_once() -> None:
        started = [subprocess.Popen(_openssl(file), stdout=subprocess.DEVNULL) for file in files]
        assert [child.wait() for child in started] == [0] * len(files)

    sides: dict[str, Callable[[], object]] = {
        "ours": ours_at_once,
        "theirs": theirs_at_once,
        "ours in turn": lambda: [hash_file(file) for file in files],
        "theirs in turn": lambda: [_run(_openssl(file)) for file in files],
    }
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for pair in range(pairs):
        for name in sides if pair % 2 else reversed(sides):
            costs[name].append(_cost(sides[name]))

    def ratios(over: str, under: str, what: int) -> list[float]:
        return [one[what] / other[what] for one, other in zip(costs[over], costs[under], strict=True)]

    cpu = ratios("theirs", "ours", 1)
    return {
        "files": len(files), "pairs": pairs, "ratio_by_clock": ratios("theirs", "ours", 0), "ratio_by_processor": cpu,
        "speed_up": ratios("ours in turn", "ours", 0), "speed_up_of_openssl": ratios("theirs in turn", "theirs", 0),
        "passed": median(cpu) >= LEAST_RATIO,
    }  # fmt: skip


def _openssl(file: Path) -> list[str]:
    return ["openssl", "dgst", "-sha256", "-r", str(file)]


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _seconds(what: Callable[[], object]) -> float:
    return _cost(what)[0]


def _cost(what: Callable[[], object]) -> tuple[float, float]:
    """(wall, processor) seconds, those of ended child processes among them."""
    used, start = _processor(), perf_counter()
    what()
    return perf_counter() - start, _processor() - used


def _processor() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def told(values: Sequence[float]) -> str:
    """Median, its 95 % interval, and the range."""
    found = quantile_interval(values, 0.5)
    interval = "too few for an interval" if found is None else f"{found.low:.2f} to {found.high:.2f}"
    return f"{median(values):.2f} [{interval}], range {min(values):.2f} to {max(values):.2f}, n {len(values)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="of the manifest")
    parser.add_argument(
        "--pairs", type=int, default=60, help="of hashing against openssl, and a third as many parallel"
    )
    parser.add_argument("--mib", type=int, default=256, help="size of the file that is hashed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["FOURWAYS_CACHE"] = f"{name}/cache"
        result = _measured(Path(name), options)
    passed = all(result[part]["passed"] for part in ("manifest", "sha256", "parallel"))
    bars = f"manifest under {LIMIT_S:g} s, SHA-256 at least {LEAST_RATIO:g} of openssl's rate, alone and in parallel"
    print(f"{'pass' if passed else 'FAIL'}: {bars}")
    now = datetime.now(UTC)
    machine = {"machine": platform.machine(), "python": platform.python_version(), "cores": psutil.cpu_count()}
    whole = {
        "bench": "hub", "date": now.isoformat(timespec="seconds"), **machine, "load": list(psutil.getloadavg()),
        "openssl": subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip(),
        **result, "passed": passed,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"hub-{now:%Y-%m-%d}.json").write_text(json.dumps(whole, indent=1) + "\n")
    return 0 if passed else 1


def _measured(place: Path, options: argparse.Namespace) -> dict[str, Any]:
    checkpoint = place / "checkpoint"
    checkpoint.mkdir()
    claimed = write_checkpoint(checkpoint)
    manifest = time_manifest(checkpoint, options.repeats)
    tensors, shards = f"{manifest['tensors']:,} tensors", f"{manifest['shards']} files of {claimed / 1e9:.0f} GB"
    print(f"manifest: {manifest['parameters']:,} parameters, {tensors} in {shards}")
    print(f"  call, ms:    {told([1000 * one for one in manifest['call_s']])}")
    print(f"  command, s:  {told(manifest['command_s'])}")
    print(f"    processor: {told(manifest['command_cpu_s'])}")
    files = [place / f"{index}.bin" for index in range(cores())]
    for file in files:
        file.write_bytes(os.urandom(options.mib << 20))
    (place / "empty").touch()
    sha256 = time_openssl(files[0], place / "empty", options.pairs)
    rates = f"{sha256['ours_gb_per_s']:.2f} and {sha256['openssl_gb_per_s']:.2f} GB a second of processor"
    print(f"SHA-256 of {options.mib} MiB, ours over openssl's rate ({rates})")
    print(f"  by processor: {told(sha256['ratio_by_processor'])}")
    print(f"  by the clock: {told(sha256['ratio_by_clock'])}")
    parallel = time_parallel(files, max(6, options.pairs // 3), place / "cache" / "sha256.jsonl")
    print(f"{len(files)} such files at once on {cores()} cores, ours over openssl's processes")
    print(f"  by processor: {told(parallel['ratio_by_processor'])}")
    print(f"  by the clock: {told(parallel['ratio_by_clock'])}")
    print("times as fast as one file after the other, by the clock")
    print(f"  ours:         {told(parallel['speed_up'])}")
    print(f"  openssl:      {told(parallel['speed_up_of_openssl'])}")
    return {
        "manifest": manifest,
        "sha256": sha256,
        "parallel": parallel,
        "limit_s": LIMIT_S,
        "least_ratio": LEAST_RATIO,
    }


if __name__ == "__main__":
    sys.exit(main())
