"""`fourways models manifest` as it is typed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fourways import zoo
from fourways.hub import look
from fourways.hub.manifest import read_manifest

COMMAND = (sys.executable, "-c", "from fourways.cli import main; main()", "models", "manifest")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def typed(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)


def test_a_name_gives_a_table_with_what_the_checkpoint_is() -> None:
    told = typed("zoo:qwen")
    assert told.returncode == 0, told.stderr
    for words in ("qwen2.5-vl", "transformers layout", "fp32, 1,613,248 parameters", "apache-2.0", "hashes complete"):
        assert words in told.stdout


def test_json_is_the_manifest_and_no_hashes_leaves_them_pending() -> None:
    folder = zoo.checkpoint("llava")
    whole, pending = typed(folder, "--json"), typed(folder, "--json", "--no-hashes")
    made, waiting = json.loads(whole.stdout), json.loads(pending.stdout)
    assert {file["name"]: file["sha256"] for file in made["files"]} == look(folder).sha256
    assert (waiting["hashes"], waiting["identity"]) == ("pending", None)
    assert whole.stderr == ""


def test_out_writes_it_beside_the_weights_or_where_it_is_told(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(zoo.checkpoint("internvl"), tmp_path / "model"))
    assert typed(folder, "--out", folder).returncode == 0
    assert typed(folder, "--out", tmp_path / "mine.json", "--no-hashes").returncode == 0
    beside, elsewhere = read_manifest(folder), read_manifest(tmp_path / "mine.json")
    assert (beside.hashes, elsewhere.hashes) == ("complete", "pending")
    assert [file.name for file in beside.files] == [file.name for file in elsewhere.files]


def test_nothing_heavy_is_imported() -> None:
    folder = str(zoo.checkpoint("qwen"))
    code = (
        f"import sys; sys.argv = ['fourways', 'models', 'manifest', {folder!r}]\n"
        "from fourways.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'numpy', 'torch', 'transformers', 'huggingface_hub', 'safetensors', 'sqlalchemy'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere/at-all",), "is not on this machine"),
        (("./nowhere",), "no such folder"),
        (("zoo:nobody",), "there is no embedded model 'nobody'"),
        ((".",), "has no config.json"),
        (("zoo:qwen", "--out", "nowhere/x.json"), "could not be written"),
    ],
)
def test_what_cannot_be_done_says_why_and_what_to_do(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = typed(*words)
    assert told.returncode == (1 if "written" in said else 2)
    assert said in told.stderr
    assert "hint: " in told.stderr
    assert "Traceback" not in told.stderr
    assert told.stdout == ""


def test_a_file_of_a_stopped_run_is_pending_and_the_next_run_reads_only_what_was_left(tmp_path: Path) -> None:
    """Ctrl-C while 32 GiB are hashed: it ends at once, with a valid manifest, and finished files are kept."""
    folder = Path(shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "model"))
    with (folder / "extra.json").open("wb") as stream:
        stream.truncate(1 << 35)  # sparse: 32 GiB of zeros take many seconds to hash and no room
    code = (
        "import signal, fourways.hub.cache as cache; cache._SETTLED_NS = -1\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from fourways.cli import main; main()"
    )
    words = [sys.executable, "-c", code, "models", "manifest", str(folder), "--out", str(folder)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as child:
        cache = Path(os.environ["FOURWAYS_CACHE"]) / "sha256.jsonl"
        until = time.monotonic() + 60
        while (not cache.exists() or "model.safetensors" not in cache.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        asked = time.monotonic()
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=30)
    assert (child.returncode, time.monotonic() - asked < 5) == (130, True), stderr
    assert read_manifest(folder).hashes == "pending"
    assert "extra.json" not in cache.read_text()
