"""Is it the engine or the machine? Rows of made-up runs in which one, the other or both became slower."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec
import numpy as np
import pytest

from fourways.core.candidate import Candidate
from fourways.core.engine import EngineInfo
from fourways.core.rows import CeilingRow, FailureRow, RequestRow, Row
from fourways.core.run import (
    RUN_SCHEMA,
    CandidateRecord,
    ClockRecord,
    Environment,
    Reading,
    RunHeader,
    SourceState,
)
from fourways.core.verdict import AxisVerdict
from fourways.evidence.comparison import Facts, judge
from fourways.evidence.comparison.conditions import POLICIES
from fourways.evidence.environment import gpu
from fourways.evidence.environment.catalogue import CATALOGUE
from fourways.evidence.environment.gpu import CARD_KNOBS
from fourways.evidence.environment.machine import Machine

TOKENS, REQUESTS = 32, 32


def requests(rng: np.random.Generator, engine: float, busy: float, concurrency: int) -> list[Row]:
    """engine: how many times as long its work takes. busy: by what factor the machine stretches a typical request; the
    calmest moments it leaves as they are."""
    made: list[Row] = []
    for item in range(REQUESTS):
        steps = engine * 2.0 * np.exp(rng.normal(0, 0.01, TOKENS - 1))
        held_up = rng.random(TOKENS - 1) < 0.8
        steps = np.where(held_up, steps * (1 + (busy - 1) * rng.uniform(0.6, 1.4, TOKENS - 1)), steps)
        first = engine * 9.0 * (1 + (busy - 1) * rng.uniform(0, 1.5))
        made.append(
            RequestRow(
                "a", "describe-32", concurrency, "cold", item // 16, item, "00", 0.0, 0.1, first, first + steps.sum(),
                float(steps.mean()), tuple(steps), 40, 16, TOKENS, {},
            )
        )  # fmt: skip
    return made


def ceilings(rng: np.random.Generator, rate: float) -> list[Row]:
    made: list[Row] = []
    for trial in range(8):
        copied, multiplied = rate * np.exp(-rng.exponential(0.05, 2))
        made.append(CeilingRow("a", "cpu", "float32", 1, "copy_bytes_per_s", trial, 1 << 20, 1e10 * copied))
        made.append(CeilingRow("a", "cpu", "float32", 1, "matmul_flops_per_s", trial, 512, 1e11 * multiplied))
    return made


def header(**changes: object) -> RunHeader:
    engine = EngineInfo("local", "generic", None, frozenset(), {"threads": "1"})
    made = RunHeader(
        schema=RUN_SCHEMA, run_id="r", started="2026-11-22T10:00:00+00:00", argv=(), source=SourceState("0"), seed=7,
        axes=("latency",), limit=None, quick=True,
        candidates=(CandidateRecord(Candidate("a", model="a"), "A", {"model.safetensors": "0" * 64}, engine),),
        suite=(),
        definitions={"e2e_p50": "e2e_p50@2"}, environment=Environment("cpu", 2, 2, 8 << 30, "Linux", "6", "3.11.7", {}),
        clock=ClockRecord("c", 1.0, 0.0, ""),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def run(
    seed: int, *, engine: float = 1.0, busy: float = 1.05, rate: float = 1.0, head: RunHeader | None = None
) -> Facts:
    rng = np.random.default_rng(seed)
    rows = [row for concurrency in (1, 8) for row in requests(rng, engine, busy, concurrency)]
    return Facts.of(f"run {seed}", head or header(), (), [*rows, *ceilings(rng, rate)])


def latency(old: Facts, starts: Sequence[Facts]) -> AxisVerdict:
    verdicts = judge(old, starts[0], starts[1:]).verdicts
    return next(one for one in verdicts if one.ground == "latency")


def test_a_machine_at_rest_shows_that_it_is_as_fast_as_it_was() -> None:
    found = latency(run(0, busy=1.0), [run(seed, busy=1.0) for seed in (1, 2, 3)])
    assert found.verdict == "reproduced", found.reasons
    assert found.statistics["starts"] == 3


@pytest.mark.parametrize("seed", range(20))
def test_an_unchanged_engine_is_never_not_reproduced_on_a_machine_whose_load_wanders(seed: int) -> None:
    rng = np.random.default_rng(900 + seed)
    loads = np.exp(rng.uniform(0, np.log(3), 4))
    old, *new = (run(10 * seed + n, busy=float(load)) for n, load in enumerate(loads))
    assert latency(old, new).verdict != "not reproduced"
    assert latency(new[0], [old]).verdict != "not reproduced"


@pytest.mark.parametrize("busy", [(1.0, 1.0), (1.1, 1.6), (2.2, 1.1), (1.5, 2.5)])
@pytest.mark.parametrize("engine", [1.5, 1 / 1.5])
def test_an_engine_slower_or_faster_by_half_is_seen_through_the_load(engine: float, busy: tuple[float, float]) -> None:
    found = latency(run(50, busy=busy[0]), [run(60 + n, engine=engine, busy=busy[1]) for n in range(3)])
    assert found.verdict == "not reproduced"
    ratio = found.statistics["undisturbed step.describe-32.closed 1.cold.ratio"]
    assert ratio == pytest.approx(engine, rel=0.1)
    assert "decode steps" in found.reasons[0]


def test_a_machine_that_became_slower_itself_explains_as_much_and_no_more() -> None:
    slower = [run(70 + n, engine=1.5, rate=1 / 1.5) for n in range(3)]
    found = latency(run(70), slower)
    assert found.verdict == "not comparable"
    assert found.statistics["machine.slower"] == pytest.approx(1.5, rel=0.05)
    twice = [run(80 + n, engine=2.5, rate=1 / 1.5) for n in range(3)]
    assert latency(run(70), twice).verdict == "not reproduced"


def test_an_unsteady_machine_says_how_unsteady_it_is() -> None:
    found = latency(run(0, busy=1.1), [run(1, busy=1.1), run(2, busy=2.4), run(3, busy=1.6)])
    assert found.verdict == "not comparable"
    assert "this machine's own A/A ratio reaches" in found.reasons[0]
    assert found.statistics["own_ratio"] > 1.5


def test_one_start_alone_cannot_say_that_it_is_the_same() -> None:
    found = latency(run(0, busy=1.0), [run(1, busy=1.0)])
    assert found.verdict == "not comparable"
    assert "one fresh start" in found.reasons[0]


def test_another_processor_or_version_is_not_comparable_and_is_named() -> None:
    other = msgspec.structs.replace(header().environment, cpu="another", packages={"torch": "3"})
    found = latency(run(0), [run(1, engine=3.0, head=header(environment=other))])
    assert found.verdict == "not comparable"
    assert "processor: cpu → another" in found.reasons
    assert "torch: None → 3" in found.reasons


def test_another_governor_is_not_comparable_and_another_load_is_nothing() -> None:
    def machine(**readings: str) -> RunHeader:
        made = tuple(Reading(knob.replace("_", "."), value) for knob, value in readings.items())
        return header(environment=msgspec.structs.replace(header().environment, readings=made))

    old = run(0, head=machine(cpu_governor="performance", system_load="1.0"))
    same = run(1, head=machine(cpu_governor="performance", system_load="7.0"))
    other = run(1, head=machine(cpu_governor="powersave", system_load="1.0"))
    assert not any("governor" in reason for reason in latency(old, [same]).reasons)
    assert latency(old, [other]).reasons == ("cpu.governor: performance → powersave",)


def test_a_server_whose_machine_nobody_sees_needs_a_larger_difference() -> None:
    served = msgspec.structs.replace(
        header().candidates[0],
        candidate=Candidate("a", url="http://x/v1", device=""),
        sha256={},
        engine=EngineInfo("openai", "generic", None, frozenset(), {}),
    )

    def at(seed: int, engine: float) -> Facts:
        made = run(seed, engine=engine, head=header(candidates=(served,)))
        made.measured["a"].ceilings.clear()
        return made

    assert latency(at(0, 1.0), [at(1, 1.5)]).verdict == "not comparable"
    found = latency(at(0, 1.0), [at(1, 4.0)])
    assert found.verdict == "not reproduced"
    assert "no access" in found.reasons[-1]


def test_what_the_new_run_lost_is_not_reproduced_and_what_the_old_one_lost_is_not_comparable() -> None:
    lost = FailureRow("a", "latency", "axis", "", "every request failed")
    broken = Facts.of("broken", header(), (), [lost])
    assert latency(run(0), [broken]).verdict == "not reproduced"
    assert latency(broken, [run(0)]).verdict == "not comparable"
    assert "every request failed" in latency(run(0), [broken]).reasons[0]


def test_runs_without_a_load_in_common_are_not_comparable() -> None:
    assert latency(run(0), [Facts.of("empty", header(), (), [])]).verdict == "not comparable"


def test_a_load_whose_requests_fail_now_is_not_reproduced_however_fast_the_others_are() -> None:
    def failing(seed: int) -> Facts:
        made = run(seed, busy=1.0)
        measured = made.measured["a"]
        measured.requests = [
            msgspec.structs.replace(row, error="lost", ttft_ms=None, e2e_ms=None) if row.concurrency == 8 else row
            for row in measured.requests
        ]
        return made

    found = latency(run(0, busy=1.0), [failing(1), failing(2), failing(3)])
    assert found.verdict == "not reproduced"
    assert "more than half of the requests failed at closed 8, cold in 3 of 3 starts" in found.reasons
    assert latency(run(0, busy=1.0), [failing(1), run(2), run(3)]).verdict == "not comparable"


def test_a_further_start_of_another_machine_checkpoint_or_candidate_is_none() -> None:
    other = msgspec.structs.replace(header().environment, cpu="another")
    record = header().candidates[0]
    noisy = msgspec.structs.replace(record, sha256={"model.safetensors": "9" * 64})
    named = msgspec.structs.replace(record, candidate=Candidate("b", model="a"))
    for head, told in (
        (header(environment=other), "run 2: processor: cpu → another"),
        (header(candidates=(noisy,)), "run 2: another checkpoint than run 1 has"),
        (header(candidates=(named,)), "run 2 has no candidate a"),
    ):
        found = latency(run(0, busy=1.0), [run(1, busy=1.0), run(2, busy=1.0, head=head)])
        assert (found.verdict, found.reasons) == ("not comparable", (told,))


def test_a_start_that_answered_nothing_is_counted_and_not_left_out() -> None:
    broken = Facts.of("broken", header(), (), [FailureRow("a", "latency", "axis", "", "every request failed")])
    found = latency(run(0, busy=1.0), [run(1, busy=1.0), run(2, busy=1.0), run(3, busy=1.0), broken])
    assert found.verdict == "not comparable"
    assert any("in 1 of 4 starts" in reason for reason in found.reasons)


def test_a_time_of_zero_is_no_time() -> None:
    made = run(1, busy=1.0)
    made.measured["a"].requests = [
        msgspec.structs.replace(row, ttft_ms=0.0, e2e_ms=0.0, chunk_gaps_ms=(0.0,))
        for row in made.measured["a"].requests
    ]
    assert latency(run(0), [made]).verdict == "not comparable"
    assert latency(made, [run(0)]).verdict == "not comparable"


def test_what_decides_a_machine_s_speed_is_named_as_the_environment_names_it() -> None:
    """By its real catalogue, and a card's knobs: one that is renamed there is missed here."""
    cards = {f"gpu{number}.{knob.name}" for knob in CARD_KNOBS for number in (0, 11)}
    known = {knob.name for knob in CATALOGUE} | cards | {one.knob for one in gpu.readings(Machine())}
    for pattern in POLICIES:
        named = sorted(name for name in known if fnmatchcase(name, pattern))
        assert named, pattern
        knob = named[-1]

        def under(value: str, knob: str = knob) -> RunHeader:
            readings = (Reading(knob, value), Reading("system.load", value))
            return header(environment=msgspec.structs.replace(header().environment, readings=readings))

        found = latency(run(0, head=under("one")), [run(1, head=under("other"))])
        assert (found.verdict, found.reasons) == ("not comparable", (f"{knob}: one → other",))


