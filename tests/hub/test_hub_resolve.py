"""A name leads to one place; a local folder always wins over the network, and a wrong name is explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fourways import zoo
from fourways.core.errors import CheckpointError, FourwaysError
from fourways.hub import locate, resolve, shipped_configs
from fourways.hub.download import Remote, check_space

EMBEDDED = {name: zoo.checkpoint(name) for name in zoo.NAMES}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FOURWAYS_REGISTRY", str(tmp_path / "registry.db"))


def test_an_embedded_model_is_found_with_and_without_its_prefix() -> None:
    assert locate("zoo:qwen", embedded=EMBEDDED).folder == locate("qwen", embedded=EMBEDDED).folder == EMBEDDED["qwen"]


def test_a_local_folder_wins_over_an_embedded_name(tmp_path: Path) -> None:
    (tmp_path / "qwen").mkdir()
    assert locate("qwen", embedded=EMBEDDED).folder == Path("qwen")
    assert locate("zoo:qwen", embedded=EMBEDDED).folder == EMBEDDED["qwen"]


def test_a_local_folder_wins_over_a_hub_id_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "Qwen" / "Qwen2.5-VL-7B-Instruct").mkdir(parents=True)
    found = locate("Qwen/Qwen2.5-VL-7B-Instruct", embedded=EMBEDDED)
    assert found.folder == Path("Qwen/Qwen2.5-VL-7B-Instruct")
    assert found.remote is None


def test_a_misspelt_name_gets_the_nearest_one() -> None:
    with pytest.raises(CheckpointError) as caught:
        locate("qwem", embedded=EMBEDDED)
    assert caught.value.hint is not None and "did you mean qwen?" in caught.value.hint


def test_a_configuration_named_without_random_weights_says_what_is_missing() -> None:
    with pytest.raises(CheckpointError, match="is a configuration without weights") as caught:
        locate("Qwen2.5-VL-7B-Instruct", embedded=EMBEDDED)
    assert caught.value.hint == "add --weights random, or give the Hub id: org/name"


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere", "a/b/c"])
def test_a_path_that_is_not_there_is_called_no_folder(name: str) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        locate(name, embedded=EMBEDDED)


def test_a_file_in_place_of_a_folder_is_called_a_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a file"):
        locate("./model.safetensors", embedded=EMBEDDED)


def test_an_unknown_embedded_name_lists_the_known_ones() -> None:
    with pytest.raises(CheckpointError) as caught:
        resolve("zoo:gpt", embedded=EMBEDDED)
    assert caught.value.hint is not None and "qwen" in caught.value.hint


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_configuration_resolves_for_random_weights_by_name_and_by_hub_id(name: str) -> None:
    for word in (name, f"someone/{name}"):
        checkpoint = resolve(word, embedded=EMBEDDED, weights="random")
        assert checkpoint.random_weights
        assert checkpoint.architecture.endswith("ForConditionalGeneration")


def test_a_download_that_the_disk_cannot_hold_is_refused_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(FourwaysError, match=r"needs 1048576\.0 GiB of disk"):
        check_space(Remote("org/huge", None, {"model.safetensors": 1 << 50}), tmp_path / "not" / "yet")


COMMIT = "0" * 40
CONFIG = b'{"architectures": ["AnyForConditionalGeneration"]}'
REPOSITORIES = {"org/pickled": ["pytorch_model.bin"], "org/whole": ["config.json", "model.safetensors"]}


class _Hub(BaseHTTPRequestHandler):
    """What the tests need of a Hub: lists of files, one file that can be fetched (config.json), and 404."""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        known = next((name for name in REPOSITORIES if self.path.startswith(f"/api/models/{name}")), None)
        if known is not None:
            files = [
                {"rfilename": file, "type": "file", "path": file, "oid": file, "size": len(CONFIG)}
                for file in REPOSITORIES[known]
            ]
            tree = "/tree/" in self.path
            body = json.dumps(files if tree else {"id": known, "sha": COMMIT, "siblings": files}).encode()
            self.send_response(200)
        elif self.path == f"/org/whole/resolve/{COMMIT}/config.json":
            body = CONFIG
            self.send_response(200)
            self.send_header("ETag", '"e"')
            self.send_header("X-Repo-Commit", COMMIT)
        else:
            body = b'{"error": "Repository not found"}'
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def asked(name: str, tmp_path: Path, weights: str = "trained", **environment: str) -> str:
    """What a fresh process (the Hub's client reads its settings at import) says of a name."""
    script = (
        "import sys; from fourways.core.errors import FourwaysError; from fourways.hub import resolve\n"
        "try: print(resolve(sys.argv[1], embedded={}, weights=sys.argv[2]).architecture)\n"
        "except FourwaysError as e: print(f'{e.exit_code}|{e.message}|{e.hint}')\n"
    )
    settings = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "", **environment}
    done = subprocess.run(
        [sys.executable, "-c", script, name, weights],
        check=False,
        env=settings,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_hub_model_with_pickles_only_is_refused_before_any_download(hub: str, tmp_path: Path) -> None:
    said = asked("org/pickled", tmp_path, HF_ENDPOINT=hub)
    assert said.startswith("2|org/pickled has no safetensors on the Hub")


def test_random_weights_fetch_the_configuration_alone(hub: str, tmp_path: Path) -> None:
    assert asked("org/whole", tmp_path, "random", HF_ENDPOINT=hub) == "AnyForConditionalGeneration"
    assert not list((tmp_path / "hf").rglob("*.safetensors"))


def test_a_hub_that_does_not_know_the_model_is_named(hub: str, tmp_path: Path) -> None:
    said = asked("org/nothing", tmp_path, HF_ENDPOINT=hub)
    assert said.startswith(f"2|org/nothing: no such folder here, and no such model on {hub}")


def test_an_endpoint_that_cannot_be_reached_is_one_clear_line(tmp_path: Path) -> None:
    said = asked("org/name", tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert said.startswith("1|org/name is no local folder, and http://127.0.0.1:9 cannot be reached")
    assert "HF_ENDPOINT" in said


def test_offline_mode_is_named_as_the_cause(tmp_path: Path) -> None:
    assert "HF_HUB_OFFLINE is set" in asked("org/name", tmp_path, HF_HUB_OFFLINE="1")
