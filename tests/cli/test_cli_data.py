"""`fourways data` as a person runs it: real processes against a real https server."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SIZE = 600_000
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def _kit() -> ModuleType:
    if "data_server" not in sys.modules:
        place = Path(__file__).parent.parent / "hub" / "data_server.py"
        spec = importlib.util.spec_from_file_location("data_server", place)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["data_server"] = module
        spec.loader.exec_module(module)
    return sys.modules["data_server"]


kit = _kit()
BODY = kit.noise(SIZE)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate for the local https server")
    made: Path = kit.make_certificate(tmp_path_factory.mktemp("certificate"))
    return made


@pytest.fixture
def web(certificate: Path) -> Iterator[Any]:
    with kit.serve(certificate) as served:
        yield served


@pytest.fixture
def environment(tmp_path: Path, certificate: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FOURWAYS_", "HF_"))}
    own = {"FOURWAYS_DATA": tmp_path / "data", "FOURWAYS_CACHE": tmp_path / "cache", "SSL_CERT_FILE": certificate,
           "FOURWAYS_DATA_CATALOGUE": tmp_path / "catalogue.json", "HF_HOME": tmp_path / "hf"}  # fmt: skip
    return {**kept, **{name: str(value) for name, value in own.items()}}


# A process started in the background inherits an ignored Ctrl-C; a person's terminal does not ignore it.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from fourways.cli import main; main()"
)
COMMAND = [sys.executable, "-c", PROGRAM, "data"]


@pytest.fixture
def data(tmp_path: Path, environment: dict[str, str]) -> Run:
    """`fourways data …`, in a process of its own."""

    def run(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        env = {**environment, **more.pop("env", {})}
        return subprocess.run(
            [*COMMAND, *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False, **more
        )

    return run


def offer(web: Any, tmp_path: Path, path: str = "MME.tsv", **more: Any) -> Any:
    """One pinned file in the catalogue, and the page that it is on."""
    file = {"size": SIZE, "sha256": kit.sha256(BODY), "direct": f"{web.url}/MME.tsv", **more}
    kit.write_catalogue(tmp_path / "catalogue.json", {"MME.tsv": file}, path=path)
    web.pages["/MME.tsv"] = kit.Page(BODY)
    return web.pages["/MME.tsv"]


def test_pull_then_path_is_what_a_suite_is_given(web: Any, data: Run, tmp_path: Path) -> None:
    offer(web, tmp_path)
    absent = data("path", "mme")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert "hint: fourways data pull mme" in absent.stderr
    pulled = data("pull", "mme")
    assert pulled.returncode == 0, pulled.stderr
    assert "MME.tsv" in pulled.stderr and "Traceback" not in pulled.stderr
    place = tmp_path / "data" / "mme" / "small" / "MME.tsv"
    assert pulled.stdout == f"mme:small  {place}\n"
    assert data("path", "mme").stdout == f"{place}\n"
    assert place.read_bytes() == BODY
    web.pages.clear()
    assert data("pull", "mme").returncode == 0


def test_a_pull_that_was_killed_goes_on_where_it_was(
    web: Any, data: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    page = offer(web, tmp_path)
    page.pause_s = 0.05
    running = subprocess.Popen([*COMMAND, "pull", "mme"], env=environment, cwd=tmp_path)
    part = tmp_path / "data" / "mme" / "small" / ".MME.tsv.direct.part"
    _wait_for(lambda: part.exists() and part.stat().st_size > 100_000)
    running.send_signal(signal.SIGKILL)
    running.wait()
    had = part.stat().st_size
    assert 100_000 < had < SIZE
    assert data("path", "mme").returncode == 2
    assert "part" in data("list").stdout
    page.pause_s = 0
    assert data("pull", "mme").returncode == 0
    assert web.ranges() == [None, f"bytes={had}-"]
    assert (tmp_path / "data" / "mme" / "small" / "MME.tsv").read_bytes() == BODY


def test_ctrl_c_keeps_the_part_and_says_so(web: Any, environment: dict[str, str], tmp_path: Path) -> None:
    page = offer(web, tmp_path)
    page.pause_s = 0.05
    running = subprocess.Popen(
        [*COMMAND, "pull", "mme"],
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    part = tmp_path / "data" / "mme" / "small" / ".MME.tsv.direct.part"
    _wait_for(lambda: part.exists() and part.stat().st_size > 100_000)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=30)[1]
    assert running.returncode == 130
    assert "what was fetched is kept" in said and "Traceback" not in said
    assert part.stat().st_size > 100_000


def test_a_changed_file_ends_with_both_digests_and_1(web: Any, data: Run, tmp_path: Path) -> None:
    offer(web, tmp_path).body = kit.noise(SIZE, seed=2)
    pulled = data("pull", "mme")
    assert pulled.returncode == 1
    assert kit.sha256(BODY) in pulled.stderr and kit.sha256(kit.noise(SIZE, seed=2)) in pulled.stderr
    assert "hint: try another --source" in pulled.stderr


def test_what_fails_does_not_keep_the_others_away(web: Any, data: Run, tmp_path: Path) -> None:
    offer(web, tmp_path)
    catalogue = json.loads((tmp_path / "catalogue.json").read_text())
    gone = {"files": {"x.tsv": {"direct": f"{web.url}/gone"}}, "about": "a", "license": "l", "path": "x.tsv"}
    catalogue["benchmarks"]["pope"] = {"small": gone}
    (tmp_path / "catalogue.json").write_text(json.dumps(catalogue))
    pulled = data("pull", "pope", "mme")
    assert pulled.returncode == 1
    assert "error: pope:small: " in pulled.stderr and "no longer there (404)" in pulled.stderr
    assert pulled.stdout.startswith("mme:small  ")


def test_what_was_not_brought_does_not_keep_the_others_away(web: Any, data: Run, tmp_path: Path) -> None:
    offer(web, tmp_path)
    catalogue = json.loads((tmp_path / "catalogue.json").read_text())
    other = {"files": {"x.tsv": {"direct": f"{web.url}/x"}}, "about": "a", "license": "l", "path": "x.tsv"}
    catalogue["benchmarks"]["pope"] = {"small": other}
    (tmp_path / "catalogue.json").write_text(json.dumps(catalogue))
    (tmp_path / "brought").mkdir()
    (tmp_path / "brought" / "MME.tsv").write_bytes(BODY)
    pulled = data("pull", "pope", "mme", "--from", "brought")
    assert pulled.returncode == 2
    assert "pope:small: brought holds no x.tsv" in pulled.stderr
    assert "mme:small" in pulled.stdout


def test_the_hub_is_asked_at_hf_endpoint_with_the_token(web: Any, data: Run, tmp_path: Path) -> None:
    hub = {"repo": "org/set", "revision": "c" * 40, "path": "data/MME.tsv"}
    offer(web, tmp_path, direct=None, huggingface=hub)
    where = f"/datasets/org/set/resolve/{'c' * 40}/data/MME.tsv"
    web.pages["/cdn"] = web.pages.pop("/MME.tsv")
    announced = {"X-Linked-Etag": f'"{kit.sha256(BODY)}"', "X-Repo-Commit": "c" * 40}
    web.pages[where] = kit.Page(redirect=f"https://127.0.0.1:{web.port}/cdn", headers=announced)
    pulled = data("pull", "mme", env={"HF_ENDPOINT": web.url, "HF_TOKEN": "hf_secret"})
    assert pulled.returncode == 0, pulled.stderr
    assert [(path, headers.get("authorization")) for path, headers in web.asked] == [
        (where, "Bearer hf_secret"),
        ("/cdn", None),
    ]
    assert "hf_secret" not in (tmp_path / "data" / "mme" / "small" / ".fourways.json").read_text()


def test_offline_means_no_request_to_the_hub(web: Any, data: Run, tmp_path: Path) -> None:
    hub = {"repo": "org/set", "revision": "c" * 40, "path": "MME.tsv"}
    offer(web, tmp_path, direct=None, huggingface=hub)
    pulled = data("pull", "mme", env={"HF_ENDPOINT": web.url, "HF_HUB_OFFLINE": "1"})
    assert pulled.returncode == 2
    assert "HF_HUB_OFFLINE forbids" in pulled.stderr and "--from PATH" in pulled.stderr
    assert web.asked == []


def test_a_full_disk_keeps_the_part(web: Any, data: Run, tmp_path: Path) -> None:
    """Full by the system's own limit on the size of files."""
    offer(web, tmp_path)

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    pulled = data("pull", "mme", preexec_fn=small)
    assert pulled.returncode == 1
    assert "the disk is full" in pulled.stderr and "FOURWAYS_DATA" in pulled.stderr
    assert (tmp_path / "data" / "mme" / "small" / ".MME.tsv.direct.part").stat().st_size == 200_000
    assert data("pull", "mme").returncode == 0
    assert web.ranges()[-1] == "bytes=200000-"


