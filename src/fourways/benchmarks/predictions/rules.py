"""Which rules a benchmark's answers can be scored under, by name. A rule is a benchmark whose parser and scorer are
that program's: there is one scorer, and it is `Benchmark.parse`, `score` and `metrics`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Benchmark, Metric
from fourways.benchmarks.mmstar import MMStar
from fourways.benchmarks.pope import POPE
from fourways.benchmarks.predictions import box_rules, choice_rules, mme_rules, vqa_rules, yes_no_rules
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


_KIT = "VLMEvalKit, --judge exact_matching, August 2026"
_LMMS = "lmms-eval 0.7.3"
_GROUNDING = "evaluate_grounding.py"
OWN = ("choice", "yes_no", "open")
"""Kinds of tables of one's own: KIND:NAME."""


def _mme() -> tuple[Rule, ...]:
    return (
        Rule("official", "MME evaluation tool, calculation.py", mme_rules.ScoredMME(), by_subtask),
        Rule("vlmevalkit", _KIT, mme_rules.by_vlmevalkit(), by_subtask),
        Rule("lmms-eval", _LMMS, mme_rules.by_lmms_eval(), by_subtask),
        Rule("internvl", "OpenGVLab/InternVL, eval/mme/eval.py", mme_rules.by_internvl(), by_subtask),
    )


def _vqav2() -> tuple[Rule, ...]:
    return (
        Rule("official", "GT-Vision-Lab/VQA, vqaEval.py", vqa_rules.VQAGithub(), rounded_percent),
        Rule("always", "EvalAI: every answer normalised", vqa_rules.VQAAlways(), rounded_percent),
        Rule("lmms-eval", _LMMS, vqa_rules.VQAByLmmsEval()),
    )


def _refcoco() -> tuple[Rule, ...]:
    return (
        Rule("declared", "the declared box format", RefCOCO()),
        Rule("qwen-vl", f"QwenLM/Qwen-VL, {_GROUNDING}", box_rules.RefCOCOByQwenVL()),
        Rule("internvl", f"OpenGVLab/InternVL, {_GROUNDING}", box_rules.RefCOCOByInternVL()),
        Rule("vlmevalkit", "VLMEvalKit, dataset/refcoco.py, August 2026", box_rules.RefCOCOByVLMEvalKit()),
        Rule("lmms-eval", f"{_LMMS}, refcoco_bbox_rec", box_rules.RefCOCOByLmmsEval()),
    )


def _mmbench(benchmark: Benchmark) -> tuple[Rule, ...]:
    return (
        Rule("vlmevalkit", _KIT, benchmark),
        *_earlier(benchmark),
        Rule("lmms-eval", f"{_LMMS}, without its judge", choice_rules.by_lmms_eval(benchmark)),
        Rule("lmms-eval-static", f"{_LMMS}, mmbench_en_dev_static", choice_rules.by_lmms_eval_static(benchmark)),
    )


def _earlier(benchmark: Benchmark) -> tuple[Rule, ...]:
    return (
        Rule("ms-vlmeval", "ms-vlmeval 0.0.20, exact_matching", choice_rules.by_ms_vlmeval(benchmark)),
        Rule("vlmevalkit-2025", "VLMEvalKit of 2025, exact_matching", choice_rules.by_vlmevalkit_2025(benchmark)),
    )


def _realworldqa() -> tuple[Rule, ...]:
    return (
        Rule("own", "VLMEvalKit's reading of letters, lmms-eval's of words", RealWorldQA()),
        Rule("vlmevalkit", _KIT, choice_rules.by_vlmevalkit(RealWorldQA())),
        *_earlier(RealWorldQA()),
        Rule("lmms-eval", _LMMS, choice_rules.RealWorldQAByLmmsEval()),
    )


def _mmstar() -> tuple[Rule, ...]:
    return (
        Rule("official", "MMStar-Benchmark/MMStar, MMStar_eval", MMStar()),
        Rule("vlmevalkit", _KIT, choice_rules.by_vlmevalkit(MMStar())),
        *_earlier(MMStar()),
        Rule("lmms-eval", _LMMS, choice_rules.MMStarByLmmsEval()),
    )


def _pope() -> tuple[Rule, ...]:
    return (
        Rule("official", "RUCAIBox/POPE, evaluate.py", POPE()),
        Rule("vlmevalkit", _KIT, yes_no_rules.POPEByVLMEvalKit()),
        Rule("lmms-eval", _LMMS, yes_no_rules.POPEByLmmsEval()),
    )


_RULES: dict[str, Callable[[], tuple[Rule, ...]]] = {
    "mme": _mme,
    "mmbench_en": lambda: _mmbench(choice_rules.ScoredMMBenchEN()),
    "mmbench_cn": lambda: _mmbench(choice_rules.ScoredMMBenchCN()),
    "vqav2": _vqav2,
    "refcoco": _refcoco,
    "realworldqa": _realworldqa,
    "pope": _pope,
    "mmstar": _mmstar,
}
_ALIASES = {
    "mmbench_en": {"official": "vlmevalkit"},
    "mmbench_cn": {"official": "vlmevalkit"},
    "realworldqa": {"official": "own"},
    "vqav2": {"github": "official", "evalai": "always"},
}
"""MMBench's own program is VLMEvalKit; RealWorldQA has none."""


def scored_keys() -> tuple[str, ...]:
    """The benchmarks whose answers can be read from files."""
    return tuple(_RULES)


def find_rule(key: str, name: str | None) -> Rule:
    """The rule of that name, or the benchmark's own. Raises UserError with those there are."""
    kind, colon, _ = key.partition(":")
    if colon and kind in OWN:
        rules: tuple[Rule, ...] = (Rule("own", f"{kind}: tables", registry.get(key)),)
    elif key in _RULES:
        rules = _RULES[key]()
    else:
        known = (*scored_keys(), *(f"{one}:NAME" for one in OWN))
        raise UserError(f"answers to {key!r} cannot be scored", hint=f"one of {', '.join(known)}")
    wanted = _ALIASES.get(key, {}).get(name or "", name)
    if wanted is None or (wanted == "official" and rules[0].name == "own"):
        return rules[0]
    for rule in rules:
        if rule.name == wanted:
            return rule
    raise UserError(f"--rule {name!r} is not known for {key}", hint=f"one of {', '.join(rule.name for rule in rules)}")


def box_rule(name: str | None, dialect: str) -> Rule:
    """Of RefCOCO: "official", or none named, is the program of that dialect's authors where there is one."""
    if name in (None, "official"):
        name = dialect if dialect in ("qwen-vl", "internvl") else "declared"
    return find_rule("refcoco", name)