def test_the_fastest_of_a_few_requests_is_no_twentieth() -> None:
    def few(seed: int, engine: float) -> Facts:
        made = run(seed, engine=engine, busy=1.0)
        made.measured["a"].requests = [
            msgspec.structs.replace(row, chunk_gaps_ms=row.chunk_gaps_ms[:1])
            for row in made.measured["a"].requests
            if row.item < 19
        ]
        return made

    found = latency(few(0, 1.0), [few(1, 3.0), few(2, 3.0)])
    assert found.verdict == "not comparable"
    assert not any("undisturbed" in name for name in found.statistics)


def first_tokens(made: Facts, factor: float) -> Facts:
    """The same run with first tokens that took so many times as long."""
    measured = made.measured["a"]
    measured.requests = [
        msgspec.structs.replace(row, ttft_ms=factor * row.ttft_ms) for row in measured.requests if row.ttft_ms
    ]
    return made


def test_first_tokens_are_judged_on_a_calm_machine_only() -> None:
    calm = latency(run(0, busy=1.0), [first_tokens(run(1, busy=1.0), 3)])
    assert calm.verdict == "not reproduced"
    assert "first tokens" in calm.reasons[0]
    assert latency(run(0, busy=2.5), [first_tokens(run(1, busy=2.5), 3)]).verdict == "not comparable"


