"""What several rooms' tests need: a published run of invented rows, small and whole on every axis; keys to sign it
with; real vLLM servers of the embedded models."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def published_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never to be changed: `run_copy` is."""
    from fourways.compare.progress import Lines
    from fourways.compare.publishing import publish
    from fourways.core.run import RunState
    from fourways.core.run_files import STATE_FILE
    from fourways.evidence import build_header, write_header

    folder = tmp_path_factory.mktemp("published") / "run"
    folder.mkdir()
    header = build_header(**_header())
    write_header(header, folder)
    _write_rows(folder, header.run_id, header.source)
    finished = {axis: ["a", "b"] for axis in header.axes}
    import msgspec

    (folder / STATE_FILE).write_bytes(msgspec.json.encode(RunState(finished=finished)))
    publish(folder, header, {}, Lines(io.StringIO()), pictures=False)
    return folder


@pytest.fixture
def run_copy(published_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published_run, tmp_path / "run")


def _header() -> dict[str, object]:
    from fourways import figures
    from fourways.core.candidate import Candidate
    from fourways.core.engine import EngineInfo
    from fourways.core.run import BenchmarkRecord, CandidateRecord, PlanRecord, asked_sha256

    engine = EngineInfo("local", "generic", None, frozenset({"generate"}), {"threads": "1"})
    candidates = [
        CandidateRecord(
            Candidate(name, model=f"zoo:{name}"), "Qwen2VLForConditionalGeneration", {"w": "0" * 64}, engine
        )
        for name in ("a", "b")
    ]
    samples = [str(i) for i in range(_SAMPLES)]
    suite = [
        BenchmarkRecord(
            key, key, "data", "0" * 64, 1, 1, 1, "0" * 64, asked=_SAMPLES, asked_sha256=asked_sha256(samples)
        )
        for key in ("mme", "vqav2")
    ]
    return {
        "run_id": "2026-11-22T10-04-05Z-a-b", "argv": ["fourways", "compare"], "seed": 7, "limit": _SAMPLES,
        "axes": ("accuracy", "latency", "memory", "tuning"), "quick": True, "candidates": candidates, "suite": suite,
        "definitions": dict(figures.DEFINITIONS),
        "plan": PlanRecord(6, (1, 2), 2, (0, 1), 4, 5),
    }  # fmt: skip


_SAMPLES = 12


def _write_rows(folder: Path, run_id: str, source: object) -> None:
    import random

    from fourways.core.rows import ROWS_SCHEMA, RowsHeader
    from fourways.evidence import RowLog

    rng = random.Random(4)
    commit, branch, date = (getattr(source, name) for name in ("commit", "branch", "commit_date"))
    with RowLog(folder, RowsHeader(ROWS_SCHEMA, run_id, commit, branch, date)) as log:
        for name in ("a", "b"):
            for make in (_answers, _requests, _readings, _steps):
                for row in make(name, rng):
                    log.append(row)


def _answers(name: str, rng):  # type: ignore[no-untyped-def]  # rows of any kind
    from fourways.core.request import derive_seed
    from fourways.core.rows import AnswerRow

    for key in ("mme", "vqav2"):
        for i in range(_SAMPLES):
            right = rng.random() < 0.7
            gold = ("yes",) * (10 if key == "vqav2" else 1)
            yield AnswerRow(
                candidate=name, benchmark=key, sample=str(i), group=f"color{i // 2}" if key == "mme" else str(i),
                image=f"{key}{i // 2}", category="color" if key == "mme" else "other", question="Is it?", gold=gold,
                reply="yes" if right else "no", parsed="yes" if right else "no", score=float(right), status="ok",
                finish_reason="stop", mean_logprob=-rng.random(), output_tokens=1, visuals=(), prompt_sha256="0" * 64,
                seed=derive_seed(7, f"{key}/{i}"), extra={"question_type": "what"},
            )  # fmt: skip


