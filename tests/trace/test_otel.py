"""A run's timed requests in OpenTelemetry's form: read back by the protocol's own messages."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from typer.testing import CliRunner, Result

from fourways import trace
from fourways.cli.main import app
from fourways.core.candidate import Candidate
from fourways.core.clock import host_clock
from fourways.core.errors import UserError
from fourways.core.rows import ROWS_SCHEMA, RequestRow, RowsHeader
from fourways.core.run import RUN_SCHEMA, CandidateRecord, Environment, RunHeader, SourceState, TraceRecord
from fourways.trace import otel
from fourways.trace.reading import requests, stages_ms

ROW = RequestRow(
    "qwen", "describe", 1, "cold", 0, 0, "00", 5.0, 7.0, 102.0, 502.0, 25.0, (20.0, 30.0), 5, 4, 17, {"prefill": 1.0}
)  # fmt: skip


def record(name: str, url: str | None = None) -> CandidateRecord:
    return CandidateRecord(Candidate(name, model=None if url else f"zoo:{name}", url=url), None, {}, None)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two candidates, the second behind a URL; one traced request of the first with two stages."""
    with trace.recording(tmp_path):
        request = trace.track("qwen 17")
        now = time.perf_counter_ns()
        trace.mark("prefill", now, now + 2_000_001, request)
        trace.mark("decode", now + 2_000_001, now + 9_000_000, request)
        trace.mark("decode", now + 9_500_000, now + 9_600_000, request)
        trace.mark("deliver", now + 9_000_000, now + 9_700_000, request)
        trace.emit("kv_cache_alloc", request, tensor_alloc_bytes=4096)
        trace.begin("decode", request)
        trace.track("qwen 18")
        trace.mark("prefill", now, now + 1, trace.track("somebody else's"))
        trace.mark("forward", now, now + 50)
    failed = msgspec.structs.replace(ROW, ttft_ms=None, e2e_ms=None, tpot_ms=None, error="timed out")
    write(tmp_path, [ROW, msgspec.structs.replace(ROW, candidate="server"), failed])
    return tmp_path


