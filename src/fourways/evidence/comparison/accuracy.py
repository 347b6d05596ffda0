"""Were the same questions answered alike? Answer by answer, and by a paired test of the scores.

Where the arithmetic is the same (`bit_exact`), answers are expected to be the same but at ties of the two best
scores, which show in the log-probabilities: both replies are then as likely. Elsewhere a share of flips is normal; its
size is said, and judged against what a rounding of the arithmetic does. A paired test looks whether the score moved. It
may miss a change that moves no score, and agreement may miss one that moves few answers in one direction: both must
pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fourways.core.rows import AnswerRow
from fourways.core.verdict import AxisVerdict, Verdict
from fourways.evidence.comparison.conditions import bit_exact
from fourways.evidence.comparison.facts import Both
from fourways.evidence.comparison.findings import Finding, of_a_loss, together
from fourways.figures.across import Moved, moved, shared_metrics
from fourways.figures.paired import amount
from fourways.stats import clustered_wilson

_Pair = tuple[AnswerRow, AnswerRow]
EXACT, ROUNDED = 0.995, 0.95
"""The least share of answers that agree: where arithmetic is the same, and where it is not (bf16, CUDA, int8, another
version or machine). Published rates of flips under other batches or kernels in bf16 are one to three in a hundred."""
TIE = 1e-3
"""Two replies as likely as this (natural logarithm of their whole probability) are a tie, and no disagreement."""
SIGNIFICANT = 0.01
_LISTED = 8


@dataclass(frozen=True, slots=True)
class _Answers:
    """One benchmark: what the old run has an answer to and the new one asked, in pairs (old, new). alone: samples of
    one run only. unanswered: those whose request failed in the old run, so that there is nothing to repeat."""

    benchmark: str
    pairs: Sequence[_Pair]
    alone: int
    unanswered: int

    @property
    def flips(self) -> list[_Pair]:
        return [pair for pair in self.pairs if said(pair[0]) != said(pair[1])]

    @property
    def ties(self) -> list[_Pair]:
        return [pair for pair in self.flips if _tie(*pair)]

    @property
    def rescored(self) -> int:
        """The reply is the same and its score is not: a rule changed, and no model."""
        return sum(old.reply == new.reply and _judged(old) != _judged(new) for old, new in self.pairs)

    @property
    def asked_otherwise(self) -> int:
        return sum(old.prompt_sha256 != new.prompt_sha256 for old, new in self.pairs)

    def differ(self, exact: bool) -> list[_Pair]:
        """Flips that count: where the arithmetic is the same, a tie is none."""
        return [pair for pair in self.flips if not (exact and _tie(*pair))]


def accuracy(both: Both) -> AxisVerdict:
    """Finding by finding, one a benchmark."""
    if (lost := of_a_loss(both, "accuracy")) is not None:
        return together(both.new_name, "accuracy", [lost])
    found = list(_findings(both))
    if not found:
        found = [Finding("not comparable", "no benchmark was answered in both runs")]
    return together(both.new_name, "accuracy", found)


def _findings(both: Both) -> Iterator[Finding]:
    exact = bit_exact(both)
    suite = {record.key: record for record in both.new_run.header.suite}
    given = {key: [row for row in rows if row.status != "failed"] for key, rows in both.old.answers.items()}
    scores = moved(shared_metrics(given, both.new.answers, suite))
    for benchmark in dict.fromkeys([*both.old.answers, *both.new.answers, *both.new.lost_benchmarks]):
        answers = _answers(both, benchmark)
        if not answers.pairs:
            yield _nothing(both, answers)
        else:
            yield _finding(answers, scores.get(benchmark), exact)
    if (whole := scores.get("")) is not None:
        verdict: Verdict = "not reproduced" if whole.p < SIGNIFICANT else "reproduced"
        yield Finding(verdict, f"aggregate: {_score(whole)}", {"aggregate.p": whole.p, **_moved("aggregate", whole)})


def _answers(both: Both, benchmark: str) -> _Answers:
    old, new = ({row.sample: row for row in run.answers.get(benchmark, ())} for run in (both.old, both.new))
    shared = [(old[name], new[name]) for name in sorted(old.keys() & new.keys())]
    given = [pair for pair in shared if pair[0].status != "failed"]
    return _Answers(benchmark, given, len(old.keys() ^ new.keys()), len(shared) - len(given))


def _nothing(both: Both, answers: _Answers) -> Finding:
    """No pair at all: the new run lost the benchmark, or the old one never had it."""
    name, lost = answers.benchmark, both.new.lost_benchmarks.get(answers.benchmark)
    had = any(row.status != "failed" for row in both.old.answers.get(name, ()))
    if had and lost is not None and lost.status == "failed":
        return Finding("not reproduced", f"{name}: the new run has no answers, and the old one has: {lost.message}")
    if answers.unanswered:
        return Finding("not comparable", f"{name}: every request of the old run failed")
    why = f": {lost.message}" if lost is not None else ""
    return Finding("not comparable", f"{name}: no sample was asked in both runs{why}")


def _finding(answers: _Answers, score: Moved | None, exact: bool) -> Finding:
    n, flips, ties = len(answers.pairs), answers.flips, answers.ties
    reasons = [_agreement(answers, flips, ties, exact)]
    if answers.asked_otherwise:
        reasons.append(f"{answers.asked_otherwise:,} prompts were not the same text")
    if answers.rescored:
        reasons.append(f"of replies that are the same, {answers.rescored:,} scored or read otherwise: a rule changed")
    if answers.alone:
        reasons.append(f"{answers.alone:,} samples were asked in one run only")
    if answers.unanswered:
        reasons.append(f"{answers.unanswered:,} requests failed in the old run and are not judged")
    if score is not None and (flips or answers.rescored):
        reasons.append(_score(score))
    statistics = {
        f"{answers.benchmark}.n": float(n),
        f"{answers.benchmark}.flips": float(len(flips)),
        f"{answers.benchmark}.ties": float(len(ties)),
        f"{answers.benchmark}.agreement": 1 - len(flips) / n,
    }
    if score is not None:
        statistics |= {f"{answers.benchmark}.p": score.p, **_moved(answers.benchmark, score)}
    changed = bool(answers.rescored or answers.asked_otherwise)
    verdict = _verdict(answers, exact, score, changed)
    return Finding(verdict, f"{answers.benchmark}: {'; '.join(reasons)}", statistics)


def _verdict(answers: _Answers, exact: bool, score: Moved | None, changed: bool) -> Verdict:
    """A rule or prompt that changed is a difference that was seen, whatever came of it."""
    if changed or (score is not None and score.p < SIGNIFICANT):
        return "not reproduced"
    least, differ = EXACT if exact else ROUNDED, {new.sample for _, new in answers.differ(exact)}
    if 1 - len(differ) / len(answers.pairs) >= least:
        return "reproduced"
    images = [new.image for _, new in answers.pairs]
    agreed = clustered_wilson(images, [float(new.sample not in differ) for _, new in answers.pairs])
    if agreed is None or agreed.high >= least:
        return "not comparable"
    return "not reproduced"


def _agreement(answers: _Answers, flips: Sequence[_Pair], ties: Sequence[_Pair], exact: bool) -> str:
    n, least = len(answers.pairs), EXACT if exact else ROUNDED
    if not flips:
        return f"all {n:,} answers are the same"
    named = ", ".join(new.sample for _, new in flips[:_LISTED]) + (", …" if len(flips) > _LISTED else "")
    tied = f", of them {len(ties):,} at a tie of the two best" if exact and ties else ""
    where = "where the arithmetic is the same" if exact else "in low precision or between unlike machines"
    needed = f"{100 * least:g} % must agree {where}"
    return f"{len(flips):,} of {n:,} answers flipped ({len(flips) / n:.2%}){tied}: {named}; {needed}"


def _score(score: Moved) -> str:
    estimate, unit = score.difference.estimate, score.metric.unit
    if score.difference.alike:
        return "every answer scored the same"
    direction = "higher" if estimate.value > 0 else "lower"
    size = f"{score.metric.name} is {amount(abs(estimate.value), unit)} {direction}"
    rests = f"p = {score.p:.2g}, {score.difference.test}, {estimate.n:,} images"
    if score.p < SIGNIFICANT:
        return f"{size} ({rests})"
    return f"{size}: not separated ({rests}; this n sees differences of {amount(score.difference.sees, unit)} or more)"


def _moved(name: str, score: Moved) -> dict[str, float]:
    found = {f"{name}.difference": score.difference.estimate.value}
    if (interval := score.difference.estimate.interval) is not None:
        found |= {f"{name}.difference.low": interval.low, f"{name}.difference.high": interval.high}
    return found


def said(row: AnswerRow) -> object:
    """What the reply says under the rule; of one that says nothing, its words."""
    return (row.status, row.reply) if row.parsed is None else (row.status, row.parsed)


def _judged(row: AnswerRow) -> object:
    return row.status, row.parsed, row.score


def _tie(old: AnswerRow, new: AnswerRow) -> bool:
    """Both replies are as likely."""
    whole = [
        None if row.mean_logprob is None or row.output_tokens is None else row.mean_logprob * max(1, row.output_tokens)
        for row in (old, new)
    ]
    return whole[0] is not None and whole[1] is not None and abs(whole[0] - whole[1]) <= TIE