def _requests(name: str, rng):  # type: ignore[no-untyped-def]  # rows of any kind
    from fourways.core.load import Load
    from fourways.core.rows import ClientRow, RequestRow

    for size in (1, 2):
        for block in range(2):
            for cache in ("cold", "warm"):
                for item in range(3 * block, 3 * block + 3):
                    e2e = rng.gauss(300, 30)
                    at = 1000.0 * item
                    yield RequestRow(
                        name, "describe-32@2", size, cache, block, item, f"i{item}", at, at, e2e / 4, e2e, e2e / 40,
                        (9.0, 10.0), 100, 64, 32, {"prefill": e2e / 5},
                    )  # fmt: skip
                yield ClientRow(
                    name, "describe-32@2", Load(concurrency=size), cache, block, 900.0, 9.0, 5, 1.0, 2.0, 2.0, True
                )


def _readings(name: str, rng):  # type: ignore[no-untyped-def]  # rows of any kind
    from fourways.core.rows import MemoryRow

    readings = [
        ("weights", "exact", 6_000_000), ("vision_encode", "live_tensors", 9_000_000),
        ("decode", "process_above_load", 90_000_000), ("train_step", "live_tensors", 95_000_000),
        ("kv_per_token", "exact", 1024),
    ]  # fmt: skip
    for repeat in range(2):
        for stage, quantity, size in readings:
            yield MemoryRow(name, repeat, stage, quantity, size, (640, 480), 1, 400)


def _steps(name: str, rng):  # type: ignore[no-untyped-def]  # rows of any kind
    from fourways.core.rows import TrainStepRow, TuneAnswerRow

    for seed in (0, 1):
        for phase, share in (("before", 0.2), ("after", 0.8)):
            for i in range(5):
                score = float(rng.random() < share)
                yield TuneAnswerRow(name, "star", seed, phase, str(i), f"i{i}", "q", "g", "r", score)
        for step in range(4):
            norms = {"m": 3.0, "n": 4.0} if step == 0 else None
            yield TrainStepRow(name, "star", seed, step, 1.0 - step / 10, 1e-3, 20.0, 10**7, norms)


