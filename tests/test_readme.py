"""What the two READMEs tell people to type exists, and both tell the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from fourways import zoo
from fourways.benchmarks import registry
from fourways.cli.main import app
from fourways.compare import Defaults, parse_candidates

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def code(name: str) -> list[str]:
    """Everything in code type, comments left out."""
    blocks = re.findall(r"```\w*\n(.*?)```", text(name), re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text(name), flags=re.DOTALL))
    return [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()] + inline


PAGES = (*READMES, *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").glob("*.md"))))


def options_of(words: list[str]) -> set[str] | None:
    """The options of the command that the words name; None if there is no such command."""
    command = get_command(app)
    for word in words:
        if not hasattr(command, "commands"):
            break
        if word not in command.commands:
            return None
        command = command.commands[word]
    below = getattr(command, "commands", {}).values()
    return {option for one in (command, *below) for parameter in one.params for option in parameter.opts}


@pytest.mark.parametrize("name", PAGES)
def test_every_option_and_command_exists(name: str) -> None:
    """In a README, an option without a command before it is one of `fourways compare`."""
    for line in code(name):
        spoken = re.search(r"(?:^|[\s/(])fourways ((?:[a-z]+ ?)+)", line)
        if spoken is None and not (name in READMES and line.startswith("--")):
            continue
        words = spoken.group(1).split() if spoken else ["compare"]
        known = options_of(words)
        assert known is not None, line
        named = set(re.findall(r"(?<!\S)--[a-z-]+", line[spoken.end() :] if spoken else line))
        assert named <= known | {"--help", "--version"}, line


@pytest.mark.parametrize("name", READMES)
def test_every_make_target_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    named = {match.group(1) for line in code(name) if (match := re.match(r"make ([a-z]+)", line))}
    assert {"compare", "test"} <= named <= targets


@pytest.mark.parametrize("name", READMES)
def test_the_candidates_file_can_be_used_as_it_stands(name: str, tmp_path: Path) -> None:
    [block] = re.findall(r"```yaml\n(.*?)```", text(name), re.DOTALL)
    file = tmp_path / "candidates.yaml"
    file.write_text(block, encoding="utf-8")
    found = parse_candidates([str(file)], Defaults())
    assert len(found) == len(yaml.safe_load(block)) == 3
    assert all(candidate.model in {f"zoo:{known}" for known in zoo.NAMES} for candidate in found)


@pytest.mark.parametrize("name", READMES)
def test_every_benchmark_named_with_a_path_is_known(name: str) -> None:
    named = {key for line in code(name) for key in re.findall(r"--suite (\w+)=", line)}
    assert named
    assert named <= set(registry.keys())


@pytest.mark.parametrize("name", READMES)
def test_pictures_and_pages_it_points_to_are_there(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", text(name))
    assert links
    assert all((ROOT / link).is_file() for link in links), links


def test_both_languages_show_the_same_commands() -> None:
    assert [line for line in code(READMES[0]) if line.startswith("fourways")] == [
        line for line in code(READMES[1]) if line.startswith("fourways")
    ]
