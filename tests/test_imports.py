"""DESIGN's import rule is a check, not a wish: the contracts stand in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fourways

ROOT = Path(__file__).resolve().parent.parent
LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"]


def lint(config: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [*LINT, "--config", str(config), "--no-cache"]
    return subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True, timeout=120)


def test_every_room_imports_only_what_it_may() -> None:
    result = lint(ROOT / "pyproject.toml", ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_contracts_notice_a_room_that_imports_upwards(tmp_path: Path) -> None:
    copy = tmp_path / "fourways"
    for source in Path(fourways.__file__).parent.rglob("*.py"):
        target = copy / source.relative_to(Path(fourways.__file__).parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (copy / "stats" / "upwards.py").write_text("import fourways.engines\n")
    (copy / "newroom").mkdir()
    (copy / "newroom" / "__init__.py").write_text("")
    result = lint(ROOT / "pyproject.toml", tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "stats.upwards" in result.stdout
    assert "newroom" in result.stdout
