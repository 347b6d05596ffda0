"""A YAML file, and in one line what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from fourways.core.errors import UserError


def read_yaml(path: Path) -> object:
    """Plain values only. Raises UserError naming the file, the line and the column."""
    try:
        loaded: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not YAML: it is not UTF-8 text", hint="save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise UserError(
            f"{path} is not YAML: {_readable(error)}",
            hint="correct that line; check its brackets, quotes and indentation",
        ) from error
    return loaded


def _readable(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {' '.join((error.problem or 'cannot be read').split())}"


def split_error(error: msgspec.ValidationError) -> tuple[str, str]:
    """What is wrong with a value that was converted to a type, and its field; "" for the value itself."""
    what, _, where = str(error).partition(" - at ")
    return what, where.strip("`").removeprefix("$").removeprefix(".")
