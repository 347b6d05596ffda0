"""Intervals, bootstraps and paired tests: pure functions over arrays.

It must never read a file, know a benchmark, or draw from an unseeded generator. An interval that the data cannot carry
is None, never a number.

Public face: `Interval`; `Part` and `LinearCombination` (what a metric is), `score_interval` and `paired_interval` (its
interval, alone and against another), `standard_error`; `wilson`, `tango`, `clustered_wilson`, `effective_size`;
`bootstrap_linear`, `pigeonhole`, `percentile_interval`; `sign_flip_p`, `mcnemar_exact`, `holm`;
`detectable_difference`, `images_needed`; `quantile_interval`, `quantile_worth`, `clustered_quantile_interval`,
`smallest_n`; `t_interval`; `welch`, `permutation_ps`, `least_p`, `against_one` (of runs); `share_in_order`,
`least_to_keep`, `growth` (of requests one after another); `quartiles`, `normalised`, `normalised_score`;
`reliability_bins`, `calibration_error`, `debiased_calibration_error`, `calibration_error_interval`, `brier`,
`confidence_auroc`, `confidence_auroc_interval`.
"""

from fourways.stats.bootstrap import bootstrap_linear, percentile_interval, pigeonhole
from fourways.stats.calibration import (
    Brier,
    ReliabilityBin,
    brier,
    calibration_error,
    calibration_error_interval,
    confidence_auroc,
    debiased_calibration_error,
    reliability_bins,
)
from fourways.stats.combination import LinearCombination, Part, standard_error
from fourways.stats.in_order import Growth, growth, least_to_keep, share_in_order
from fourways.stats.interval import Interval
from fourways.stats.normalised import normalised, normalised_score, quartiles
from fourways.stats.paired import detectable_difference, holm, images_needed, mcnemar_exact, sign_flip_p
from fourways.stats.proportion import clustered_wilson, effective_size
from fourways.stats.quantiles import clustered_quantile_interval, quantile_interval, quantile_worth, smallest_n
from fourways.stats.ranking import confidence_auroc_interval
from fourways.stats.repeats import against_one
from fourways.stats.score import paired_interval, score_interval, tango, wilson
from fourways.stats.student import t_interval
from fourways.stats.two_samples import Difference, least_p, permutation_ps, welch

__all__ = [
    "Brier",
    "Difference",
    "Growth",
    "Interval",
    "LinearCombination",
    "Part",
    "ReliabilityBin",
    "against_one",
    "bootstrap_linear",
    "brier",
    "calibration_error",
    "calibration_error_interval",
    "clustered_quantile_interval",
    "clustered_wilson",
    "confidence_auroc",
    "confidence_auroc_interval",
    "debiased_calibration_error",
    "detectable_difference",
    "effective_size",
    "growth",
    "holm",
    "images_needed",
    "least_p",
    "least_to_keep",
    "mcnemar_exact",
    "normalised",
    "normalised_score",
    "paired_interval",
    "percentile_interval",
    "permutation_ps",
    "pigeonhole",
    "quantile_interval",
    "quantile_worth",
    "quartiles",
    "reliability_bins",
    "score_interval",
    "share_in_order",
    "sign_flip_p",
    "smallest_n",
    "standard_error",
    "t_interval",
    "tango",
    "welch",
    "wilson",
]
