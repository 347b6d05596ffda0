"""What the cells of a table of one's own say: the options, the right one, the accepted answers."""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Mapping

from fourways.benchmarks.reading.records import Record, shown, texts_of
from fourways.core.errors import BenchmarkFormatError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SEPARATOR = "|"
"""Stands between the texts of a list in a cell of text."""
_LIST_LENGTH = 2**16
_ENDS = " .,;:!?\"'`*()[]{}"


def plain(text: str) -> str:
    """The normalisation of `open_exact`: Unicode's compatibility form, lower case, single spaces, no punctuation at
    either end."""
    words = unicodedata.normalize("NFKC", text).lower().split()
    return " ".join(words).strip(_ENDS)


def accepted_answers(record: Record) -> tuple[str, ...]:
    """The accepted answers: `answers`, a list; or `answer`, one (or a list, as VLMEvalKit writes it)."""
    column = "answers" if "answers" in record.cells or "answers" in record.nested else "answer"
    found = texts_of(record.nested.get(column)) if column in record.nested else None
    if found is None:
        text = record.need(column)
        found = _listed(text) or (tuple(text.split(SEPARATOR)) if column == "answers" else (text,))
    found = tuple(answer for answer in found if plain(answer))
    if not found:
        raise BenchmarkFormatError(
            f"{record.where}: column '{column}' has no answer that a reply could equal",
            hint="An answer has at least one letter or digit; a list in text is separated by '|'.",
        )
    return found


def options_of(record: Record) -> dict[str, str]:
    """By letter: the columns A, B, …, or a list in `options`."""
    found = record.lettered()
    if not found:
        listed = texts_of(record.nested.get("options"))
        if listed is None and "options" in record.cells:
            listed = _listed(record.cells["options"]) or tuple(record.cells["options"].split(SEPARATOR))
        found = {letter: text.strip() for letter, text in zip(LETTERS, listed or (), strict=False)}
    if len(found) < 2:
        raise BenchmarkFormatError(
            f"{record.where}: {len(found)} options, where a choice needs two",
            hint="Give them in columns A, B, …, or as a list in the column `options` (in text: separated by '|').",
        )
    return found


def right_letter(record: Record, options: Mapping[str, str]) -> str:
    """The right option's letter, which the table gives as a letter, as the option's text, or counted from 0 in
    `answer_index`."""
    if "answer_index" in record.cells:
        number = record.number("answer_index")
        if number.is_integer() and 0 <= number < len(options):
            return list(options)[int(number)]
        raise BenchmarkFormatError(
            f"{record.where}: column 'answer_index' is {shown(record.cells['answer_index'])}, not 0 to "
            f"{len(options) - 1}", hint="The first option has the index 0.",
        )  # fmt: skip
    answer = record.need("answer").strip()
    if answer in options:
        return answer
    same = [letter for letter, text in options.items() if text.strip() == answer]
    if len(same) == 1:
        return same[0]
    if same:
        raise BenchmarkFormatError(
            f"{record.where}: column 'answer' is {shown(answer)}, which is the text of {' and '.join(same)}",
            hint="Give the letter instead, or make the options differ.",
        )
    raise BenchmarkFormatError(
        f"{record.where}: column 'answer' is {shown(answer)}, which is none of {', '.join(options)}",
        hint="The answer is the letter of an option, or its text; or its place from 0, in the column answer_index.",
    )


def _listed(text: str) -> tuple[str, ...] | None:
    """A list as Python or JSON writes it, or None."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")) or len(text) > _LIST_LENGTH:
        return None
    try:
        return texts_of(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
