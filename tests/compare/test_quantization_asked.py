"""What a candidate asks of quantisation is checked before anything starts."""

import pytest

from fourways.compare.opening import check_asked
from fourways.core.candidate import Candidate
from fourways.core.errors import UserError


def test_int4_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(UserError, match=r"^small: int4 weights are not supported") as caught:
        check_asked(Candidate("small", model="zoo:qwen", quantization="int4"))
    assert caught.value.hint is not None
