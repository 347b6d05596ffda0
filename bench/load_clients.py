"""How much processor time does a load client take to measure a server, beside GuideLLM and AIPerf?

    FOURWAYS_GUIDELLM=…/bin/guidellm FOURWAYS_AIPERF=…/bin/aiperf python bench/load_clients.py

Each client in turn sends the same questions at one offered load to a mock server of its own: an open loop at a constant
rate, a closed loop, and the open loop with a picture in each question (JPEG, 448x448, few different ones); 100 ms to
the first token, 10 ms from token to token, 64 tokens. Each as a person runs it, report included; of ours, that is
`fourways load`. Counted: user and system time of the client's processes, all of them:
this process adopts those whose parent ends first, and waits until none is left (getrusage(2), RUSAGE_CHILDREN). A
client's start (imports, workers, tokenizers, reading the questions) and end (reports) are told apart by two runs of
different length: the difference is what its requests cost, the rest is its start.

The bars: per request at most half of each rival's; medians of ttft within 5 ms of each rival's, and of the server's own
log. A rival that is not installed is left out, and said. Exit status 1 if a bar is missed, or a rival is missing.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import psutil
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from fourways.load.mock import MockSettings, running

RESULTS = Path(__file__).parent / "results"
TOKENS = 64
CPU_BAR, TTFT_BAR_MS = 0.5, 5.0
INSTALL = {
    "guidellm": "in an environment of its own, pip install torch (for CPU, to save space), then guidellm==0.8.1; "
    "FOURWAYS_GUIDELLM=…/bin/guidellm",
    "aiperf": "in an environment of its own, pip install aiperf==0.13.0; FOURWAYS_AIPERF=…/bin/aiperf",
}
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Offer:
    """rate_per_s: of an open loop with constant gaps; else so many at a time. asked: "text" or "picture"."""

    rate_per_s: float | None
    concurrency: int | None
    asked: str = "text"

    @property
    def label(self) -> str:
        load = f"constant {self.rate_per_s:g}/s" if self.rate_per_s else f"closed {self.concurrency}"
        return f"{load}, {self.asked}"


@dataclass(frozen=True)
class Room:
    """Where the clients find their questions and leave their reports."""

    folder: Path
    url: str

    @property
    def questions(self) -> Path:
        return self.folder / "questions.jsonl"


@dataclass(frozen=True)
class Client:
    """command: for so many requests. ttft_ms: the median that its report tells, and of how many requests."""

    name: str
    command: Callable[[Room, Offer, int], list[str]]
    ttft_ms: Callable[[Room], tuple[float, int]]


@dataclass(frozen=True)
class Ran:
    """One run of one client. n, chunks: what the server's log says it answered. wall_s: all of it."""

    client: str
    offer: str
    repeat: int
    wanted: int
    n: int
    chunks: int
    cpu_s: float
    wall_s: float
    sent_over_s: float
    client_ttft_ms: float
    log_ttft_ms: float


# -- the clients -----------------------------------------------------------------------------------------------------
def ours(room: Room, offer: Offer, count: int) -> list[str]:
    load = ["--concurrency", str(offer.concurrency)]
    if offer.rate_per_s:
        load = ["--rate", str(offer.rate_per_s), "--arrivals", "constant"]
    return [
        sys.executable, "-c", "from fourways.cli import main; main()", "load", f"mock={room.url}/v1", *load,
        "--requests", str(count), "--blocks", "1", "--warm-up", "1", "--workload", str(room.folder / "workload.yaml"),
        "--out", str(room.folder / "run"),
    ]  # fmt: skip


def ours_ttft(room: Room) -> tuple[float, int]:
    rows = [json.loads(line) for line in (room.folder / "run" / "rows.jsonl").read_text().splitlines()]
    ttft = [row["ttft_ms"] for row in rows if row["kind"] == "request" and row["ttft_ms"] is not None]
    return median(ttft), len(ttft)


def guidellm(room: Room, offer: Offer, count: int) -> list[str]:
    profile = f"constant,rate={offer.rate_per_s}" if offer.rate_per_s else f"concurrent,streams={offer.concurrency}"
    return [
        os.environ["FOURWAYS_GUIDELLM"], "run", "--backend", f"kind=openai_http,target={room.url},model=mock",
        "--profile", f"kind={profile}", "--constraint", f"kind=max_requests,count={count}",
        "--tokenizer", f"kind=hf_auto,model={room.folder / 'words'}", "--data", f"kind=json_file,path={room.questions}",
        "--output", f"kind=json,path={room.folder / 'guidellm.json'}", "--disable-console",
        *(["--data-preprocessor", "kind=encode_media"] if offer.asked == "picture" else []),
    ]  # fmt: skip


def guidellm_ttft(room: Room) -> tuple[float, int]:
    report = json.loads((room.folder / "guidellm.json").read_text())["benchmarks"][0]
    told = report["metrics"]["time_to_first_token_ms"]["successful"]
    return told["median"], told["count"]