def write(folder: Path, rows: list[RequestRow]) -> None:
    header = RunHeader(
        RUN_SCHEMA, "run-1", "2026-11-22T10:04:05+00:00", (), SourceState("0"), 0, ("latency",), None, False,
        (record("qwen"), record("server", "http://127.0.0.1:9/v1")), (), {}, Environment("", 1, 1, 1, "", "", "", {}),
        host_clock(), traces=(TraceRecord("latency", "trace.json", 1.0, 6, 0),),
    )  # fmt: skip
    (folder / "run.json").write_bytes(msgspec.json.encode(header))
    lines = [msgspec.json.encode(RowsHeader(ROWS_SCHEMA, "run-1", None, None, None)), *map(msgspec.json.encode, rows)]
    (folder / "rows.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def spans_of(run: Path) -> list[dict[str, Any]]:
    return [
        span
        for line in otel.traces(run, None)
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def histograms_of(run: Path, candidate: str | None = None) -> dict[str, list[dict[str, Any]]]:
    data = otel.metrics(run, candidate)
    assert data is not None
    metrics = json.loads(data)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    return {metric["name"]: (metric.get("histogram") or metric["sum"])["dataPoints"] for metric in metrics}


def tag(point: dict[str, Any], key: str) -> str | None:
    return next((one["value"]["stringValue"] for one in point["attributes"] if one["key"] == key), None)


def test_both_files_are_messages_of_the_protocol(run: Path) -> None:
    for line in otel.traces(run, None):
        json_format.Parse(line, TracesData())
    data = otel.metrics(run, None)
    assert data is not None
    parsed = json_format.Parse(data, MetricsData())
    for metric in parsed.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.histogram.data_points:
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
            assert sum(point.bucket_counts) == point.count
            assert 0 < point.start_time_unix_nano < point.time_unix_nano


def test_a_request_is_a_span_with_its_stages_as_children(run: Path) -> None:
    root, *children = spans_of(run)
    assert root["name"] == "chat zoo:qwen"
    assert tag(root, "gen_ai.operation.name") == "chat"
    assert tag(root, "fourways.request") == "qwen 17"
    assert "parentSpanId" not in root
    assert {child["parentSpanId"] for child in children} == {root["spanId"]}
    assert {child["traceId"] for child in children} == {root["traceId"]}
    assert (len(root["traceId"]), len(root["spanId"])) == (32, 16)
    assert len({span["spanId"] for span in (root, *children)}) == len(children) + 1
    assert sorted(child["name"] for child in children) == ["decode", "decode", "decode", "deliver", "prefill"]
    (prefill,) = [child for child in children if child["name"] == "prefill"]
    assert int(prefill["endTimeUnixNano"]) - int(prefill["startTimeUnixNano"]) == 2_000_001
    assert abs(int(root["startTimeUnixNano"]) - time.time_ns()) < 60e9
    assert [event["name"] for event in root["events"]] == ["kv_cache_alloc"]
    assert [child["status"]["code"] for child in children if "status" in child] == [2], "the one that never ended"


def test_histograms_hold_seconds_from_the_hand_over_under_the_conventions_names(run: Path) -> None:
    found = histograms_of(run, "qwen")
    sums = {name: points[0]["sum"] for name, points in found.items() if "sum" in points[0]}
    assert sums == {
        "gen_ai.client.operation.duration": pytest.approx(0.5),
        "gen_ai.client.operation.time_to_first_chunk": pytest.approx(0.1),
        "gen_ai.client.operation.time_per_output_chunk": pytest.approx(0.05),
        "gen_ai.server.request.duration": pytest.approx(0.5),
        "gen_ai.server.time_to_first_token": pytest.approx(0.1),
        "gen_ai.server.time_per_output_token": pytest.approx(0.025),
    }
    point = found["gen_ai.client.operation.duration"][0]
    bounds = point["explicitBounds"]
    assert point["bucketCounts"][next(i for i, bound in enumerate(bounds) if bound >= 0.5)] == "1"


def test_of_a_server_by_url_only_the_clients_side_is_told(run: Path) -> None:
    assert {name.split(".")[1] for name in histograms_of(run, "server") if name.startswith("gen_ai")} == {"client"}
    points = histograms_of(run)["gen_ai.client.operation.duration"]
    assert [tag(point, "gen_ai.provider.name") for point in points] == ["fourways", "openai"]


def test_requests_that_failed_are_counted_and_in_no_histogram(run: Path) -> None:
    points = histograms_of(run, "qwen")["fourways.requests"]
    assert [(tag(point, "error.type"), point["asInt"]) for point in points] == [(None, "1"), ("_OTHER", "1")]
    assert histograms_of(run, "qwen")["gen_ai.client.operation.duration"][0]["count"] == "1"


def test_stages_are_told_by_the_trace_and_nothing_else_is(run: Path) -> None:
    told = stages_ms(run / "trace.json")
    assert told["qwen 17"] == {"prefill": pytest.approx(2.000001), "decode": pytest.approx(6.999999 + 0.1)}
    assert set(told) == {"qwen 17", "somebody else's"}


def test_times_are_read_back_to_the_nanosecond(tmp_path: Path) -> None:
    wanted = [(4_500_000_000_000_000_001 + n * 7, 4_500_000_000_000_000_001 + n * 7 + n) for n in range(1, 50)]
    with trace.recording(tmp_path):
        request = trace.track("r")
        for started, ended in wanted:
            trace.mark("decode", started, ended, request)
    row = requests(tmp_path / "trace.json").rows["r"]
    assert sorted((timed.started_ns, timed.ended_ns) for timed in row) == wanted


def test_a_run_that_timed_nothing_has_nothing_to_export(run: Path) -> None:
    write(run, [])
    assert otel.metrics(run, None) is None
    assert list(otel.traces(run, "server")) == []


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"traceEvents":[\n', b'{"otherData":{"schema":"x"},"traceEvents":[\n']
)
def test_a_file_that_is_no_trace_of_ours_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trace.json").write_bytes(content)
    with pytest.raises(UserError, match=r"trace\.json"):
        requests(tmp_path / "trace.json")


@pytest.mark.parametrize("instant", ["1e5", '"soon"', "null", "1.2x"])
def test_a_line_that_was_edited_is_named(tmp_path: Path, instant: str) -> None:
    with trace.recording(tmp_path) as made:
        trace.emit("x", trace.track("r"))
    lines = made.path.read_text().splitlines(keepends=True)
    (number,) = [at for at, line in enumerate(lines) if '"ph":"i"' in line]
    lines[number] = f'{{"ph":"i","pid":2,"tid":1,"ts":{instant},"name":"x"}}\n'
    made.path.write_text("".join(lines))
    with pytest.raises(UserError, match=f"line {number + 1}"):
        requests(made.path)


def test_the_command_writes_both_files_and_overwrites_none(run: Path, tmp_path: Path) -> None:
    def export(*more: str) -> Result:
        return CliRunner().invoke(app, ["export", str(run), "--to", "otel", "--out", str(tmp_path / "out"), *more])

    assert export("--candidate", "nobody").exit_code != 0
    assert export().exit_code == 0
    assert all((tmp_path / "out" / name).stat().st_size for name in ("traces.jsonl", "metrics.jsonl"))
    again = export()
    assert isinstance(again.exception, UserError)
    assert "already" in again.exception.message
