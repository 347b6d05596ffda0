"""Multiple choice: how a question is written out, and how a letter is read from a reply. Shared by MMBench,
RealWorldQA, MMStar and the sets that are given by path.

Reading follows VLMEvalKit's rule without a judge (`can_infer`, the state of August 2026, `--judge exact_matching`):
what it cannot read is wrong, never guessed. Its known traps are kept, because a score under another rule is another
score: in "a cat" the option text "cat" matches, "not sure" matches an option "No", "(b)" and "<answer>B</answer>" are
not read."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

from fourways.benchmarks.contract import Benchmark, Sample
from fourways.core.request import Generate

CIRCLE = 1_000_000
"""The rotations of a question have the same index modulo this."""
REFUSED = "Z"
"""What the rule reads from a refusal; never a right answer."""

_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_LAST_TOKENS = 4
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_NO_ANSWER = "Failed to obtain answer via API"
_STATED = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")

_CLOSING: dict[str, str] = {
    "qwen2-vl": "Please select the correct answer from the options above.",
    "qwen2.5-vl": "Please select the correct answer from the options above.",
    "qwen3-vl": "Answer with the option letter only.",
}
_DIRECT = "Answer with the option's letter from the given choices directly."
_DIRECT_ZH = "请直接回答选项字母。"


class Lettered(Benchmark):
    """A benchmark whose reply names an option's letter: how long it may be, and among what likelihood may choose."""

    def output(self, sample: Sample) -> Generate:
        return Generate(max_tokens=64)

    def continuations(self, sample: Sample) -> tuple[str, ...]:
        return tuple(sample.options)


def choice_prompt(
    dialect: str, question: str, hint: str, options: Mapping[str, str], language: Literal["en", "zh"]
) -> str:
    """The text that follows the image. Qwen-VL: VLMEvalKit's qwen2_vl and qwen3_vl prompts; LLaVA-NeXT, InternVL and
    all others: `hint`, question, options, and a plain request for the letter."""
    listed = "\n".join(f"{letter}. {text}" for letter, text in options.items())
    if dialect in _CLOSING:
        head = f"Hint: {hint}\n" if hint else ""
        # Qwen3-VL's prompt has one closing for both languages.
        closing = _DIRECT_ZH if language == "zh" and dialect != "qwen3-vl" else _CLOSING[dialect]
        return f"{head}Question: {question}\nOptions:\n{listed}\n{closing}"
    head = f"{hint}\n" if hint else ""
    return f"{head}{question}\n{listed}\n{_DIRECT if language == 'en' else _DIRECT_ZH}"


INSIDE = "inside"
"""extra["options"] of a sample whose question lists its options itself."""
_OPTION_LINE = re.compile(r"^([A-Z])[.):] +(\S[^\n]*)", re.MULTILINE)
_OPTION_LIST = re.compile(r"Options:\s*(A: .*)", re.DOTALL)
_OPTION_ITEM = re.compile(r"(?:^|, ?)([A-Z]): ")


def options_inside(sample: Sample) -> bool:
    """Whether the question lists its options itself, or there are none: it is then asked as it is."""
    return sample.extra.get("options") == INSIDE or not sample.options


def inside_options(question: str) -> dict[str, str]:
    """The options that a question lists: a line each ("A. text"), or in a row ("Options: A: text, B: text"). Empty
    where it lists none."""
    listed = _OPTION_LIST.search(question)
    if listed is None:
        return {letter: text.rstrip() for letter, text in _OPTION_LINE.findall(question)}
    parts = _OPTION_ITEM.split(listed.group(1))[1:]
    return {letter: text.strip() for letter, text in zip(parts[::2], parts[1::2], strict=True)}


def rank_prompt(question: str, hint: str, options: Mapping[str, str]) -> str:
    """What the original Qwen-VL is asked before its letters are ranked by likelihood (its repository's
    `evaluate_multiple_choice.py`)."""
    listed = "\n".join(f"{letter}. {text}" for letter, text in options.items())
    return f"Context: {hint or 'N/A'}\nQuestion: {question}\nOptions: {listed}\nAnswer:"


def read_choice(reply: str, options: Mapping[str, str]) -> str | None:
    """The letter that a reply chooses, `REFUSED`, or None. First by letter, then by the text of the one option it
    holds."""
    return read_letter(reply, options) or _by_text(reply, options)


def refused(reply: str) -> str | None:
    """`REFUSED` where the reply holds one of the sentences that the rule knows for a refusal."""
    known = any(refusal in reply for refusal in _REFUSALS) and _NO_ANSWER not in reply
    return REFUSED if known else None


def words_of(reply: str) -> list[str]:
    """The reply's words, with the rule's separators taken for spaces."""
    return reply.translate(_SEPARATORS).split()


def read_letter(reply: str, options: Collection[str]) -> str | None:
    """One option letter among the reply's words, within its last four; or one stated as "the answer is B"."""
    if _NO_ANSWER in reply:
        return None
    if (refusal := refused(reply)) is not None:
        return refusal
    words = words_of(reply)
    named = [letter for letter in options if letter in words]
    if len(named) == 1 and words.index(named[0]) >= len(words) - _LAST_TOKENS:
        return named[0]
    if not named and REFUSED in words:
        return REFUSED
    stated = _STATED.search(reply)
    if stated and stated.group(1).upper() in options:
        return stated.group(1).upper()
    return None


def _by_text(reply: str, options: Mapping[str, str]) -> str | None:
    """The one option whose text stands in the reply; a reply over twice as long as all options together is not read."""
    lowered = reply.lower()
    if len(lowered) > 2 * sum(len(text) for text in options.values()):
        return None
    found = [letter for letter, text in options.items() if text.lower() in lowered]
    return found[0] if len(found) == 1 else None
