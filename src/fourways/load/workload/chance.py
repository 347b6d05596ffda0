"""Draws that are a pure function of a seed and of what is drawn, so that any item can be drawn alone, in any order.

Contract: a draw depends on the seed and its own key only; a new property never moves an old one. `even` draws are
stratified: among any `STRATUM` consecutive items from a multiple of it on, each of as many equal parts of [0, 1) comes
up once, in an order of chance. Shares then hold in every block of items as nearly as whole numbers allow, and
candidates that are timed in such blocks get the same mixture. Hashes, because the generators of libraries may change.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist

from fourways.load.workload.spec import Amount, Spread

STRATUM = 16


class Chance:
    """The draws of one stream ("measured", "warm-up") of a seed."""

    def __init__(self, seed: int, stream: str) -> None:
        self._prefix = f"{seed}/{stream}"

    def number(self, *key: object) -> int:
        """64 bits."""
        return _number(self._prefix, *key)

    def unit(self, *key: object) -> float:
        """In [0, 1), uniform."""
        return (self.number(*key) >> 11) / (1 << 53)

    def even(self, name: str, index: int) -> float:
        """In [0, 1), uniform, and stratified over the indices of this name."""
        stratum, place = divmod(index, STRATUM)
        return (_order(self._prefix, name, stratum)[place] + self.unit(name, index)) / STRATUM

    def again(self, name: str, index: int, share: float) -> int | None:
        """The place, among those that are new, of the one that is shown again at `index`; None where a new one is. Of
        n strata exactly floor(n · STRATUM · share) are again; every earlier new one is as likely. share below 1."""
        if not self._is_again(name, index, share):
            return None
        return int(self.unit(name, "which", index) * self.new_before(name, index, share))

    def new_before(self, name: str, index: int, share: float) -> int:
        """How many below `index` are new."""
        if share == 0:
            return index
        stratum, place = divmod(index, STRATUM)
        whole = stratum * STRATUM - _floor(stratum * STRATUM, share)
        return whole + sum(not self._is_again(name, stratum * STRATUM + i, share) for i in range(place))

    def _is_again(self, name: str, index: int, share: float) -> bool:
        if share == 0:
            return False
        stratum, place = divmod(index, STRATUM)
        quota = _floor((stratum + 1) * STRATUM, share) - _floor(stratum * STRATUM, share)
        order = _order(self._prefix, f"{name}/again", stratum)
        # The first of all has nothing before it: it changes places with whichever would be the last to be shown again.
        rank = order[place]
        if stratum == 0 and place == 0:
            rank = STRATUM - 1
        elif stratum == 0 and rank == STRATUM - 1:
            rank = order[0]
        return rank < quota


def choose(weights: Sequence[float], u: float) -> int:
    """The index whose part of [0, 1) holds u."""
    sums = list(accumulate(weights))
    return min(bisect_right(sums, u * sums[-1]), len(weights) - 1)


def amount_at(amount: Amount, u: float) -> int:
    """The u-quantile of an amount."""
    if isinstance(amount, int):
        return amount
    if isinstance(amount, Spread):
        at = NormalDist().inv_cdf(min(max(u, 1e-9), 1 - 1e-9))
        return min(max(round(amount.median * math.exp(math.log(amount.factor) * at)), amount.least), amount.most)
    return amount[choose([choice.weight for choice in amount], u)].value


def _floor(count: int, share: float) -> int:
    """In decimal, as it was written: 0.1 of 30 are 3."""
    return math.floor(count * _exact(share))


@lru_cache(maxsize=64)
def _exact(share: float) -> Fraction:
    return Fraction(str(share))


def _number(*key: object) -> int:
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


@lru_cache(maxsize=4096)
def _order(prefix: str, name: str, stratum: int) -> tuple[int, ...]:
    """An order of 0 … STRATUM-1, by chance."""
    return tuple(sorted(range(STRATUM), key=lambda i: _number(prefix, name, "order", stratum, i)))
