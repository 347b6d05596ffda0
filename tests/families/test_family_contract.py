"""Every family here keeps the contract that third parties are held to."""

from __future__ import annotations

import pytest

from fourways.core.candidate import Checkpoint
from fourways.families.testing import FamilyContract


class _Tiny(FamilyContract):
    name = ""

    @pytest.fixture(scope="class")
    def checkpoint(self, checkpoints: dict[str, Checkpoint]) -> Checkpoint:
        return checkpoints[self.name]


class TestQwen2VL(_Tiny):
    name = "qwen2"


class TestQwen25VL(_Tiny):
    name = "qwen2_5"


class TestQwen3VL(_Tiny):
    name = "qwen3"


class TestLlavaNext(_Tiny):
    name = "llava"


class TestInternVL(_Tiny):
    name = "internvl"
