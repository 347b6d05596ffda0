"""How kits read a choice from a reply: lmms-eval's older extractor and the one that its newer tasks share (0.7.3), and
earlier forms of VLMEvalKit's. Checked against their own functions; the vectors are in the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways.benchmarks.answers.choice import refused, words_of

_AROUND = (
    ("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ")."), (":", ""), (":", ","), (":", "."),
    (":", ")"), (":", ")."),
)  # fmt: skip
_FIVE = "ABCDE"
_FAILED = "Failed to obtain answer via API"


def older_choice(reply: str, options: Mapping[str, str]) -> str | None:
    """`MMBench_Evaluator.can_infer`: one letter of A–E among the words, bare or with one and the same mark around it;
    else the one option whose text stands in the reply. A reply of more than three words with a bare A names no bare
    letter."""
    return _older_letter(reply) or _older_text(reply, options)


def _older_letter(reply: str) -> str | None:
    if _FAILED in reply:
        return None
    words = reply.split()
    bare = [letter for letter in _FIVE if letter in words]
    if len(bare) == 1 and not ("A" in words and len(words) > 3):
        return bare[0]
    for before, after in _AROUND:
        marked = [letter for letter in _FIVE if f"{before}{letter}{after}" in words]
        if len(marked) == 1:
            return marked[0]
    return None


def _older_text(reply: str, options: Mapping[str, str]) -> str | None:
    lowered = reply.lower()
    found = [letter for letter, text in options.items() if text.lower() in lowered]
    return found[0] if len(found) == 1 else None


_PHRASES = (
    "the answer is", "answer is", "the correct answer is", "correct answer is", "the best answer is", "best answer is",
    "the correct option is", "correct option is", "the best option is", "best option is", "the choice is", "choice is",
    "the correct choice is", "correct choice is", "i choose", "i select", "i pick", "my answer is", "my choice is",
    "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは",
)  # fmt: skip
_MARKS = (("({})", 6), ("{}.", 5), ("{}:", 4), ("{})", 3), ("{} ", 2))
_START, _END, _PHRASE, _ANYWHERE = 10, 9, 7, 0


def ranked_choice(reply: str, letters: Sequence[str]) -> str | None:
    """`extract_mcq_answer`: of all places where a letter stands, the one in the most telling form (first word, last
    word, after "the answer is", in brackets, before a mark), and of these the last."""
    text = reply.strip()
    if not text:
        return None
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    text = f" {text} "
    found = [*_marked(text, letters), *_phrased(text, letters), *_at_ends(text, letters)]
    if not found:
        found = [(_ANYWHERE, text.rfind(letter), letter) for letter in letters if letter in text]
    return max(found, key=lambda one: one[:2])[2] if found else None


def _marked(text: str, letters: Sequence[str]) -> list[tuple[int, int, str]]:
    return [
        (rank, text.rfind(form.format(letter)), letter)
        for form, rank in _MARKS
        for letter in letters
        if form.format(letter) in text
    ]


def _phrased(text: str, letters: Sequence[str]) -> list[tuple[int, int, str]]:
    lowered = text.lower()
    found = []
    for phrase in _PHRASES:
        place = lowered.find(phrase)
        if place >= 0:
            after = ((text.find(letter, place + len(phrase)), letter) for letter in letters)
            found += [(_PHRASE, where, letter) for where, letter in after if where >= 0]
    return found


def _at_ends(text: str, letters: Sequence[str]) -> list[tuple[int, int, str]]:
    inner = text.strip()
    found = []
    for letter in letters:
        if inner.startswith(letter) and (len(inner) == 1 or not inner[1].isalpha()):
            found.append((_START, 0, letter))
        if inner.endswith(letter) and (len(inner) == 1 or not inner[-2].isalpha()):
            found.append((_END, len(text) - 1, letter))
    return found


def last_words(reply: str, options: Mapping[str, str]) -> str | None:
    """VLMEvalKit's `can_infer` in ms-vlmeval 0.0.20: the one letter among the words, if within the last four; else the
    one option whose text stands in a reply at most twice as long as all options together."""
    if (refusal := refused(reply)) is not None:
        return refusal
    words = words_of(reply)
    named = [letter for letter in options if letter in words]
    if _FAILED not in reply:
        if len(named) == 1 and words.index(named[0]) > len(words) - 5:
            return named[0]
        if not named and "Z" in words:
            return "Z"
    short = len(reply.lower()) <= 2 * sum(len(text) for text in options.values())
    return _older_text(reply, options) if short else None


def any_place(reply: str, options: Mapping[str, str]) -> str | None:
    """VLMEvalKit's `can_infer` of 2025: the one letter among the words; else the one option whose text stands in the
    reply."""
    if (refusal := refused(reply)) is not None:
        return refusal
    words = words_of(reply)
    named = [letter for letter in options if letter in words]
    if _FAILED not in reply:
        if len(named) == 1:
            return named[0]
        if not named and "Z" in words:
            return "Z"
    return _older_text(reply, options)
