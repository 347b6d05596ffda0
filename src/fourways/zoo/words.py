"""The vocabulary and the sentence templates of the zoo's world, in English and Chinese."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "cn"]

COLOR_WORDS: dict[Language, dict[str, str]] = {
    "en": {c: c for c in ("red", "blue", "green", "yellow", "black")},
    "cn": {"red": "红色", "blue": "蓝色", "green": "绿色", "yellow": "黄色", "black": "黑色"},
}
SHAPE_WORDS: dict[Language, dict[str, str]] = {
    "en": {s: s for s in ("circle", "square", "triangle", "cross")},
    "cn": {"circle": "圆形", "square": "正方形", "triangle": "三角形", "cross": "十字形"},
}
POSITION_WORDS: dict[Language, tuple[str, ...]] = {
    "en": ("top left", "top right", "bottom left", "bottom right"),
    "cn": ("左上", "右上", "左下", "右下"),
}
COUNT_WORDS: dict[Language, tuple[str, ...]] = {"en": ("1", "2", "3", "4"), "cn": ("1", "2", "3", "4")}
NUMBER_WORDS: tuple[str, ...] = ("one", "two", "three", "four")

ASK: dict[str, dict[Language, str]] = {
    "color_of": {"en": "What color is the {shape}?", "cn": "{shape}是什么颜色？"},
    "color_at": {"en": "What color is the object in the {position}?", "cn": "{position}的物体是什么颜色？"},
    "shape_of": {"en": "What shape is the {color} object?", "cn": "{color}物体是什么形状？"},
    "shape_at": {"en": "What shape is the object in the {position}?", "cn": "{position}的物体是什么形状？"},
    "count": {"en": "How many objects are there?", "cn": "图中有几个物体？"},
    "where": {"en": "Where is the {color} {shape}?", "cn": "{color}{shape}在哪里？"},
}
"""Questions that ask for a value; the value's words are the answer or the options."""

CHECK: dict[str, str] = {
    "existence": "Is there a {color} {shape} in this image?",
    "count": "Are there {number} objects in this image?",
    "position": "Is the {color} {shape} in the {position} of this image?",
    "color": "Is the object in the {position} {color}?",
}
"""Yes/no questions, by MME subtask."""

MME_SUFFIX = " Please answer yes or no."
LETTER_SUFFIX = "\nPlease answer directly with only the letter of the correct option and nothing else."
WORD_SUFFIX = "\nPlease answer directly with a single word or number."
"""RealWorldQA's own instructions: part of its questions."""
EXPRESSION = "the {color} {shape}"
"""A referring expression (RefCOCO)."""
DESCRIBE = "Describe this image."
DRILL = "Complete the list."
LETTERS = "ABCD"
