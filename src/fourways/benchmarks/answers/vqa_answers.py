"""How VQA answers are made comparable: the rules of the official scorer (GT-Vision-Lab/VQA, `vqaEval.py`), quirks and
all.

Golden vectors made by that program are in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

Mode = Literal["github", "always"]
"""github: the program in the repository, which normalises only where the ten answers are not all the same, so that
"Yes" against ten "yes" scores 0. always: every answer is normalised, as on EvalAI and in the evaluation kits."""

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
# The official pattern means to spare periods after digits, but its look-behind is mistyped, and its flags land in the
# argument for the number of replacements.
_PERIOD = re.compile(r"\.(?!\d)")
_PERIODS_AT_MOST = 32
_SHORT = 128
"""Characters of an answer that is worth remembering: a model that rambles must not fill the memory."""
_ARTICLES = frozenset(("a", "an", "the"))
_NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip

_SPELLINGS = """
ain't aint | aren't arent | can't cant | could've couldve | couldn't couldnt | couldn't've couldn'tve couldnt've
didn't didnt | doesn't doesnt | don't dont | hadn't hadnt | hadn't've hadnt've hadn'tve | hasn't hasnt | haven't havent
he'd hed | he'd've hed've he'dve | he's hes | how'd howd | how'll howll | how's hows | isn't isnt
it'd itd | it'd've itd've it'dve | it'll itll | ma'am maam | mightn't mightnt | mightn't've mightnt've mightn'tve
might've mightve | mustn't mustnt | must've mustve | needn't neednt | not've notve | o'clock oclock | oughtn't oughtnt
'ow's'at ow's'at 'ows'at 'ow'sat | shan't shant | she'd've shed've she'dve | should've shouldve | shouldn't shouldnt
shouldn't've shouldnt've shouldn'tve | somebodyd somebody'd | somebody'd've somebodyd've somebody'dve
somebody'll somebodyll | somebody's somebodys | someone'd someoned | someone'd've someoned've someone'dve
someone'll someonell | someone's someones | something'd somethingd | something'd've somethingd've something'dve
something'll somethingll | that's thats | there'd thered | there'd've thered've there'dve | there're therere
there's theres | they'd theyd | they'd've theyd've they'dve | they'll theyll | they're theyre | they've theyve
'twas twas | wasn't wasnt | we'd've wed've we'dve | we've weve | weren't werent | what'll whatll | what're whatre
what's whats | what've whatve | when's whens | where'd whered | where's wheres | where've whereve | who'd whod
who'd've whod've who'dve | who'll wholl | who's whos | who've whove | why'll whyll | why're whyre | why's whys
won't wont | would've wouldve | wouldn't wouldnt | wouldn't've wouldnt've wouldn'tve | y'all yall
y'all'll yall'll y'allll | y'all'd've yall'd've y'alld've y'all'dve | you'd youd | you'd've youd've you'dve
you'll youll | you're youre | you've youve
"""


def _contractions() -> dict[str, str]:
    """Misspelt → spelt. The official table's entries with capitals never match lower-cased text, and are left out."""
    groups = (group.split() for line in _SPELLINGS.strip().splitlines() for group in line.split("|"))
    return {wrong: right for right, *misspelt in groups for wrong in misspelt}


_CONTRACTIONS = _contractions()


def clean(text: str) -> str:
    """What both modes do first: line breaks and tabs to spaces, ends stripped."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def without_punctuation(text: str, commas: re.Pattern[str] = _DIGIT_COMMA, periods: re.Pattern[str] = _PERIOD) -> str:
    """Each mark is removed if it touches a space anywhere in the text, or the text holds a comma between digits; else
    it becomes a space. Periods go unless a digit follows.

    commas, periods: what counts as a comma between digits and as a period that goes; the kits differ in both."""
    out = text
    digits = commas.search(text) is not None
    for mark in _PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        out = out.replace(mark, "" if beside_space or digits else " ")
    return periods.sub("", out, count=_PERIODS_AT_MOST)


def without_articles(text: str) -> str:
    """Lower case, number words as digits, articles dropped, contractions spelt."""
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def normalize(text: str) -> str:
    """The whole normalisation of one answer."""
    return _remembered(text) if len(text) <= _SHORT else without_articles(without_punctuation(clean(text)))


@lru_cache(maxsize=2**14)
def _remembered(text: str) -> str:
    return without_articles(without_punctuation(clean(text)))


def accuracy(prediction: str, answers: Sequence[str], mode: Mode) -> float:
    """In [0, 1]: the mean over annotators of min(1, matches among the others / 3). 0 without answers.

    Source: Antol et al. (2015), VQA, arXiv 1505.00468, section 4; the leave-one-out mean is the scorer's.
    """
    prediction, cleaned = clean(prediction), [clean(answer) for answer in answers]
    if mode == "always" or len(set(cleaned)) > 1:
        prediction, cleaned = normalize(prediction), [normalize(answer) for answer in cleaned]
    matches = [answer == prediction for answer in cleaned]
    total = sum(matches)
    return sum(min(1.0, (total - match) / 3) for match in matches) / len(matches) if matches else 0.0
