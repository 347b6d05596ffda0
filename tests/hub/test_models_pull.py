"""`fourways models pull` from a Hub on this machine: pinned, verified, resumed, registered; or refused in one line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from fourways import zoo
from fourways.cli import main
from fourways.core.manifest import Manifest
from fourways.hub import download
from fourways.hub.data import Silent
from fourways.hub.pull import pull
from fourways.hub.registry import Registry, in_force

OLD, NEW = "1" * 40, "2" * 40
CHUNK = constants.DOWNLOAD_CHUNK_SIZE
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from fourways.cli import main; main()"
)


@pytest.fixture(scope="module")
def files(kit: Any) -> dict[str, bytes]:
    """A checkpoint whose weights come in several of the client's chunks."""
    small = {file.name: file.read_bytes() for file in zoo.checkpoint("qwen").iterdir() if file.suffix != ".safetensors"}
    body = kit.noise(2 * CHUNK + 4096)
    tensor = {"dtype": "F32", "shape": [len(body) // 4], "data_offsets": [0, len(body)]}
    header = json.dumps({"model.language_model.norm.weight": tensor}).encode()
    return {**small, "model.safetensors": len(header).to_bytes(8, "little") + header + body}


@pytest.fixture
def hub(models_kit: Any, files: dict[str, bytes]) -> Iterator[Any]:
    with models_kit.serve_hub() as served:
        other = {**files, "generation_config.json": b'{"max_new_tokens": 7}'}
        served.repositories["org/tiny"] = models_kit.Repository({OLD: files, NEW: other}, {"main": NEW, "v1": OLD})
        yield served


@pytest.fixture
def here(tmp_path: Path, hub: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for each test: caches, registry, endpoint."""
    for name, value in {
        "HF_HOME": tmp_path / "hf", "HF_ENDPOINT": hub.url, "HF_TOKEN": "", "HF_HUB_DISABLE_TELEMETRY": "1",
        "FOURWAYS_CACHE": tmp_path / "cache", "FOURWAYS_REGISTRY": tmp_path / "registry.db",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_a_process(*words: str) -> subprocess.CompletedProcess[str]:
    """The Hub's client reads its settings at import."""
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "models", *words], capture_output=True, text=True, timeout=120, check=False
    )


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def fourways(*words: str) -> Done:
    """The command in this process; `here` set what the client read at import."""
    out, error, code = io.StringIO(), io.StringIO(), 0
    before, sys.argv = sys.argv, ["fourways", "models", *words]
    try:
        with redirect_stdout(out), redirect_stderr(error):
            main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    finally:
        sys.argv = before
    return Done(code, out.getvalue(), error.getvalue())


def blobs(here: Path) -> Path:
    return here / "hf" / "hub" / "models--org--tiny" / "blobs"


def test_a_branch_is_resolved_to_its_commit_and_registered_with_its_manifest(here: Path, hub: Any) -> None:
    done = in_a_process("pull", "org/tiny")
    assert done.returncode == 0, done.stderr
    with Registry(in_force()) as registry:
        entry = registry.get("tiny")
    assert (entry.source, entry.revision, entry.kind) == ("org/tiny", NEW, "model")
    assert entry.folder == str(here / "hf" / "hub" / "models--org--tiny" / "snapshots" / NEW)
    assert isinstance(entry.manifest, Manifest) and entry.manifest.hashes == "complete"
    assert entry.identity == entry.manifest.identity is not None
    assert entry.manifest.licence == "apache-2.0"
    assert "README.md" not in {file.name for file in entry.files}
    assert (here / "hf/hub/models--org--tiny/refs/main").read_text() == NEW
    again = fourways("pull", "org/tiny")
    assert again.returncode == 0 and "registered already, at this commit" in again.stdout
    assert len(hub.ranges("model.safetensors")) == 1


def test_a_pinned_revision_is_the_one_that_comes_and_needs_no_network_the_second_time(here: Path, hub: Any) -> None:
    assert fourways("pull", "org/tiny@v1", "--name", "by-tag").returncode == 0
    count = len(hub.asked)
    assert fourways("pull", f"org/tiny@{OLD}", "--name", "by-commit").returncode == 0
    assert len(hub.asked) == count
    with Registry(in_force()) as registry:
        assert registry.get("by-tag").revision == registry.get("by-commit").revision == OLD


def test_a_cut_connection_is_taken_up_where_it_was_cut(here: Path, hub: Any) -> None:
    hub.repositories["org/tiny"].breaks_at["model.safetensors"] = [CHUNK + 1000]
    done = fourways("pull", "org/tiny")
    assert done.returncode == 0, done.stderr
    assert hub.ranges("model.safetensors") == [None, f"bytes={CHUNK}-"]


def test_what_came_before_a_failure_is_not_fetched_again_by_the_next_pull(here: Path, hub: Any) -> None:
    repository = hub.repositories["org/tiny"]
    repository.breaks_at["model.safetensors"] = [CHUNK + 1000]
    repository.fails_after["model.safetensors"] = 1
    stopped = fourways("pull", "org/tiny")
    assert stopped.returncode == 1
    assert "the download from" in stopped.stderr and "the same command goes on" in stopped.stderr
    [part] = blobs(here).glob("*.fourways")
    assert part.stat().st_size == CHUNK
    del repository.fails_after["model.safetensors"]
    assert fourways("pull", "org/tiny").returncode == 0
    assert hub.ranges("model.safetensors")[-1] == f"bytes={CHUNK}-"
    assert not list(blobs(here).glob("*.fourways"))


def test_a_pull_that_was_killed_goes_on(here: Path, hub: Any, files: dict[str, bytes]) -> None:
    blobs(here).mkdir(parents=True)
    digest = hashlib.sha256(files["model.safetensors"]).hexdigest()
    (blobs(here) / f"{digest}.fourways").write_bytes(files["model.safetensors"][:3_000_000])
    assert fourways("pull", "org/tiny").returncode == 0
    assert hub.ranges("model.safetensors") == ["bytes=3000000-"]


def test_the_disk_needs_room_only_for_what_is_not_here_yet(
    here: Path, hub: Any, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = files["model.safetensors"]
    free = download._ROOM_TO_SPARE + len(body) // 2
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert "GiB of disk" in fourways("pull", "org/tiny").stderr
    blobs(here).mkdir(parents=True)
    part = blobs(here) / f"{hashlib.sha256(body).hexdigest()}.fourways"
    part.write_bytes(body[: len(body) * 3 // 4])
    assert fourways("pull", "org/tiny").returncode == 0


def test_two_pulls_at_once_fetch_once(here: Path, hub: Any) -> None:
    hub.repositories["org/tiny"].pause_s["model.safetensors"] = 0.0002
    notes: list[str] = []

    class Told(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: pull("org/tiny", Told()), range(2))
    assert first == second and first.commit == NEW
    assert len(hub.ranges("model.safetensors")) == 1
    assert notes == ["another pull of models--org--tiny is running; waiting for it"]


def test_weights_that_are_not_what_the_hub_says_are_not_taken(here: Path, hub: Any) -> None:
    hub.repositories["org/tiny"].corrupt.add("model.safetensors")
    done = fourways("pull", "org/tiny")
    assert done.returncode == 1 and "arrived damaged" in done.stderr
    assert not list(blobs(here).iterdir())
    hub.repositories["org/tiny"].corrupt.clear()
    assert fourways("pull", "org/tiny").returncode == 0


def test_more_than_the_hub_says_is_not_written(here: Path, hub: Any, files: dict[str, bytes]) -> None:
    """An answer without a length may never end."""
    repository = hub.repositories["org/tiny"]
    repository.goes_on["model.safetensors"] = 4 * CHUNK
    repository.claims["model.safetensors"] = len(files["model.safetensors"])
    done = fourways("pull", "org/tiny")
    assert done.returncode == 2 and "sends more than the" in done.stderr
    [part] = blobs(here).iterdir()
    assert part.stat().st_size <= len(files["model.safetensors"])
    repository.goes_on.clear()
    assert fourways("pull", "org/tiny").returncode == 0


def test_another_host_gets_no_token(
    here: Path, hub: Any, models_kit: Any, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    with models_kit.serve_hub() as store:
        store.repositories["org/tiny"] = hub.repositories["org/tiny"]
        hub.repositories["org/tiny"] = models_kit.Repository(
            {NEW: files}, {"main": NEW}, elsewhere=store.url.replace("127.0.0.1", "localhost")
        )
        done = fourways("pull", "org/tiny")
    assert done.returncode == 0, done.stderr
    assert hub.tokens and store.tokens == []
    assert len(store.ranges("model.safetensors")) == 1
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("file", ["../../out.json", "/tmp/out.json", "a\\..\\b.json", "..", ".json/../../x.json"])
def test_a_file_name_that_leads_out_of_the_repository_brings_nothing(
    here: Path, hub: Any, files: dict[str, bytes], file: str
) -> None:
    hub.repositories["org/tiny"].commits[NEW] = {**files, file: b"{}"}
    done = fourways("pull", "org/tiny")
    assert done.returncode in (0, 2) and "fault of Fourways" not in done.stderr
    inside = here / "hf" / "hub"
    for found in here.rglob("*.json"):
        assert found.resolve().is_relative_to(inside) and not found.name.startswith(("out", "b.", "x."))
    assert not Path("/tmp/out.json").exists()


@pytest.mark.parametrize(
    ("word", "said", "code"),
    [
        ("org/tiny@nowhere", "the Hub has no such revision", 2),
        ("org/nothing", "no such model on http://127.0.0.1", 2),
        ("org/tiny@../../x", "is no revision", 2),
        ("tiny", "is no Hugging Face id", 2),
        ("org/gated", "is gated on the Hub", 2),
        ("org/pickled", "has no safetensors on the Hub", 2),
        ("org/huge", "needs 1048576.0 GiB of disk", 1),
    ],
)
def test_what_cannot_be_pulled_is_one_clear_line_and_leaves_no_entry(
    here: Path, hub: Any, models_kit: Any, files: dict[str, bytes], word: str, said: str, code: int
) -> None:
    kept = {"config.json": files["config.json"], "model.safetensors": b"8" * 100}
    hub.repositories["org/gated"] = models_kit.Repository({NEW: kept}, {"main": NEW}, gated=True)
    hub.repositories["org/pickled"] = models_kit.Repository({NEW: {"pytorch_model.bin": b"x"}}, {"main": NEW})
    hub.repositories["org/huge"] = models_kit.Repository(
        {NEW: kept}, {"main": NEW}, claims={"model.safetensors": 1 << 50}
    )
    done = fourways("pull", word)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ") or "\nerror: " in done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    assert json.loads(fourways("list", "--json").stdout)["models"] == []


def test_a_name_that_is_taken_is_told_before_anything_is_fetched(here: Path, hub: Any, tmp_path: Path) -> None:
    shutil.copytree(zoo.checkpoint("llava"), tmp_path / "other")
    assert fourways("add", "tiny", str(tmp_path / "other")).returncode == 0
    done = fourways("pull", "org/tiny")
    assert done.returncode == 2 and "tiny is registered already" in done.stderr and "--name" in done.stderr
    assert hub.asked == []


def test_ctrl_c_keeps_what_came(here: Path, hub: Any, models_kit: Any, files: dict[str, bytes]) -> None:
    hub.repositories["org/tiny"].breaks_at["model.safetensors"] = [CHUNK + 1000, *[0] * 100]
    pulling = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "models", "pull", "org/tiny"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    deadline = time.monotonic() + 60
    while not [part for part in blobs(here).glob("*.fourways") if part.stat().st_size] and time.monotonic() < deadline:
        time.sleep(0.02)
    pulling.send_signal(signal.SIGINT)
    _, said = pulling.communicate(timeout=60)
    assert pulling.returncode == 130, said
    assert "what was fetched is kept" in said
    [part] = blobs(here).glob("*.fourways")
    assert part.stat().st_size == CHUNK
