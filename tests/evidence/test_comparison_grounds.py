"""Hashes, accuracy, memory and tuning of two runs: what is the same, what is not, and what cannot be told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.candidate import Candidate
from fourways.core.engine import EngineInfo
from fourways.core.errors import UserError
from fourways.core.manifest import Manifest
from fourways.core.rows import AnswerRow, FailureRow, MemoryQuantity, MemoryRow, Row, TrainStepRow, TuneAnswerRow
from fourways.core.run import (
    RUN_SCHEMA,
    BenchmarkRecord,
    CandidateRecord,
    ClockRecord,
    Environment,
    Reading,
    RunHeader,
    SourceState,
    WorkloadRecord,
)
from fourways.core.verdict import AxisVerdict, Ground
from fourways.evidence import load_schema
from fourways.evidence.comparison import Facts, judge, matched, side_by_side
from fourways.figures import compute

N = 120
SUITE = (
    BenchmarkRecord("realworldqa", "RealWorldQA", "/d", "5" * 64, 1, 1, 1, "0" * 64, asked=N, asked_sha256="a" * 64),
)
ENGINE = EngineInfo("local", "generic", None, frozenset(), {"threads": "1", "device": "cpu"})
RECORD = CandidateRecord(
    Candidate("a", model="m"), "A", {"model.safetensors": "1" * 64, "config.json": "2" * 64}, ENGINE
)


def header(**changes: object) -> RunHeader:
    made = RunHeader(
        schema=RUN_SCHEMA, run_id="r", started="2026-11-22T10:00:00+00:00", argv=("fourways", "compare"),
        source=SourceState("0", "c" * 40), seed=7, axes=("accuracy", "memory", "tuning"), limit=None, quick=False,
        candidates=(RECORD,), suite=SUITE, definitions={"aggregate": "aggregate@1"},
        environment=Environment("cpu", 2, 2, 8 << 30, "Linux", "6", "3.11.7", {"torch": "2.13"}),
        clock=ClockRecord("c", 1.0, 0.0, ""),
        workloads=(WorkloadRecord("describe-32", "3" * 64, "{}", 5),),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def answers(candidate: str = "a", n: int = N) -> list[AnswerRow]:
    return [
        AnswerRow(
            candidate=candidate, benchmark="realworldqa", sample=f"{i:03}", group=str(i), image=f"i{i}", category="",
            question="q", gold=("A",), reply="A" if i % 4 else "B", parsed="A" if i % 4 else "B",
            score=float(i % 4 > 0), status="ok", finish_reason="stop", mean_logprob=-0.7, output_tokens=1, visuals=(),
            prompt_sha256="p", seed=0,
        )
        for i in range(n)
    ]  # fmt: skip


def flipped(rows: Sequence[AnswerRow], which: Sequence[int], logprob: float = -0.2) -> list[Row]:
    made: list[Row] = list(rows)
    for i in which:
        row = rows[i]
        other = "B" if row.parsed == "A" else "A"
        made[i] = msgspec.structs.replace(row, reply=other, parsed=other, score=1 - row.score, mean_logprob=logprob)
    return made


def facts(rows: Sequence[Row], head: RunHeader | None = None, name: str = "run") -> Facts:
    return Facts.of(name, head or header(), compute(rows, SUITE), rows)


def verdict(ground: Ground, old: Facts, new: Facts) -> AxisVerdict:
    return next(one for one in judge(old, new).verdicts if one.ground == ground)


# -- hashes ------------------------------------------------------------------------------------------------------------


def test_the_same_digests_and_versions_are_reproduced() -> None:
    found = verdict("hashes", facts(answers()), facts(answers()))
    assert found.verdict == "reproduced"
    assert found.statistics == {"items_that_differ": 0.0}


def benchmark(**changes: object) -> Callable[[], RunHeader]:
    return lambda: header(suite=(msgspec.structs.replace(SUITE[0], **changes),))


def candidate(**changes: object) -> Callable[[], RunHeader]:
    return lambda: header(candidates=(msgspec.structs.replace(RECORD, **changes),))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (candidate(sha256={**RECORD.sha256, "model.safetensors": "9" * 64}), "checkpoint: model.safetensors"),
        (candidate(sha256={"model.safetensors": "1" * 64}), "checkpoint: config.json"),
        (candidate(architecture="B"), "checkpoint: architecture: A → B"),
        (benchmark(sha256="6" * 64), "realworldqa: data"),
        (benchmark(asked_sha256="b" * 64), "realworldqa: samples asked"),
        (benchmark(prompt_version=2), "realworldqa: prompt version: 1 → 2"),
        (benchmark(parser_version=2), "realworldqa: parser version: 1 → 2"),
        (benchmark(scorer_version=2), "realworldqa: scorer version: 1 → 2"),
        (benchmark(code_sha256="1" * 64), "realworldqa: code that prompts, parses and scores"),
        (lambda: header(definitions={"aggregate": "aggregate@2"}), "definition: aggregate@1 → aggregate@2"),
        (lambda: header(seed=8), "seed: 7 → 8"),
        (lambda: header(workloads=(WorkloadRecord("describe-32", "4" * 64, "{}", 5),)), "workload: describe-32"),
        (lambda: header(suite=(replace_key("mme"),)), "realworldqa: not in the new run"),
    ],
)
def test_every_item_that_differs_is_named(change: Callable[[], RunHeader], named: str) -> None:
    found = verdict("hashes", facts(answers()), facts(answers(), change()))
    assert found.verdict == "not reproduced"
    assert any(reason.startswith(named) for reason in found.reasons), found.reasons


def replace_key(key: str) -> BenchmarkRecord:
    return msgspec.structs.replace(SUITE[0], key=key)


def test_another_commit_is_a_difference_of_the_headers_and_no_lost_reproduction() -> None:
    other = header(source=SourceState("0", "d" * 40, dirty=True, diff_sha256="e" * 64))
    made = judge(facts(answers()), facts(answers(), other))
    assert {one.verdict for one in made.verdicts if one.ground == "hashes"} == {"reproduced"}
    assert {one.where for one in made.differences} >= {"source.commit", "source.dirty", "source.diff_sha256"}


def test_the_manifest_s_identity_counts_where_both_have_one() -> None:
    def named(identity: str) -> RunHeader:
        fields = dict.fromkeys(Manifest.__struct_fields__)
        made = Manifest(**{**fields, "files": (), "identity": identity})  # type: ignore[arg-type]  # only its identity is read
        return candidate(manifest=made)()

    found = verdict("hashes", facts(answers(), named("1" * 64)), facts(answers(), named("2" * 64)))
    assert found.reasons[0].startswith("checkpoint: identity of the manifest")


# -- accuracy ----------------------------------------------------------------------------------------------------------


def test_the_same_answers_are_reproduced() -> None:
    found = verdict("accuracy", facts(answers()), facts(answers()))
    assert found.verdict == "reproduced"
    assert "all 120 answers are the same" in found.reasons[0]
    assert found.statistics["realworldqa.agreement"] == 1.0


def test_a_flip_at_a_tie_is_listed_and_no_disagreement_where_arithmetic_is_the_same() -> None:
    new = flipped(answers(), [5, 8], logprob=-0.7 + 1e-4)
    found = verdict("accuracy", facts(answers()), facts(new))
    assert found.verdict == "reproduced"
    assert "2 of 120 answers flipped" in found.reasons[0]
    assert "of them 2 at a tie" in found.reasons[0]
    assert "005, 008" in found.reasons[0]


def test_flips_that_are_no_ties_are_not_reproduced_though_the_score_is_the_same() -> None:
    """As many became right as became wrong: no paired test can see it."""
    right_now, wrong_now = [0, 4, 8, 12, 16], [1, 2, 3, 5, 6]
    found = verdict("accuracy", facts(answers()), facts(flipped(answers(), [*right_now, *wrong_now])))
    assert found.verdict == "not reproduced"
    assert found.statistics["realworldqa.p"] == 1.0


def test_one_flip_of_few_answers_cannot_be_told_from_chance() -> None:
    found = verdict("accuracy", facts(answers()), facts(flipped(answers(), [5])))
    assert found.verdict == "not comparable"


def test_in_low_precision_a_few_flips_are_normal_and_their_share_is_said() -> None:
    low = candidate(candidate=Candidate("a", model="m", dtype="bfloat16"))()
    found = verdict("accuracy", facts(answers(), low), facts(flipped(answers(), [1, 4]), low))
    assert found.verdict == "reproduced"
    assert "2 of 120 answers flipped (1.67%)" in found.reasons[0]


def test_a_score_that_moved_is_not_reproduced_with_its_test() -> None:
    low = candidate(candidate=Candidate("a", model="m", dtype="bfloat16"))()
    worse = flipped(answers(), [i for i in range(N) if i % 4 and i < 40])
    found = verdict("accuracy", facts(answers(), low), facts(worse, low))
    assert found.verdict == "not reproduced"
    assert "exact McNemar" in found.reasons[0]
    assert found.statistics["realworldqa.p"] < 0.01


def test_a_changed_scorer_is_seen_in_replies_that_are_the_same() -> None:
    new: list[Row] = [msgspec.structs.replace(row, score=1.0) for row in answers()]
    found = verdict("accuracy", facts(answers()), facts(new))
    assert found.verdict == "not reproduced"
    assert "of replies that are the same, 30 scored or read otherwise" in found.reasons[0]


def test_a_changed_prompt_is_seen_though_every_answer_is_the_same() -> None:
    new: list[Row] = [msgspec.structs.replace(row, prompt_sha256="other") for row in answers()]
    found = verdict("accuracy", facts(answers()), facts(new))
    assert found.verdict == "not reproduced"
    assert "120 prompts were not the same text" in found.reasons[0]


def test_no_sample_in_common_is_not_comparable() -> None:
    new: list[Row] = [msgspec.structs.replace(row, sample=f"x{row.sample}") for row in answers()]
    assert verdict("accuracy", facts(answers()), facts(new)).verdict == "not comparable"


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, N - 1)), st.booleans())
def test_every_verdict_has_its_reasons_and_is_the_same_read_back_to_front(which: set[int], low: bool) -> None:
    asked = Candidate("a", model="m", dtype="bfloat16" if low else "float32")
    head = candidate(candidate=asked)()
    one, other = (Facts.of("run", head, (), rows) for rows in (answers(), flipped(answers(), sorted(which))))
    there, back = verdict("accuracy", one, other), verdict("accuracy", other, one)
    assert there.reasons and there.verdict == back.verdict
    assert there.statistics["realworldqa.flips"] == len(which)


def test_a_request_that_failed_in_the_old_run_has_nothing_to_repeat() -> None:
    failed: list[Row] = [
        msgspec.structs.replace(row, reply="", parsed=None, score=0.0, status="failed") for row in answers()
    ]
    found = verdict("accuracy", facts(failed), facts(failed))
    assert (found.verdict, found.reasons) == (
        "not comparable",
        ("realworldqa: every request of the old run failed",),
    )
    assert verdict("accuracy", facts(failed), facts(answers())).verdict == "not comparable"
    assert verdict("accuracy", facts(answers()), facts(failed)).verdict == "not reproduced"
    some = [*failed[:40], *answers()[40:]]
    found = verdict("accuracy", facts(some), facts(answers()))
    assert found.verdict == "reproduced"
    assert "40 requests failed in the old run and are not judged" in found.reasons[0]


def test_a_benchmark_that_the_new_run_lost_is_not_reproduced_and_one_that_it_could_not_ask_is_not_comparable() -> None:
    other = [msgspec.structs.replace(row, benchmark="mmstar") for row in answers()]

    def without(status: Literal["failed", "undefined"]) -> Facts:
        lost = FailureRow("a", "accuracy", "benchmark", "realworldqa", "the reader broke", status=status)
        return facts([*other, lost])

    old = facts([*answers(), *other])
    found = verdict("accuracy", old, without("failed"))
    assert found.verdict == "not reproduced"
    assert "realworldqa: the new run has no answers, and the old one has: the reader broke" in found.reasons
    assert verdict("accuracy", old, without("undefined")).verdict == "not comparable"
    assert verdict("accuracy", without("failed"), old).verdict == "not comparable"


def test_ties_count_as_agreement_in_the_interval_too() -> None:
    """Of 400 answers 40 flip at ties, as many to right as to wrong, and 3 elsewhere: too few agree, and the interval of
    3 in 400 reaches 99.5 %."""
    old = answers(n=400)
    tied = flipped(old, [*range(0, 80, 4), *range(1, 80, 4)], logprob=-0.7)
    found = verdict("accuracy", facts(old), facts([*tied[:80], *flipped(old, [82, 84, 86])[80:]]))
    assert found.statistics["realworldqa.ties"] == 40
    assert found.verdict == "not comparable"


def test_a_difference_that_no_test_separates_says_which_one_this_n_would_have_seen() -> None:
    low = candidate(candidate=Candidate("a", model="m", dtype="bfloat16"))()
    found = verdict("accuracy", facts(answers(), low), facts(flipped(answers(), [1, 2]), low))
    assert found.verdict == "reproduced"
    assert "not separated (p = " in found.reasons[0] and "this n sees differences of" in found.reasons[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"candidate": Candidate("a", model="m", device="cuda")},
        {"candidate": Candidate("a", model="m", dtype="float16")},
        {"candidate": Candidate("a", model="m", quantization="int8")},
        {"engine": msgspec.structs.replace(ENGINE, engine="vllm")},
    ],
)
def test_where_arithmetic_rounds_otherwise_each_time_fewer_answers_need_to_agree(changes: dict[str, object]) -> None:
    head = candidate(**changes)()
    new = flipped(answers(), [0, 1, 4, 5])
    found = verdict("accuracy", facts(answers(), head), facts(new, head))
    assert found.verdict == "reproduced"
    assert "95 % must agree in low precision or between unlike machines" in found.reasons[0]
    assert verdict("accuracy", facts(answers()), facts(new)).verdict != "reproduced"


def test_how_fast_the_machine_was_set_loosens_nothing_that_answers_must_keep() -> None:
    def under(governor: str) -> RunHeader:
        readings = (Reading("cpu.governor", governor),)
        return header(environment=msgspec.structs.replace(header().environment, readings=readings))

    new = flipped(answers(), [0, 1, 4, 5])  # 96.7 % agree: enough between unlike machines only
    found = verdict("accuracy", facts(answers(), under("performance")), facts(new, under("powersave")))
    assert "99.5 % must agree where the arithmetic is the same" in found.reasons[0]
    assert found.verdict != "reproduced"


# -- memory ------------------------------------------------------------------------------------------------------------


def readings(tensors: int = 1_000_000, process: Sequence[int] = (5_000_000, 5_010_000, 4_990_000)) -> list[Row]:
    made: list[Row] = []
    for repeat, size in enumerate(process):
        made.append(MemoryRow("a", repeat, "decode", "live_tensors", tensors, (640, 480), 1, 100))
        made.append(MemoryRow("a", repeat, "weights", "exact", 900, (640, 480), 1, 100))
        made.append(MemoryRow("a", repeat, "decode", "process_above_load", size, (640, 480), 1, 100))
    return made


def test_counts_of_tensors_must_be_the_same_to_the_byte() -> None:
    assert verdict("memory", facts(readings()), facts(readings())).verdict == "reproduced"
    found = verdict("memory", facts(readings()), facts(readings(tensors=1_000_001)))
    assert found.verdict == "not reproduced"
    assert "1,000,000 → 1,000,001 bytes" in found.reasons[0]


def test_a_process_may_differ_by_two_in_a_hundred() -> None:
    near = [round(1.015 * size) for size in (5_000_000, 5_010_000, 4_990_000)]
    far = [round(1.05 * size) for size in (5_000_000, 5_010_000, 4_990_000)]
    assert verdict("memory", facts(readings()), facts(readings(process=near))).verdict == "reproduced"
    found = verdict("memory", facts(readings()), facts(readings(process=far)))
    assert found.verdict == "not reproduced"
    assert "more than 2 %" in found.reasons[0]


def test_processes_that_differ_among_themselves_say_nothing() -> None:
    wild = (4_000_000, 6_500_000, 5_500_000)
    found = verdict("memory", facts(readings(process=wild)), facts(readings()))
    assert found.verdict == "not comparable"
    assert "4,000,000 to 6,500,000" in found.reasons[0]


def test_means_that_agree_by_chance_are_not_called_the_same() -> None:
    wild = (4_000_000, 6_000_000, 5_000_000)
    found = verdict("memory", facts(readings(process=wild)), facts(readings()))
    assert found.verdict == "not comparable"
    assert "too far apart (old 4,000,000 to 6,000,000; new 4,990,000 to 5,010,000 bytes)" in found.reasons[0]


def test_one_process_cannot_show_its_own_spread() -> None:
    found = verdict("memory", facts(readings(process=(5_000_000,))), facts(readings(process=(5_500_000,))))
    assert found.verdict == "not comparable"
    assert "one process cannot show" in found.reasons[0]
    steady = (5_500_000, 5_500_000), (5_000_000, 5_000_000)
    made = [facts(readings(process=sizes)) for sizes in steady]
    assert verdict("memory", made[1], made[0]).verdict == "not reproduced"


def test_a_reading_that_the_new_run_lost_is_not_reproduced_and_one_that_it_has_alone_is_not_comparable() -> None:
    more = [*readings(), MemoryRow("a", 0, "train_step", "live_tensors", 7, (640, 480), 1, 100)]
    why = FailureRow("a", "memory", "sample", "train_step", "no gradient")
    found = verdict("memory", facts(more), facts([*readings(), why]))
    assert found.verdict == "not reproduced"
    assert "the new run has none, and the old one has: no gradient" in found.reasons[0]
    assert verdict("memory", facts(readings()), facts(more)).verdict == "not comparable"


def test_the_allocator_of_a_card_may_hold_one_block_more_and_what_others_hold_is_not_judged() -> None:
    def card(allocated: int, device: int = 1 << 30, tensors: int = 500 << 20) -> Facts:
        kinds: dict[MemoryQuantity, int] = {
            "allocated": allocated, "reserved": allocated, "device": device, "non_torch": device, "exact": tensors,
        }  # fmt: skip
        return facts(
            [MemoryRow("a", n, "prefill", q, b, (640, 480), 1, 100) for n in (0, 1, 2) for q, b in kinds.items()]
        )

    block, mib = 2 << 20, 1 << 20
    assert verdict("memory", card(100 * mib), card(100 * mib + block, 3 << 30)).verdict == "reproduced"
    found = verdict("memory", card(100 * mib), card(100 * mib + block + 1))
    assert found.verdict == "not reproduced"
    assert "more than 1 % or one block of 2 MiB" in found.reasons[0]
    assert verdict("memory", card(1000 * mib), card(1009 * mib)).verdict == "reproduced"
    assert verdict("memory", card(1000 * mib), card(1011 * mib)).verdict == "not reproduced"


def test_a_process_that_was_lost_among_others_is_a_difference_and_what_the_old_run_lost_in_part_is_judged() -> None:
    lost: list[Row] = [FailureRow("a", "memory", "axis", "repeat 2", "the probe was killed")]
    whole, part = facts(readings()), facts([*readings(process=(5_000_000, 5_010_000)), *lost])
    found = verdict("memory", whole, part)
    assert found.verdict == "not reproduced"
    assert "lost a part of its memory (repeat 2): the probe was killed" in found.reasons[0]
    assert verdict("memory", part, whole).verdict == "reproduced"


def test_memory_under_other_versions_is_not_comparable() -> None:
    other = header(environment=msgspec.structs.replace(header().environment, packages={"torch": "2.14"}))
    found = verdict("memory", facts(readings()), facts(readings(tensors=5), other))
    assert (found.verdict, found.reasons) == ("not comparable", ("torch: 2.13 → 2.14",))


# -- tuning ------------------------------------------------------------------------------------------------------------


def trained(off: float = 0.0, from_step: int = 10, wrong: int = 0) -> list[Row]:
    made: list[Row] = [
        TrainStepRow("a", "shapes", 0, step, 2 - 0.02 * step + off * (step >= from_step), 1e-3, 5.0, 100)
        for step in range(40)
    ]
    for i in range(100):
        hit = i % 5 > 0 and i >= wrong
        made.append(
            TuneAnswerRow("a", "shapes", 0, "after", str(i), f"i{i}", "q", "x", "x" if hit else "y", float(hit))
        )
    return made


def test_a_fine_tune_that_goes_the_same_way_is_reproduced() -> None:
    found = verdict("tuning", facts(trained()), facts(trained()))
    assert found.verdict == "reproduced"
    assert any("40 of 40 losses are the same to the last digit" in reason for reason in found.reasons)


def test_losses_that_part_are_named_by_their_first_step() -> None:
    found = verdict("tuning", facts(trained()), facts(trained(off=0.1)))
    assert found.verdict == "not reproduced"
    assert "from step 10 of seed 0 of shapes on they part" in found.reasons[0]


def test_on_another_machine_the_answers_decide() -> None:
    other = header(environment=msgspec.structs.replace(header().environment, cpu="another"))
    assert verdict("tuning", facts(trained()), facts(trained(off=0.1), other)).verdict == "reproduced"
    found = verdict("tuning", facts(trained()), facts(trained(off=0.1, wrong=40), other))
    assert found.verdict == "not reproduced"
    assert "their score moved by -32.0 pp (p = " in found.reasons[0]


def test_losses_that_part_between_unlike_machines_decide_nothing_without_answers() -> None:
    other = header(environment=msgspec.structs.replace(header().environment, cpu="another"))
    steps, parted = ([row for row in trained(off=off) if isinstance(row, TrainStepRow)] for off in (0.0, 0.1))
    assert verdict("tuning", facts(steps), facts(steps, other)).verdict == "reproduced"
    assert verdict("tuning", facts(steps), facts(parted, other)).verdict == "not comparable"


def test_a_fine_tune_that_the_new_run_lost_is_not_reproduced() -> None:
    second = [msgspec.structs.replace(row, seed=1) for row in trained()]
    why = FailureRow("a", "tuning", "benchmark", "shapes, seed 1", "the loss is no number")
    found = verdict("tuning", facts([*trained(), *second]), facts([*trained(), why]))
    assert found.verdict == "not reproduced"
    assert "shapes, seed 1: the new run has no fine-tune, and the old one has: the loss is no number" in found.reasons
    assert verdict("tuning", facts(trained()), facts([*trained(), *second])).verdict == "reproduced"


# -- the whole ---------------------------------------------------------------------------------------------------------


def test_what_differs_between_any_two_runs_is_no_difference() -> None:
    again = header(
        run_id="other", started="2026-11-23T10:00:00+00:00", argv=("fourways", "reproduce"),
        environment=msgspec.structs.replace(header().environment, readings=(Reading("system.load", "9.0"),)),
    )  # fmt: skip
    assert judge(facts(answers()), facts(answers(), again)).differences == ()


def test_a_difference_is_named_by_its_candidate_and_path() -> None:
    other = candidate(sha256={**RECORD.sha256, "model.safetensors": "9" * 64})()
    (found,) = judge(facts(answers()), facts(answers(), other)).differences
    assert found.where == "candidates.a.sha256.model.safetensors"
    assert (found.old, found.new) == ("1" * 64, "9" * 64)


def test_a_candidate_that_is_matched_by_another_name_is_not_mixed_up_with_one_that_has_it() -> None:
    def named(name: str, digest: str) -> CandidateRecord:
        return msgspec.structs.replace(RECORD, candidate=Candidate(name, model="m"), sha256={"w": digest * 64})

    old = facts([], header(candidates=(named("bf16", "1"), named("int4", "2"))))
    new = facts([], header(candidates=(named("int4", "3"), named("int8", "4"))))
    made = side_by_side(old, new, [("int4", "bf16"), ("int8", "bf16")]).differences
    digests = {one.where: (one.old, one.new) for one in made if one.where.endswith(".sha256.w")}
    assert digests == {
        "candidates.int4.sha256.w": ("1" * 64, "3" * 64),
        "candidates.int8.sha256.w": ("1" * 64, "4" * 64),
    }


def test_a_package_or_candidate_may_be_called_like_what_always_differs() -> None:
    changed = msgspec.structs.replace(header().environment, lock={"schema": "2"})
    before = msgspec.structs.replace(header().environment, lock={"schema": "1"})
    made = judge(facts([], header(environment=before)), facts([], header(environment=changed))).differences
    assert [one.where for one in made] == ["environment.lock.schema"]


def test_a_comparison_keeps_its_published_schema_and_reads_back() -> None:
    made = judge(facts([*answers(), *readings(), *trained()]), facts([*answers(), *readings(), *trained()]))
    plain = json.loads(msgspec.json.encode(made))
    jsonschema.Draft202012Validator(load_schema("comparison")).validate(plain)
    assert msgspec.json.decode(msgspec.json.encode(made), type=type(made)) == made


def test_any_two_runs_are_laid_side_by_side_under_matched_names() -> None:
    renamed = candidate(candidate=Candidate("b", model="m"))()
    old, new = facts(answers(), name="old"), facts(flipped(answers("b"), [1, 2]), renamed, name="new")
    made = side_by_side(old, new, matched(old, new))
    assert made.verdicts == ()
    headline = made.figures[0]
    assert headline.old is not None and headline.new is not None
    assert (headline.old.candidate, headline.new.candidate) == ("a", "b")
    (test,) = made.tests
    assert test.labels["versus"] == "a (old)"
    assert "this n sees differences of" in test.labels["verdict"]


def test_candidates_that_cannot_be_matched_are_told_with_what_there_is() -> None:
    two = header(candidates=(RECORD, msgspec.structs.replace(RECORD, candidate=Candidate("c", model="m"))))
    renamed = candidate(candidate=Candidate("b", model="m"))()
    with pytest.raises(UserError, match="no candidate is in both"):
        matched(facts(answers(), two), facts(answers("b"), renamed))
    with pytest.raises(UserError, match="has no candidate 'x'"):
        matched(facts(answers()), facts(answers()), ["x"])
    assert matched(facts(answers(), two), facts(answers("b"), renamed), ["b=c"]) == [("b", "c")]


def test_what_the_new_run_lost_is_not_reproduced() -> None:
    lost: list[Row] = [FailureRow("a", "memory", "axis", "", "the probe was killed")]
    found = verdict("memory", facts(readings()), facts(lost))
    assert found.verdict == "not reproduced"
    assert "the probe was killed" in found.reasons[0]


# -- what is not judged, and is said -----------------------------------------------------------------------------------


def test_a_server_s_weights_are_not_seen_and_the_rest_of_the_hashes_is() -> None:
    served = candidate(sha256={}, candidate=Candidate("a", url="http://x/v1", device=""))
    found = verdict("hashes", facts(answers(), served()), facts(answers(), served()))
    assert found.verdict == "not comparable"
    assert "a server by URL does not show its weights" in found.reasons[0]
    assert "are the same" in found.reasons[1]


def test_what_an_older_header_does_not_know_is_no_difference_and_is_not_counted() -> None:
    older = benchmark(asked=None, asked_sha256=None)()
    found = verdict("hashes", facts(answers(), older), facts(answers()))
    whole = verdict("hashes", facts(answers()), facts(answers()))
    assert found.verdict == "reproduced"
    assert [one.reasons[0].split()[1] for one in (found, whole)] == ["11", "13"]


def test_benchmarks_are_no_difference_where_another_axis_was_repeated() -> None:
    assert verdict("hashes", facts(answers()), facts([], header(suite=(), axes=("memory",)))).verdict == "reproduced"


def test_what_could_not_be_asked_at_all_is_not_comparable() -> None:
    lost: list[Row] = [FailureRow("a", "memory", "axis", "", "no access", status="undefined")]
    assert verdict("memory", facts(readings()), facts(lost)).verdict == "not comparable"


def test_candidates_of_one_run_only_are_noted_and_none_in_common_is_a_mistake() -> None:
    two = header(candidates=(RECORD, msgspec.structs.replace(RECORD, candidate=Candidate("c", model="m"))))
    assert judge(facts(answers(), two), facts(answers())).notes == ("c is only in the old run",)
    with pytest.raises(UserError, match="no candidate of"):
        judge(facts(answers()), facts(answers("b"), candidate(candidate=Candidate("b", model="m"))()))


def test_a_process_whose_interval_reaches_into_what_is_allowed_cannot_be_told() -> None:
    old, new = (4_950_000, 5_000_000, 5_050_000), (5_100_000, 5_150_000, 5_200_000)
    assert verdict("memory", facts(readings(process=old)), facts(readings(process=new))).verdict == "not comparable"


def test_a_fine_tune_of_fewer_steps_or_other_answers_is_not_reproduced() -> None:
    fewer = [row for row in trained() if not isinstance(row, TrainStepRow) or row.step < 30]
    found = verdict("tuning", facts(trained()), facts(fewer))
    assert (found.verdict, found.reasons[0]) == ("not reproduced", "40 steps then, 30 now")
    reworded: list[Row] = [
        msgspec.structs.replace(row, reply="z") if isinstance(row, TuneAnswerRow) and row.sample in "5 10 15" else row
        for row in trained()
    ]
    found = verdict("tuning", facts(trained()), facts(reworded))
    assert found.verdict == "not reproduced"
    assert "answers after the fine-tune are the same" in found.reasons[0]