def aiperf(room: Room, offer: Offer, count: int) -> list[str]:
    load = ["--concurrency", str(offer.concurrency)]
    if offer.rate_per_s:
        load = ["--request-rate", str(offer.rate_per_s), "--arrival-pattern", "constant"]
    return [
        os.environ["FOURWAYS_AIPERF"], "profile", "-m", "mock", "--url", room.url, "--endpoint-type", "chat",
        "--streaming", "--tokenizer", "bench/words", "--use-server-token-count", "--input-file", str(room.questions),
        "--custom-dataset-type", "single_turn", *load, "--request-count", str(count), "--extra-inputs",
        json.dumps({"max_tokens": TOKENS, "ignore_eos": True}), "--no-server-metrics", "--no-gpu-telemetry", "--ui",
        "none", "--output-artifact-dir", str(room.folder / "aiperf"),
    ]  # fmt: skip


def aiperf_ttft(room: Room) -> tuple[float, int]:
    report = json.loads((room.folder / "aiperf" / "profile_export_aiperf.json").read_text())
    return report["time_to_first_token"]["p50"], round(report["request_count"]["avg"])


OURS = Client("fourways", ours, ours_ttft)
RIVALS = (Client("guidellm", guidellm, guidellm_ttft), Client("aiperf", aiperf, aiperf_ttft))


def write_questions(folder: Path, offer: Offer, count: int) -> None:
    """The rivals read one file, each the fields it knows; ours draws such questions from a description."""
    described = {"name": "questions", "prompt": {"words": 9}, "answer": {"tokens": TOKENS, "length": "exact"}}
    if offer.asked == "picture":  # about as many different ones as the rivals are given
        described["images"] = {"size": "448x448", "quality": 90, "repeated": 0.98}
    (folder / "workload.yaml").write_text(json.dumps(described))
    pictures = _pictures(folder) if offer.asked == "picture" else []
    with (folder / "questions.jsonl").open("w") as out:
        for item in range(count):
            text = f"Describe what number {item} means to a load generator."
            line: dict[str, object] = {"text": text, "prompt": text, "output_tokens_count": TOKENS}
            if pictures:
                line["image"] = str(pictures[item % len(pictures)])
            out.write(json.dumps(line) + "\n")


def _pictures(folder: Path) -> list[Path]:
    draw, paths = np.random.default_rng(20261122), [folder / f"{index}.jpg" for index in range(8)]
    for path in paths:
        coarse = Image.fromarray(draw.integers(0, 256, (28, 28, 3), dtype=np.uint8))
        coarse.resize((448, 448), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def write_tokenizer(folder: Path) -> None:
    """One that needs no network: as a folder, and again as a cache of the Hub that has it, because AIPerf takes no
    path."""
    known = {word: id for id, word in enumerate(("<unk>", "</s>", "the", "of", "and", "a", "in", "to"))}
    words = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    revision = "0" * 40
    cache = folder / "hub" / "models--bench--words"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(revision)
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "eos_token": "</s>"}
    for place in (folder / "words", cache / "snapshots" / revision):
        place.mkdir(parents=True)
        words.save(str(place / "tokenizer.json"))
        (place / "tokenizer_config.json").write_text(json.dumps(special))


# -- what it costs ---------------------------------------------------------------------------------------------------
def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent ends (prctl(2)), so that their time is counted."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def cpu_of(command: Sequence[str], env: dict[str, str], log: Path, spare: int) -> float:
    """Seconds of user and system time until the last of its processes has ended. spare: a child that is not of it.
    Raises RuntimeError with the end of what it said where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("wb") as out:
        status = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env).wait()
    while left := [child.pid for child in psutil.Process().children() if child.pid != spare]:
        os.waitpid(left[0], 0)
    if status != 0:
        raise RuntimeError(f"{command[0]} ended with {status}: {log.read_text(errors='replace')[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def run(client: Client, offer: Offer, count: int, repeat: int, folder: Path) -> Ran:
    offline = {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    with running(MockSettings(tokens=TOKENS)) as server:
        room, began = Room(folder, server.url), perf_counter()
        cpu_s = cpu_of(client.command(room, offer, count), os.environ | offline, folder / "said.txt", server.pid)
        wall_s = perf_counter() - began
        log = [one for one in server.log() if len(one.sent_ns) == TOKENS and one.outcome == "ok"]
    ttft_ms, told = client.ttft_ms(room)
    if told != count:
        print(f"{client.name} tells of {told} requests, and was asked for {count}")
    arrivals = [one.arrival_ns for one in log]
    return Ran(
        client.name, offer.label, repeat, count, len(log), sum(len(one.sent_ns) for one in log), cpu_s, wall_s,
        (max(arrivals) - min(arrivals)) / 1e9, ttft_ms,
        median((one.sent_ns[0] - one.arrival_ns) / 1e6 for one in log),
    )  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Of one pair of runs, a short and a long one."""

    client: str
    offer: str
    repeat: int
    start_cpu_s: float
    per_1000_requests_s: float
    per_million_chunks_s: float
    client_ttft_ms: float
    log_ttft_ms: float


