"""The bench container's recipe fits the repository. It is not built here: that needs a docker daemon and a network."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from fourways.evidence.environment.catalogue import CATALOGUE
from fourways.evidence.environment.container import IMAGE_VARIABLE
from fourways.evidence.environment.gpu import CARD_KNOBS

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "container" / "Dockerfile"
STEPS = re.sub(r"\\\n", " ", "\n".join(x for x in RECIPE.read_text().splitlines() if not x.startswith("#"))).split("\n")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs" / "environment.md").read_text()


def step(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in STEPS if line.startswith(f"{word} ")]


def packages() -> list[str]:
    (run,) = [line for line in step("RUN") if "apt-get install" in line]
    words = run.split("apt-get install")[1].split("&&")[0].split()
    return [word for word in words if not word.startswith("-")]


def test_the_base_is_pinned_to_a_release_that_the_project_supports() -> None:
    (base,) = step("FROM")
    found = re.fullmatch(r"python:(\d+)\.(\d+)\.(\d+)-slim-bookworm", base)
    assert found is not None
    least = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    assert tuple(map(int, found.groups()))[:2] >= least


def test_every_pip_install_is_held_by_the_constraints_as_in_the_makefile() -> None:
    installs = [line for line in step("RUN") if "pip install" in line]
    assert len(installs) == 2
    assert installs[0] == "python -m pip install \"$(grep '^torch==' constraints.txt)\""
    assert "TORCH := $(shell grep '^torch==' constraints.txt)" in (ROOT / "Makefile").read_text()
    assert "pip install -c constraints.txt -e '.[" in installs[1]


def test_every_extra_that_it_installs_is_one_and_its_packages_are_pinned() -> None:
    (install,) = [line for line in step("RUN") if "-e '.[" in line]
    found = re.search(r"\.\[([\w,]+)\]", install)
    assert found is not None
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for extra in found[1].split(","):
        for need in PROJECT["optional-dependencies"][extra]:
            assert re.split(r"[\[><=]", need)[0].lower() in pinned, need


def test_what_is_copied_is_there_and_nothing_private_is() -> None:
    lines = [x for x in (ROOT / "container" / "Dockerfile.dockerignore").read_text().splitlines() if x and x[0] != "#"]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in allowed - {".git"})
    assert not {".venv", "runs", ".env", ".ci"} & allowed
    copied = {word for line in step("COPY") for word in line.split()[:-1]}
    assert copied == {"constraints.txt", "."}
    assert {PROJECT["readme"], *PROJECT["license-files"], "src", "pyproject.toml"} <= allowed


def test_it_runs_as_nobody_special_and_tells_its_image() -> None:
    (user,) = step("USER")
    assert user == "bench"
    assert any(line.startswith(f"{IMAGE_VARIABLE}=") for line in step("ENV"))
    assert not step("ENTRYPOINT")


@pytest.mark.skipif(
    shutil.which("apt-cache") is None or "bookworm" not in Path("/etc/os-release").read_text(),
    reason="asks the package index of Debian 12, which is not this system's",
)
def test_every_package_is_in_the_distributions_index() -> None:
    told = subprocess.run(["apt-cache", "policy", *packages()], capture_output=True, text=True, check=True).stdout
    if not told:
        pytest.skip("the index was never fetched here (apt-get update)")
    found = dict(re.findall(r"^(\S+):\n.*\n\s+Candidate: (\S+)", told, re.MULTILINE))
    assert [package for package in packages() if found.get(package, "(none)") == "(none)"] == []


def test_the_page_names_every_knob_and_every_tool() -> None:
    knobs = [knob.name for knob in CATALOGUE] + [f"gpuN.{knob.name}" for knob in CARD_KNOBS]
    assert [name for name in knobs if f"`{name}`" not in PAGE] == []
    tools = {"linux-perf": "perf", "hwloc-nox": "lstopo", "linux-cpupower": "cpupower", "gnupg": "gpg", "procps": "top"}
    tools |= {"sysstat": "pidstat"}
    assert [name for name in packages() if f"`{tools.get(name, name)}" not in PAGE] == []
    assert "`py-spy" in PAGE