def test_by_how_much_steps_were_held_up_explains_as_much_of_first_tokens() -> None:
    assert latency(run(0, busy=1.0), [first_tokens(run(1, busy=1.0), 1.9)]).verdict == "not reproduced"
    assert latency(run(0, busy=1.0), [first_tokens(run(1, busy=1.4), 1.9)]).verdict == "not comparable"


def test_starts_that_lie_far_apart_need_a_larger_difference() -> None:
    alike = [run(seed, engine=1.6) for seed in (1, 2, 3)]
    apart = [run(seed, engine=engine) for seed, engine in ((1, 1.6), (2, 2.4), (3, 3.6))]
    assert latency(run(0), alike).verdict == "not reproduced"
    assert latency(run(0), apart).verdict == "not comparable"


def test_medians_of_a_faster_engine_are_no_more_the_same_than_those_of_a_slower_one() -> None:
    for engine in (1.15, 1 / 1.15):
        found = latency(run(0, busy=1.0), [run(seed, engine=engine, busy=1.0) for seed in (1, 2, 3)])
        assert found.verdict == "not comparable"


def machine(**changes: object) -> RunHeader:
    return header(environment=msgspec.structs.replace(header().environment, **changes))


def candidate(**changes: object) -> RunHeader:
    return header(candidates=(msgspec.structs.replace(header().candidates[0], **changes),))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (machine(cores=4), "usable cores: 2 → 4"),
        (machine(accelerators=("a card",)), "accelerators: none → a card"),
        (machine(system="Darwin"), "system: Linux → Darwin"),
        (machine(python="3.12.1"), "Python: 3.11 → 3.12"),
        (machine(memory_bytes=16 << 30), "memory: 8.0 GiB → 16.0 GiB"),
        (candidate(candidate=Candidate("a", model="a", dtype="bfloat16")), "dtype: float32 → bfloat16"),
        (candidate(engine=EngineInfo("vllm", "generic", None, frozenset(), {"threads": "1"})), "engine: local → vllm"),
        (
            candidate(engine=EngineInfo("local", "generic", None, frozenset(), {"threads": "2"})),
            "engine's threads: 1 → 2",
        ),
    ],
)
def test_what_is_not_of_one_class_is_named(other: RunHeader, told: str) -> None:
    found = latency(run(0), [run(1, engine=3.0, head=other)])
    assert (found.verdict, found.reasons) == ("not comparable", (told,))


def test_python_s_last_number_and_a_little_memory_are_nothing() -> None:
    found = latency(run(0), [run(1, engine=3.0, head=machine(python="3.11.9", memory_bytes=8_400_000_000))])
    assert found.verdict == "not reproduced"