def cost(short: Ran, long: Ran) -> Cost:
    each = (long.cpu_s - short.cpu_s) / (long.n - short.n)
    chunk = (long.cpu_s - short.cpu_s) / (long.chunks - short.chunks)
    return Cost(
        long.client, long.offer, long.repeat, short.cpu_s - short.n * each, each * 1e3, chunk * 1e6,
        long.client_ttft_ms, long.log_ttft_ms,
    )  # fmt: skip


# -- the bars --------------------------------------------------------------------------------------------------------
def compare(costs: Sequence[Cost]) -> list[dict[str, object]]:
    """Ours beside each rival, offer by offer: medians over the repeats, and the range of the repeats' own ratios."""
    out: list[dict[str, object]] = []
    for offer in dict.fromkeys(one.offer for one in costs):
        mine = [one for one in costs if one.offer == offer and one.client == OURS.name]
        for rival in (client.name for client in RIVALS):
            theirs = [one for one in costs if one.offer == offer and one.client == rival]
            if not theirs:
                continue
            ratios = [a.per_1000_requests_s / b.per_1000_requests_s for a, b in zip(mine, theirs, strict=True)]
            apart = median(one.client_ttft_ms for one in mine) - median(one.client_ttft_ms for one in theirs)
            off, rival_off = (median(one.client_ttft_ms - one.log_ttft_ms for one in side) for side in (mine, theirs))
            passed = median(ratios) <= CPU_BAR and abs(apart) <= TTFT_BAR_MS and abs(off) <= TTFT_BAR_MS
            out.append(
                {"offer": offer, "rival": rival, "cpu_ratio": median(ratios), "cpu_ratios": ratios,
                 "ttft_apart_ms": apart, "ttft_off_log_ms": off, "rival_ttft_off_log_ms": rival_off, "passed": passed}
            )  # fmt: skip
            print(
                f"{offer}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of {rival}'s processor time; "
                f"ttft {apart:+.2f} ms from {rival}'s; from the log's {off:+.2f} ms, {rival}'s {rival_off:+.2f}: "
                f"{'pass' if passed else 'FAIL'}"
            )
    return out


def present() -> list[Client]:
    """The clients that can be run; what is missing is said."""
    found = [OURS]
    for rival in RIVALS:
        path = os.environ.get(f"FOURWAYS_{rival.name.upper()}")
        if path and shutil.which(path):
            found.append(rival)
        else:
            print(f"{rival.name} is left out: {path or 'it'} is not there; {INSTALL[rival.name]}")
    return found


def measure(clients: Sequence[Client], offers: Sequence[Offer], lengths: tuple[int, int], repeats: int) -> list[Ran]:
    runs: list[Ran] = []
    for repeat in range(repeats):
        for offer in offers:
            for client in clients[repeat % len(clients) :] + clients[: repeat % len(clients)]:
                for count in lengths:
                    with tempfile.TemporaryDirectory(prefix="fourways-clients-") as name:
                        write_tokenizer(Path(name))
                        write_questions(Path(name), offer, max(lengths) + 64)
                        ran = run(client, offer, count, repeat, Path(name))
                    runs.append(ran)
                    print(
                        f"{ran.offer:<22} {ran.client:<9} n {ran.n:>5} over {ran.sent_over_s:5.1f} s: processor "
                        f"{ran.cpu_s:6.2f} s, wall {ran.wall_s:5.1f} s; ttft {ran.client_ttft_ms:.2f} ms, log "
                        f"{ran.log_ttft_ms:.2f}",
                        flush=True,
                    )
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rate", type=float, default=25.0, help="requests a second")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--lengths", type=int, nargs=2, default=(150, 900), help="requests of the two runs")
    asked = parser.parse_args()
    adopt_orphans()
    clients, lengths = present(), (asked.lengths[0], asked.lengths[1])
    offers = (Offer(asked.rate, None), Offer(None, asked.concurrency), Offer(asked.rate, None, "picture"))
    runs = measure(clients, offers, lengths, asked.repeats)
    pairs = zip(runs[::2], runs[1::2], strict=True)
    costs = [cost(short, long) for short, long in pairs]
    for one in costs:
        print(
            f"{one.offer:<22} {one.client:<9} {one.per_1000_requests_s:6.2f} s per 1,000 requests, "
            f"{one.per_million_chunks_s:7.1f} s per million chunks; start {one.start_cpu_s:.2f} s"
        )
    compared = compare(costs)
    now = datetime.now(UTC)
    result = {
        "bench": "load_clients", "date": now.isoformat(timespec="seconds"), "machine": platform.machine(),
        "cores": psutil.cpu_count(), "python": platform.python_version(), "load": os.getloadavg(),
        "bars": {"cpu_ratio": CPU_BAR, "ttft_ms": TTFT_BAR_MS}, "runs": [asdict(ran) for ran in runs],
        "costs": [asdict(one) for one in costs], "compared": compared,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"load_clients-{now:%Y-%m-%d}.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0 if len(clients) == 1 + len(RIVALS) and all(one["passed"] for one in compared) else 1


if __name__ == "__main__":
    sys.exit(main())
