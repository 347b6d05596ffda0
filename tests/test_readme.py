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


def without_blocks(name: str) -> str:
    return re.sub(r"```.*?```", "", text(name), flags=re.DOTALL)


def code(name: str) -> list[str]:
    """Everything in code type, comments left out."""
    blocks = re.findall(r"```\w*\n(.*?)```", text(name), re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", without_blocks(name))
    return [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()] + inline


def anchors(name: str) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(name), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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


@pytest.mark.parametrize("name", PAGES)
def test_every_file_and_heading_it_points_to_is_there(name: str) -> None:
    here = ROOT / name
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", without_blocks(name)):
        file, _, anchor = link.partition("#")
        page = here.parent / file if file else here
        assert page.is_file(), link
        assert not anchor or anchor in anchors(str(page.resolve().relative_to(ROOT))), link


@pytest.mark.parametrize("name", PAGES)
def test_a_link_that_names_a_command_leads_to_a_page_that_tells_of_it(name: str) -> None:
    """Its page has the command in a heading, or as the start of a line of code."""
    for words, file in re.findall(r"\[`(fourways [a-z ]+[a-z])`\]\(([^)#:]+\.md)", without_blocks(name)):
        page = str((ROOT / name).parent.joinpath(file).resolve().relative_to(ROOT))
        assert re.search(rf"^(#+ .*`|\s*){words}\b", text(page), re.MULTILINE), (words, file)


def test_both_languages_show_the_same_commands() -> None:
    assert [line for line in code(READMES[0]) if line.startswith("fourways")] == [
        line for line in code(READMES[1]) if line.startswith("fourways")
    ]
