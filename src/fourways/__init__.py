"""Fourways: compare open vision-language models in four ways, on your own hardware, with evidence."""

__version__ = "0.1.0"
