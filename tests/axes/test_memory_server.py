"""A server that reserves its memory is asked what it reserved for what; what it does not say is never guessed."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fourways.axes.memory_server import ServerProfile, from_log, server_rows
from fourways.core.candidate import Candidate
from fourways.core.rows import FailureRow, MemoryRow, Row

DATA = Path(__file__).parents[1] / "data" / "vllm"
CPU_LOG = DATA / "cpu_0.32.0.log"
CPU_METRICS = DATA / "cpu_0.32.0_metrics.txt"
"""Both were written by vLLM 0.32.0's CPU backend with `zoo:qwen`; lines of no interest are left out."""
GIB = 2**30
GPU_LINES = (
    "(EngineCore pid=7) INFO 11-22 10:00:00 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: …",
    "(Worker_TP0 pid=8) INFO 11-22 10:00:09 [gpu_model_runner.py] Model loading took 14.98 GiB memory and 3.6 seconds",
    "(Worker_TP1 pid=9) INFO 11-22 10:00:09 [gpu_model_runner.py] Model loading took 15.02 GiB memory and 3.6 seconds",
    "(Worker_TP0 pid=8) INFO 11-22 10:00:29 [gpu_worker.py:760] Available KV cache memory: 53.29 GiB",
    "(EngineCore pid=7) INFO 11-22 10:00:29 [kv_cache_utils.py:2327] GPU KV cache size: 158,656 tokens, Maximum "
    "concurrency for 32,768 tokens per request: 4.84x",
    "(Worker_TP0 pid=8) INFO 11-22 10:00:40 [gpu_worker.py:1036] Free memory on device (78.7/79.25 GiB) on startup. "
    "Desired GPU memory utilization is (0.92, 72.9 GiB). Actual usage is 16.8 GiB for consumed memory (weights + "
    "non-torch), 1.26 GiB for peak activation, and 0.51 GiB for CUDAGraph memory. Replace gpu_memory_utilization …",
)
"""As the format strings of vLLM 0.32.0's v1/worker/gpu_worker.py and gpu_model_runner.py write them."""


def test_the_cpu_backends_own_log_says_how_much_it_set_apart() -> None:
    assert from_log(CPU_LOG.read_text().splitlines()) == ServerProfile(kv_cache=GIB, kv_tokens=419_328)


def test_a_gpu_log_tells_weights_activations_and_room_of_the_fullest_device() -> None:
    expected = ServerProfile(round(15.02 * GIB), round(1.26 * GIB), round(53.29 * GIB), 158_656)
    assert from_log(GPU_LINES) == expected


def test_only_the_last_start_in_a_log_counts() -> None:
    again = [*GPU_LINES, GPU_LINES[0], GPU_LINES[1]]
    assert from_log(again) == ServerProfile(weights=round(14.98 * GIB))


def test_other_text_tells_nothing() -> None:
    lines = ["Model loading took ages", "Model loading took . GiB", "KV cache size: none", ""]
    assert from_log(lines) == ServerProfile()


@contextmanager
def serving(pages: dict[str, str]) -> Iterator[str]:
    """A plain web server with these pages."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sizes(rows: list[Row]) -> dict[str, tuple[int, int]]:
    return {row.quantity: (row.bytes, row.context) for row in rows if isinstance(row, MemoryRow)}


def missing(rows: list[Row]) -> dict[str, tuple[str, str, str]]:
    return {row.where: (row.scope, row.message, row.status) for row in rows if isinstance(row, FailureRow)}


async def test_metrics_give_the_room_for_keys_exactly_and_the_rest_stays_undefined() -> None:
    with serving({"/metrics": CPU_METRICS.read_text()}) as url:
        rows = await server_rows(Candidate("v", url=f"{url}/v1"))
    assert sizes(rows) == {"kv_cache": (1_073_741_824, 419_328)}
    assert missing(rows) == dict.fromkeys(("weights", "activation_peak"), ("sample", "no access", "undefined"))


def test_the_cpu_backend_may_choose_by_itself() -> None:
    line = (
        "(Worker pid=9) INFO 11-22 10:00:00 [cpu_worker.py:260] Auto set (12.5/18.71) GiB for KV cache on node 0, with"
    )
    assert from_log([line]) == ServerProfile(kv_cache=round(12.5 * GIB))


async def test_a_log_fills_in_what_metrics_do_not_say(tmp_path: Path) -> None:
    log = tmp_path / "vllm.log"
    log.write_text("\n".join(GPU_LINES))
    page = CPU_METRICS.read_text().replace('kv_cache_memory_bytes="1073741824"', 'kv_cache_memory_bytes="None"')
    with serving({"/metrics": page}) as url:
        rows = await server_rows(Candidate("v", url=url, server_log=str(log)))
    assert missing(rows) == {}
    assert {name: size for name, (size, _) in sizes(rows).items()} == {
        "weights": round(15.02 * GIB), "activation_peak": round(1.26 * GIB), "kv_cache": round(53.29 * GIB),
    }  # fmt: skip


async def test_a_log_that_is_not_there_costs_only_itself() -> None:
    with serving({"/metrics": CPU_METRICS.read_text()}) as url:
        rows = await server_rows(Candidate("v", url=url, server_log="/no/such/vllm.log"))
    assert sizes(rows).keys() == {"kv_cache"}
    scope, message, status = missing(rows)["server_log"]
    assert (scope, status) == ("sample", "failed")
    assert "/no/such/vllm.log cannot be read: No such file" in message


@pytest.mark.parametrize("pages", [{}, {"/metrics": "# nothing\n"}, {"/metrics": "x" * (9 << 20)}])
async def test_a_server_that_says_nothing_of_it_has_no_access(pages: dict[str, str]) -> None:
    with serving(pages) as url:
        (row,) = await server_rows(Candidate("v", url=url))
    assert isinstance(row, FailureRow)
    assert (row.scope, row.message, row.status) == ("axis", "no access", "undefined")


async def test_a_server_that_is_gone_has_no_access() -> None:
    (row,) = await server_rows(Candidate("v", url="http://127.0.0.1:9"))
    assert isinstance(row, FailureRow)
    assert (row.message, row.status) == ("no access", "undefined")


@pytest.mark.timeout(900)
async def test_a_real_vllm_says_what_it_reserved(embedded_in_vllm: Mapping[str, Any]) -> None:
    server = embedded_in_vllm["qwen"]
    rows = await server_rows(Candidate("v", url=server.url, server_log=str(server.log)))
    size, tokens = sizes(rows)["kv_cache"]
    assert size == GIB
    assert size // tokens == 2560, "zoo:qwen: 2 x 5 layers x 2 heads x 32 numbers of 4 bytes"
    assert from_log(server.log.read_text(errors="replace").splitlines()) == ServerProfile(
        kv_cache=GIB, kv_tokens=tokens
    )
    assert missing(rows).keys() == {"weights", "activation_peak"}, "its CPU backend does not tell them"
