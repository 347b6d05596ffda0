"""What is asked: the same few questions of every model, so plain that any model that talks at all has an answer.

Nothing here judges whether an answer is right: benchmarks do that. It matters only that the questions ask for different
*kinds* of words, and that the pictures differ in what is asked about.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image as Pil

from fourways.core.conversation import Conversation, Image, Video
from fourways.load.workload.clips import clip
from fourways.media import read_image, read_video

TEXT = "Is fire hot? Please answer yes or no."
DESCRIBE = "Describe the image."
COMPARE = "Describe the two images."
CLIP = "Describe the video."
COUNT = "Count from 1 to 20 in digits."

YES_NO = ("Is fire hot? Please answer yes or no.", "Is the sky below the ground? Please answer yes or no.")
LETTER = (
    "Which one is a color?\nA. red\nB. circle\nC. left\nD. four\n"
    "Answer with the option's letter from the given choices directly.",
    "Which one is a shape?\n\nA. left\nB. red\nC. square\nD. one\n"
    "Please answer directly with only the letter of the correct option and nothing else.",
)
TELL = "Write a sentence."
PAIRS = (
    ("the sun rises in the morning", "the morning rises sun in the"),
    ("birds can fly over the sea", "birds over can sea the fly"),
    ("we drink water when we are thirsty", "we when drink are thirsty water we"),
    ("she reads a book every evening", "she every a reads evening book"),
    ("snow is white and very cold", "snow very is and cold white"),
    ("children play in the garden", "children garden in play the"),
    ("he opened the door and went out", "he and door out the opened went"),
    ("the train leaves at nine", "the at leaves nine train"),
    ("cats like to sleep in the sun", "cats in like sun the to sleep"),
    ("you can see the stars at night", "you at the night see can stars"),
)
"""Each with the same words in disorder behind the first, so that both have the same tokens."""
SEES = "Is there a {} square in this image? Please answer yes or no."
COLOURS: dict[str, tuple[int, int, int]] = {"red": (214, 30, 36), "blue": (34, 58, 214)}
_SIDE, _EDGE = 112, 20
_GROUND = (200, 190, 200)


@cache
def square(colour: str) -> Image:
    """A square of one of COLOURS on a light ground."""
    pixels = np.empty((_SIDE, _SIDE, 3), np.uint8)
    pixels[:] = _GROUND
    pixels[_EDGE:-_EDGE, _EDGE:-_EDGE] = COLOURS[colour]
    out = io.BytesIO()
    Pil.fromarray(pixels).save(out, "PNG")
    return read_image(out.getvalue(), name=f"the {colour} square")


@cache
def moving() -> Video:
    """A short clip. Raises UserError where this machine can encode none."""
    return read_video(clip(112, 112, 4, 2.0, 5), name="the check's clip")


def one_picture() -> Conversation:
    return Conversation.ask(DESCRIBE, square("red"))


def two_pictures() -> Conversation:
    return Conversation.ask(COMPARE, square("red"), square("blue"))


def a_clip() -> Conversation:
    return Conversation.ask(CLIP, moving())
