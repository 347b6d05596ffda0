"""How the kits read yes or no from a reply. Checked against their own functions; the vectors are in the tests."""

from __future__ import annotations

import re

from fourways.benchmarks.answers.vqa_answers import without_punctuation

_PERIOD = re.compile(r"(?<!\d)\.(?!\d)")
"""VLMEvalKit's own `process_punctuation` keeps a full stop after a digit, which the VQA scorer drops."""
_READ_CHARACTERS = 4


def yes_or_no_word(reply: str) -> str | None:
    """VLMEvalKit's `YOrN_Extraction`: the words of the lower-case text without punctuation hold one of the two."""
    words = without_punctuation(reply.lower(), periods=_PERIOD).split()
    yes, no = "yes" in words, "no" in words
    if yes == no:
        return None
    return "yes" if yes else "no"


def otter_label(reply: str) -> str | None:
    """lmms-eval's `parse_pred_ans` of MME: yes, no, y or n; else yes, then no, within the first four characters."""
    text = reply.lower().strip().replace(".", "")
    if len(text) == 1:
        return {"y": "yes", "n": "no"}.get(text)
    return next((word for word in ("yes", "no") if word in text[:_READ_CHARACTERS]), None)


def first_sentence_label(reply: str) -> str:
    """The official program of POPE: "no" if the first sentence holds the word No, no or not, else "yes"."""
    words = reply.split(".", 1)[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"
