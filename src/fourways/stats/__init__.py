"""Intervals, bootstraps and paired tests: pure functions over arrays.

It must never read a file, know a benchmark, or draw from an unseeded generator. An interval that the data cannot carry
is None, never a number.

Public face: `Interval`, `wilson`, `clustered_wilson`, `effective_size`, `LinearCombination`, `bootstrap_linear`,
`pigeonhole`, `percentile_interval`, `standard_error`, `sign_flip_p`, `holm`,
`detectable_difference`, `quantile_interval`, `clustered_quantile_interval`,
`smallest_n`, `recovered_interval`, `t_interval`.
"""

from fourways.stats.bootstrap import (
    LinearCombination,
    Part,
    bootstrap_linear,
    percentile_interval,
    pigeonhole,
    standard_error,
)
from fourways.stats.interval import Interval
from fourways.stats.paired import detectable_difference, holm, sign_flip_p
from fourways.stats.proportion import clustered_wilson, effective_size, wilson
from fourways.stats.quantiles import clustered_quantile_interval, quantile_interval, smallest_n
from fourways.stats.recovery import Term, recovered_interval
from fourways.stats.student import t_interval

__all__ = [
    "Interval",
    "LinearCombination",
    "Part",
    "Term",
    "bootstrap_linear",
    "clustered_quantile_interval",
    "clustered_wilson",
    "detectable_difference",
    "effective_size",
    "holm",
    "percentile_interval",
    "pigeonhole",
    "quantile_interval",
    "recovered_interval",
    "sign_flip_p",
    "smallest_n",
    "standard_error",
    "t_interval",
    "wilson",
]
