"""Our side of load_clients.py: the questions of a file through `load.send`, and a short report."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from statistics import median

import msgspec

from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation, Image
from fourways.core.load import Load
from fourways.core.request import Generate, Plan, Request
from fourways.engines.openai import open_openai_engine
from fourways.load import Ask, Meter, request_row, send
from fourways.media import read_image


def read_asks(lines: list[str]) -> list[Ask]:
    plan, output = Plan("mock"), Generate(64, min_tokens=64, ignore_eos=True)
    pictures, asks = dict[str, Image](), list[Ask]()
    for item, line in enumerate(lines):
        question = json.loads(line)
        path = question.get("image")
        if path is not None and path not in pictures:
            pictures[path] = read_image(Path(path).read_bytes(), name=path)
        shown = [] if path is None else [pictures[path]]
        asked = Conversation.ask(question["text"], *shown)
        asks.append(Ask(Request(str(item), asked, plan, output), item, shown[0].source_sha256 if shown else ""))
    return asks


async def measure(url: str, asks: list[Ask], load: Load, report: Path) -> None:
    engine = await open_openai_engine(Candidate("mock", url=f"{url}/v1"), concurrency=None)
    rows = []
    try:
        async with Meter(engine) as meter:
            async for timing in send(engine, asks, load):
                rows.append(
                    request_row(
                        timing, asks[timing.index], candidate="mock", workload="text", load=load, cache="cold", block=0
                    )
                )
        health = meter.health(rows)
    finally:
        await engine.close()
    with report.with_suffix(".jsonl").open("wb") as out:
        for row in rows:
            out.write(msgspec.json.encode(row) + b"\n")
    ttft = [row.ttft_ms for row in rows if row.ttft_ms is not None]
    report.write_text(json.dumps({"ttft_p50_ms": median(ttft), "n": len(ttft), "client_bound": health.client_bound}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("questions", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("count", type=int)
    asked = parser.parse_args()
    load = Load("constant", rate_per_s=asked.rate) if asked.rate else Load("closed", asked.concurrency)
    lines = asked.questions.read_text().splitlines()[: asked.count]
    asyncio.run(measure(asked.url, read_asks(lines), load, asked.report))


if __name__ == "__main__":
    main()
