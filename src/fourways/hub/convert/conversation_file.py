"""The system message in the Python file where an InternVL checkpoint keeps its conversation forms: parsed, never run.

InternVL 1.5 names the same form as 2 in config.json, and only this file says that its message is another.
"""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

CONVERSATION_FILE = "conversation.py"
_MOST_BYTES = 1 << 20


def own_message(folder: Path, form: object) -> str | None:
    """What a call there with name=`form` is given as its system_message. None if there is no such file, or if it would
    have to be run to know."""
    file = folder / CONVERSATION_FILE
    if not file.is_file() or file.stat().st_size > _MOST_BYTES:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            given = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
            message = given.get("system_message")
            if given.get("name") == form and isinstance(message, str):
                return message
    return None