def test_a_folder_that_cannot_be_is_one_line(web: Any, data: Run, tmp_path: Path) -> None:
    offer(web, tmp_path)
    (tmp_path / "file").write_bytes(b"")
    pulled = data("pull", "mme", env={"FOURWAYS_DATA": str(tmp_path / "file" / "data")})
    assert pulled.returncode == 1
    assert pulled.stderr.startswith("error: ") and "Traceback" not in pulled.stderr


def test_the_list_says_what_there_is_and_what_is_here(web: Any, data: Run, tmp_path: Path) -> None:
    offer(web, tmp_path, sha256=None)
    before = data("list").stdout
    assert "mme:small" in before and "first pull" in before and "no" in before
    assert data("pull", "mme").returncode == 0
    details = data("list", "mme").stdout
    assert f"sha256: {kit.sha256(BODY)}, pinned at the first pull on " in details
    (record,) = json.loads(data("list", "--json").stdout)
    assert (record["here"], record["files"]["MME.tsv"]["locked"]["sha256"]) == ("yes", kit.sha256(BODY))
    (tmp_path / "data" / "mme" / "small" / "MME.tsv").write_bytes(b"mine")
    assert "changed" in data("list").stdout
    assert data("path", "mme").returncode == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pull", "mm"), "no data of 'mm'"),
        (("pull", "mme:v9"), "no edition 'v9'"),
        (("path", "mme:v9"), "no edition 'v9'"),
        (("pull", "mme", "--source", "baidu"), "no source 'baidu'"),
        (("pull", "mme", "--url", "x=https://h/f"), "there is no file x"),
        (("pull", "mme", "--url", "ftp://h/f"), "is no https address"),
        (("pull", "mme", "--from", "nowhere"), "there is nothing at nowhere"),
        (("list", "nothing"), "no data of 'nothing'"),
    ],
)
def test_a_mistake_is_one_line_a_hint_and_2(
    words: tuple[str, ...], said: str, web: Any, here: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    offer(web, tmp_path)
    code, _, complained = here(*words)
    assert code == 2
    assert said in complained and complained.startswith("error: ")
    assert web.asked == []


@pytest.mark.parametrize("command", ["list", "pull", "path"])
def test_help_has_examples(command: str, here: Callable[..., tuple[int, str, str]]) -> None:
    _, shown, _ = here(command, "--help")
    assert f"fourways data {command}" in shown and "Example" in shown


def test_the_shipped_catalogue_lists_every_benchmark(
    here: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FOURWAYS_DATA_CATALOGUE")
    code, shown, _ = here("list")
    assert code == 0
    for key in ("mme", "mmbench_en", "mmbench_cn", "vqav2", "refcoco", "realworldqa", "pope", "mmstar"):
        assert f"{key}:" in shown


@pytest.fixture
def here(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process: exit code, standard output, standard error."""
    from fourways.cli import main

    for name in [name for name in os.environ if name.startswith("FOURWAYS_")]:
        monkeypatch.delenv(name)
    for name in ("FOURWAYS_DATA", "FOURWAYS_CACHE", "FOURWAYS_DATA_CATALOGUE"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fourways", "data", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def _wait_for(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < end, "it did not happen in 30 s"
        time.sleep(0.01)
