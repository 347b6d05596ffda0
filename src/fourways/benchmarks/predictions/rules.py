"""Which rules a benchmark's answers can be scored under, by name. A rule is a benchmark whose parser and scorer are
that program's: there is one scorer, and it is `Benchmark.parse`, `score` and `metrics`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fourways.benchmarks.contract import Benchmark, Metric
from fourways.benchmarks.mmbench import MMBenchCN, MMBenchEN
from fourways.benchmarks.predictions import box_rules, choice_rules, mme_rules, vqa_rules
from fourways.benchmarks.predictions.arithmetic import Printed, by_subtask, plainly, rounded_percent
from fourways.benchmarks.realworldqa import RealWorldQA
from fourways.benchmarks.refcoco import RefCOCO
from fourways.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Rule:
    """name: what --rule takes. source: the program whose rule it is. printed: a metric in that program's own order of
    additions and rounding, for the last digit."""

    name: str
    source: str
    benchmark: Benchmark
    printed: Callable[[Metric], Printed] = plainly


_KIT = "VLMEvalKit, --judge exact_matching (August 2026)"
_LMMS = "lmms-eval 0.7.3"
_OFFICIAL_MME = "MME evaluation tool, calculation.py"
_GROUNDING = "evaluate_grounding.py"


def _table() -> dict[str, tuple[Rule, ...]]:
    return {
        "mme": (
            Rule("official", _OFFICIAL_MME, mme_rules.ScoredMME(), by_subtask),
            Rule("vlmevalkit", _KIT, mme_rules.MMEByVLMEvalKit(), by_subtask),
            Rule("lmms-eval", _LMMS, mme_rules.MMEByLmmsEval(), by_subtask),
        ),
        "mmbench_en": (
            Rule("vlmevalkit", _KIT, MMBenchEN()),
            Rule("lmms-eval", f"{_LMMS}, without its judge", choice_rules.MMBenchENByLmmsEval()),
            Rule("lmms-eval-static", f"{_LMMS}, mmbench_en_dev_static", choice_rules.MMBenchENStatic()),
        ),
        "mmbench_cn": (
            Rule("vlmevalkit", _KIT, MMBenchCN()),
            Rule("lmms-eval", f"{_LMMS}, without its judge", choice_rules.MMBenchCNByLmmsEval()),
        ),
        "vqav2": (
            Rule("official", "GT-Vision-Lab/VQA, vqaEval.py", vqa_rules.VQAGithub(), rounded_percent),
            Rule("always", "EvalAI: every answer normalised", vqa_rules.VQAAlways(), rounded_percent),
            Rule("lmms-eval", _LMMS, vqa_rules.VQAByLmmsEval()),
        ),
        "refcoco": (
            Rule("declared", "the declared box format", RefCOCO()),
            Rule("qwen-vl", f"QwenLM/Qwen-VL, {_GROUNDING}", box_rules.RefCOCOByQwenVL()),
            Rule("internvl", f"OpenGVLab/InternVL, {_GROUNDING}", box_rules.RefCOCOByInternVL()),
            Rule("vlmevalkit", "VLMEvalKit, dataset/refcoco.py (August 2026)", box_rules.RefCOCOByVLMEvalKit()),
            Rule("lmms-eval", f"{_LMMS}, refcoco_bbox_rec", box_rules.RefCOCOByLmmsEval()),
        ),
        "realworldqa": (
            Rule("vlmevalkit", _KIT, RealWorldQA()),
            Rule("lmms-eval", _LMMS, choice_rules.RealWorldQAByLmmsEval()),
        ),
    }


_ALIASES = {
    "mmbench_en": {"official": "vlmevalkit"},
    "mmbench_cn": {"official": "vlmevalkit"},
    "realworldqa": {"official": "vlmevalkit"},
    "vqav2": {"github": "official", "evalai": "always"},
}
"""MMBench's own program is VLMEvalKit."""


def scored_keys() -> tuple[str, ...]:
    """The benchmarks whose answers can be read from files."""
    return tuple(_table())


def find_rule(key: str, name: str | None) -> Rule:
    """The rule of that name, or the benchmark's own. Raises UserError with those there are."""
    rules = _table()[key]
    if name is None:
        return rules[0]
    wanted = _ALIASES.get(key, {}).get(name, name)
    for rule in rules:
        if rule.name == wanted:
            return rule
    raise UserError(f"--rule {name!r} is not known for {key}", hint=f"one of {', '.join(rule.name for rule in rules)}")


def box_rule(name: str | None, dialect: str) -> Rule:
    """Of RefCOCO: "official", or none named, is the program of that dialect's authors where there is one."""
    if name in (None, "official"):
        name = dialect if dialect in ("qwen-vl", "internvl") else "declared"
    return find_rule("refcoco", name)