@dataclass(frozen=True)
class Keyring:
    """A gpg home of the tests' own."""

    home: Path

    def gpg(self, *arguments: str) -> str:
        """What gpg says on standard output; keys have no passphrase."""
        command = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "--pinentry-mode", "loopback"]
        done = subprocess.run(
            [*command, "--passphrase", "", *arguments], capture_output=True, text=True, errors="replace", check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make(self, email: str, *more: str) -> str:
        """A new ed25519 key that signs; its fingerprint."""
        self.gpg(*more, "--quick-generate-key", f"{email.partition('@')[0]} <{email}>", "ed25519", "sign", "never")
        return self.fingerprints(email)[0]

    def make_at(self, when: str, email: str, expires: str) -> str:
        """A key of the past."""
        self.gpg("--faked-system-time", when, "--quick-generate-key", f"o <{email}>", "ed25519", "sign", expires)
        return self.fingerprints(email)[0]

    def signed(self, content: Path, *options: str) -> bytes:
        """A detached signature that gpg makes under these options."""
        made = content.with_name("made.sig")
        self.gpg(*options, "--output", str(made), "--detach-sign", "--", str(content))
        return made.read_bytes()

    def fingerprints(self, name: str) -> list[str]:
        """Of the primary key and its subkeys."""
        listed = self.gpg("--with-colons", "--list-keys", "--", name).splitlines()
        return [line.split(":")[9] for line in listed if line.startswith("fpr:")]

    def public(self, name: str, path: Path) -> Path:
        path.write_text(self.gpg("--armor", "--export", "--", name))
        return path

    def private(self, name: str, path: Path) -> Path:
        path.write_text(self.gpg("--armor", "--export-secret-keys", "--", name))
        path.chmod(0o600)
        return path


@pytest.fixture(scope="session")
def new_keyring() -> Iterator[Callable[[], Keyring]]:
    """Makes keyrings, in short folders (a socket's path may be 107 bytes long); their agents end with the tests."""
    homes: list[Path] = []

    def make() -> Keyring:
        homes.append(Path(tempfile.mkdtemp(prefix="fk-", dir="/tmp")))
        return Keyring(homes[-1])

    yield make
    for home in homes:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def keyring(new_keyring: Callable[[], Keyring]) -> Keyring:
    """Of alice, whom the tests allow, and mallory, whom they do not."""
    made = new_keyring()
    made.make("alice@example.org")
    made.make("mallory@example.org")
    return made


@pytest.fixture(scope="session")
def locked_keyring(new_keyring: Callable[[], Keyring]) -> Keyring:
    """Of l@example.org, whose passphrase is `open`."""
    made = new_keyring()
    (made.home / "gpg-agent.conf").write_text("s2k-count 65536\n")  # else the agent measures for seconds
    command = ["gpg", "--homedir", str(made.home), "--batch", "--pinentry-mode", "loopback", "--passphrase", "open"]
    key = ["--quick-generate-key", "l <l@example.org>", "ed25519", "sign"]
    subprocess.run([*command, *key], check=True, capture_output=True)
    private = subprocess.run([*command, "--armor", "--export-secret-keys"], check=True, capture_output=True).stdout
    (made.home / "locked.asc").write_bytes(private)
    return made


@pytest.fixture
def told_passphrase(locked_keyring: Keyring) -> Callable[[str], int]:
    """A descriptor from which these words are read; the agent remembers no earlier ones."""
    subprocess.run(["gpgconf", "--homedir", str(locked_keyring.home), "--kill", "all"], check=True)

    def tell(words: str) -> int:
        read, write = os.pipe()
        os.write(write, f"{words}\n".encode())
        os.close(write)
        return read

    return tell


@pytest.fixture(scope="session")
def allow_alice(keyring: Keyring, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keyring.public("alice@example.org", tmp_path_factory.mktemp("allowed") / "alice.asc")


@pytest.fixture(scope="session")
def signed_run(published_run: Path, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By alice; never to be changed."""
    from fourways.evidence.signature.gpg import Gpg
    from fourways.evidence.signing import sign_run

    folder = shutil.copytree(published_run, tmp_path_factory.mktemp("signed") / "run")
    signer, found = sign_run(folder, Gpg(keyring.home), "alice@example.org")
    assert signer is not None, found
    return folder


@pytest.fixture
def signed_copy(signed_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(signed_run, tmp_path / "signed")


# -- vLLM ------------------------------------------------------------------------------------------------------------
_VLLM = "FOURWAYS_TEST_VLLM"
_OFFLINE = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Vllm:
    """A server, the checkpoint that it serves under the folder's name, and its log."""

    url: str
    folder: Path
    log: Path
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def embedded_in_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Vllm]]:
    """Name → a vLLM with that embedded model. They are started together: each spends its first minute on one core."""
    from fourways import zoo

    program = os.environ.get(_VLLM)
    if not program:
        pytest.skip(f"{_VLLM} is not set: it names the `vllm` program of an installed vLLM")
    where = tmp_path_factory.mktemp("vllm")
    servers: dict[str, Vllm] = {}
    try:
        for name in zoo.NAMES:  # both sides get these bytes, whatever `make zoo` does meanwhile
            servers[name] = _started(program, shutil.copytree(zoo.checkpoint(name), where / name))
        ends = time.monotonic() + 600
        for server in servers.values():
            _wait_until_ready(server, ends)
        yield servers
    finally:
        for server in servers.values():
            _stop(server.process)


def _started(program: str, folder: Path) -> Vllm:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    log = folder.with_suffix(".log")
    command = [
        program, "serve", str(folder), "--host", "127.0.0.1", "--port", port, "--served-model-name", folder.name,
        "--max-model-len", "1024", "--dtype", "float32", "--max-num-seqs", "8", "--enforce-eager",
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=folder.parent, env={**os.environ, **_OFFLINE}, start_new_session=True
        )
    return Vllm(f"http://127.0.0.1:{port}", folder, log, process)


def _wait_until_ready(server: Vllm, ends: float) -> None:
    import httpx

    while time.monotonic() < ends:
        assert server.process.poll() is None, f"vLLM ended: {server.log.read_text(errors='replace')[-3000:]}"
        with suppress(httpx.HTTPError):
            if httpx.get(f"{server.url}/health", timeout=2, trust_env=False).status_code == 200:
                return
        time.sleep(1)
    pytest.fail(f"vLLM was not ready in time: {server.log.read_text(errors='replace')[-3000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Its engine runs in a child; all of them are in the session that was started for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
