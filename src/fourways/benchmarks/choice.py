"""Multiple choice: how a question is written out, and how a letter is read from a reply. Shared by MMBench and
RealWorldQA.

Reading follows VLMEvalKit's rule without a judge (`can_infer`, the state of August 2026, `--judge exact_matching`):
what it cannot read is wrong, never guessed. Its known traps are kept, because a score under another rule is another
score: in "a cat" the option text "cat" matches, "not sure" matches an option "No", "(b)" and "<answer>B</answer>" are
not read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

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
_STATED = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")

_CLOSING: dict[str, str] = {
    "qwen2-vl": "Please select the correct answer from the options above.",
    "qwen2.5-vl": "Please select the correct answer from the options above.",
    "qwen3-vl": "Answer with the option letter only.",
}
_DIRECT = "Answer with the option's letter from the given choices directly."
_DIRECT_ZH = "请直接回答选项字母。"


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


def read_choice(reply: str, options: Mapping[str, str]) -> str | None:
    """The letter that a reply chooses, `REFUSED`, or None. First by letter, then by the text of the one option it
    holds."""
    return _by_letter(reply, options) or _by_text(reply, options)


def _by_letter(reply: str, options: Mapping[str, str]) -> str | None:
    """One option letter among the reply's words, within its last four; or one stated as "the answer is B"."""
    if any(refusal in reply for refusal in _REFUSALS):
        return REFUSED
    words = reply.translate(_SEPARATORS).split()
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
