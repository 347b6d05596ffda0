"""A trace says what a request to a server waited for, as far as its client can see."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

from fourways import trace
from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.events import Done
from fourways.core.request import Generate, Plan, Request
from fourways.engines.openai import open_openai_engine


def _server():
    path = Path(__file__).with_name("scripted_server.py")
    spec = importlib.util.spec_from_file_location("scripted_server", path)
    module = sys.modules.setdefault("scripted_server", importlib.util.module_from_spec(spec))
    if not hasattr(module, "ScriptedServer"):
        spec.loader.exec_module(module)
    return module


web = _server()


async def test_its_waits_follow_one_another_from_the_request_to_its_end(tmp_path):
    async with web.ScriptedServer() as server:
        engine = await open_openai_engine(Candidate("c", url=server.url))
        try:
            with trace.recording(tmp_path):
                items = [
                    item async for item in engine.stream(Request("r", Conversation.ask("Hi"), Plan("c"), Generate(8)))
                ]
        finally:
            await engine.close()
    told = json.loads((tmp_path / "trace.json").read_text())
    (row,) = [e for e in told["traceEvents"] if e["name"] == "thread_name" and e["args"]["name"] == "c r"]
    spans = [e for e in told["traceEvents"] if e["ph"] == "X" and (e["pid"], e["tid"]) == (row["pid"], row["tid"])]
    assert [span["name"] for span in spans] == ["prepare", "first_byte", "first_content", "content"]
    assert [round(s["ts"] + s["dur"], 3) for s in spans][:-1] == [round(s["ts"], 3) for s in spans][1:]
    origin = told["otherData"]["origin_perf_counter_ns"]
    assert isinstance(items[-1], Done)
    ends = [origin + round((span["ts"] + span["dur"]) * 1e3) for span in spans[2:]]
    assert ends == [items[0].time_ns, items[-1].time_ns]
