"""What is exported comes back as it was: from CSV by a reader, from MLflow by its own client."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
import types
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from fourways.core.candidate import Candidate
from fourways.core.digests import hash_file
from fourways.core.engine import EngineInfo
from fourways.core.errors import FourwaysError, UserError
from fourways.core.figure import SUMMARY_SCHEMA, Figure, Summary
from fourways.core.load import Load
from fourways.core.rows import ROWS_SCHEMA, FailureRow, MemoryRow, Row, RowsHeader
from fourways.core.run import RUN_SCHEMA, CandidateRecord, ClockRecord, Environment, RunHeader, SourceState
from fourways.evidence.export import log_run, write_csv
from fourways.evidence.export.csv_tables import _line
from fourways.evidence.export.mlflow_names import LONGEST_NAME, metric_names

ODD = '=HYPERLINK("http://x"),\n"two", lines'


def figure(candidate: str, metric: str, value: float | None = 0.1 + 0.2, **more: object) -> Figure:
    fields: dict[str, object] = {
        "axis": "accuracy", "candidate": candidate, "metric": metric, "definition": f"{metric}@1", "unit": "fraction",
        "direction": "higher", "value": value, "low": 0.25, "high": 0.5, "n": 12, "n_unit": "images", "status": "ok",
        "labels": {"benchmark": "mme", "category": "OCR & <text>"}, **more,
    }  # fmt: skip
    return Figure(**fields)  # type: ignore[arg-type]  # by their names


FIGURES = (
    figure("a", "score", headline=True),
    figure("a", "lost", None, low=None, high=None, status="undefined", reason="no access"),
    figure("a", "few", 0.5, low=None, high=None, status="too_few", reason="2 images"),
    figure("b", "score", 1 / 3, labels={}),
)
ROWS: tuple[Row, ...] = (
    MemoryRow("a", 0, "weights", "exact", 1 << 40, (640, 480), 1, 40),
    FailureRow("a", "accuracy", "sample", "mme", ODD),
    FailureRow("b", "accuracy", "sample", "", "", ""),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "adapters").mkdir(parents=True)
    info = EngineInfo("local", "qwen2.5-vl", None, frozenset({"generate"}), {"threads": "2"})
    header = RunHeader(
        schema=RUN_SCHEMA, run_id="2026-11-22T10-00-00Z-a-b", started="2026-11-22T10:00:00+00:00", argv=("fourways",),
        source=SourceState("0", commit="c0ffee"), seed=7, axes=("accuracy",), limit=None, quick=False,
        candidates=tuple(CandidateRecord(Candidate(one, model="zoo:qwen"), "Q", {}, info) for one in "ab"), suite=(),
        definitions={}, environment=Environment("cpu", 1, 1, 1, "Linux", "6", "3.11", {}),
        clock=ClockRecord("c", 1.0, 0.0, ""),
    )  # fmt: skip
    (folder / "run.json").write_bytes(msgspec.json.encode(header))
    lines = [RowsHeader(ROWS_SCHEMA, header.run_id, None, None, None), *ROWS]
    (folder / "rows.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    (folder / "summary.json").write_bytes(msgspec.json.encode(Summary(SUMMARY_SCHEMA, header.run_id, FIGURES)))
    (folder / "statement.json").write_text("{}")
    (folder / "adapters" / "one.json").write_text("[]")
    (folder / ".hidden").write_text("no")
    (folder / "link.json").symlink_to("/etc/hostname")
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_field_of_every_figure_comes_back(run: Path, tmp_path: Path) -> None:
    written = write_csv(run, tmp_path / "out")
    assert {path.name: count for path, count in written.items()} == {
        "figures.csv": 4, "rows_memory_sample.csv": 1, "rows_failure.csv": 2,
    }  # fmt: skip
    found = read(tmp_path / "out" / "figures.csv")
    assert list(found[0]) == list(Figure.__struct_fields__)
    for line, told in zip(found, FIGURES, strict=True):
        assert float(line["value"] or "nan") == told.value or (told.value is None and line["value"] == "")
        assert (line["n"], line["status"], json.loads(line["labels"])) == (str(told.n), told.status, told.labels)
        assert line["headline"] == ("true" if told.headline else "false")


def test_rows_come_back_kind_by_kind_with_the_text_that_a_model_gave(run: Path, tmp_path: Path) -> None:
    write_csv(run, tmp_path / "out", "a")
    (memory,) = read(tmp_path / "out" / "rows_memory_sample.csv")
    assert (memory["bytes"], json.loads(memory["image_size"])) == (str(1 << 40), [640, 480])
    (failure,) = read(tmp_path / "out" / "rows_failure.csv")
    assert failure["message"] == ODD
    assert not list((tmp_path / "out").glob(".*")), "nothing half-written is left"


def test_an_empty_text_is_not_a_missing_value(run: Path, tmp_path: Path) -> None:
    write_csv(run, tmp_path / "out", "b")
    last = (tmp_path / "out" / "rows_failure.csv").read_text().splitlines()[-1]
    assert last == '"b","accuracy","sample","","","","failed"'
    write_csv(run, tmp_path / "other", "a")
    assert (tmp_path / "other" / "rows_failure.csv").read_text().endswith(',,"failed"\n'), "no hint at all"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_any_text_is_read_back_as_it_was(texts: list[str]) -> None:
    assert list(csv.reader(io.StringIO(_line(texts), newline=""), strict=True)) == [texts]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_every_digit(number: float) -> None:
    assert float(_line([number])) == number


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type, as rows.jsonl can hold it."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Load:  # it refuses what no client could do
        return st.builds(Load, st.just("poisson"), st.none(), st.floats(0.5, 1e9))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{name: values(of) for name, of in typing.get_type_hints(kind).items()})
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values, parts))
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if origin is tuple and parts[-1] is not ...:
        return st.tuples(*map(values, parts))
    if origin is tuple:
        return st.lists(values(parts[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=3)
    return {
        str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20), int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False, allow_infinity=False), bool: st.booleans(), type(None): st.none(),
    }[kind]  # fmt: skip


def read_cell(cell: str, kind: Any) -> Any:
    """As docs/export.md tells a reader to."""
    if cell == "":
        return None
    if not cell.startswith('"'):
        return msgspec.json.decode(cell)
    text = cell[1:-1].replace('""', '"')
    told = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    is_text = any(one is str or typing.get_origin(one) is typing.Literal for one in told)
    is_list = any(typing.get_origin(one) is tuple for one in told) and text.startswith("[")
    return text if is_text and not is_list else msgspec.json.decode(text)


@given(st.data(), st.sampled_from(typing.get_args(Row)))
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_a_line_of_any_kind_of_row_is_that_row_again(data: st.DataObject, kind: type[msgspec.Struct]) -> None:
    row = data.draw(values(kind))
    parsed = getattr(row, "parsed", None)
    assume(not (isinstance(parsed, str) and parsed.startswith("[")))  # it may be a text or a box: the page says so
    line = _line(getattr(row, name) for name in kind.__struct_fields__)
    assert line.endswith("\n")
    cells = [found[0] for found in re.finditer(r'"(?:[^"]|"")*"|[^,"]+|(?<=,)(?=,|$)|^(?=,)', line[:-1])]
    hints = typing.get_type_hints(kind)
    told = {name: read_cell(cell, hints[name]) for name, cell in zip(kind.__struct_fields__, cells, strict=True)}
    tag = kind.__struct_config__.tag
    again = msgspec.convert({"kind": tag, **told}, kind)
    assert {name: getattr(again, name) for name in told} == {name: getattr(row, name) for name in told}


def test_what_cannot_be_written_to_is_told_and_nothing_is_touched(run: Path, tmp_path: Path) -> None:
    write_csv(run, tmp_path / "out")
    with pytest.raises(UserError, match=r"has figures\.csv already"):
        write_csv(run, tmp_path / "out")
    with pytest.raises(UserError, match="is a file"):
        write_csv(run, run / "run.json")
    with pytest.raises(UserError, match="no candidate is called 'c'"):
        write_csv(run, tmp_path / "third", "c")
    assert not (tmp_path / "third").exists()


def test_a_broken_row_leaves_no_tables(run: Path, tmp_path: Path) -> None:
    with (run / "rows.jsonl").open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(UserError, match="line 5"):
        write_csv(run, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size there")
@pytest.mark.parametrize("most", [0, 100, 300], ids=["the first head", "the figures", "the rows"])
def test_a_full_disk_is_one_line_and_leaves_no_tables(run: Path, tmp_path: Path, most: int) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(FourwaysError, match="could not be written: File too large"):
            write_csv(run, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "out").iterdir())


def test_names_are_ones_that_mlflow_takes_and_no_two_are_alike() -> None:
    validation = pytest.importorskip("mlflow.utils.validation")
    odd = [
        {"a": "x/y"},
        {"a": "x_y"},
        {"a": "."},
        {"a": ".."},
        {"": ""},
        {"a": "é" * 400},
        {"a": "é" * 401},
        {"b": " "},
    ]
    named = metric_names([figure("a", "m", labels=labels) for labels in odd])
    assert len(named) == len(odd)
    for name in named:
        validation._validate_metric_name(f"{name}/high")
        assert len(name) <= LONGEST_NAME - len("/high") and name.isascii()


class Store:
    """A tracking store in a folder, read by MLflow's own client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def runs(self) -> list[object]:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{self.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("fourways")
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id], order_by=["tags.`fourways.candidate`"]))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One database for all: its tables take seconds to make."""
    pytest.importorskip("mlflow.tracking")
    return Store(tmp_path_factory.mktemp("mlflow"))


def test_mlflow_is_told_all_once_and_again_only_when_the_run_has_gone_on(run: Path, store: Store) -> None:
    first = log_run(run, str(store.folder))
    assert [(one.candidate, one.became, one.metrics) for one in first] == [("a", "written", 4), ("b", "written", 4)]
    a, b = store.runs()  # type: ignore[misc]  # MLflow's runs
    name = "accuracy/score/benchmark.mme/category.OCR _ _text_"
    assert a.data.metrics == {name: 0.1 + 0.2, f"{name}/n": 12, f"{name}/low": 0.25, f"{name}/high": 0.5}
    assert b.data.metrics["accuracy/score"] == 1 / 3
    assert a.data.tags["accuracy/lost/benchmark.mme/category.OCR _ _text_"] == "undefined: no access"
    assert a.data.tags["accuracy/few/benchmark.mme/category.OCR _ _text_"] == "too_few: 2 images"
    assert a.data.tags["fourways.commit"] == "c0ffee"
    assert a.data.tags["fourways.statement_sha256"] == hash_file(run / "statement.json")
    assert a.data.params["candidate/model"] == "zoo:qwen" and a.data.params["run/seed"] == "7"
    assert json.loads(a.data.params["engine/settings"]) == {"threads": "2"}
    assert a.info.status == "FINISHED"
    kept = store.folder / "artifacts" / a.info.run_id / "artifacts"
    assert {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()} == {
        "run.json", "rows.jsonl", "summary.json", "statement.json", "adapters/one.json",
    }  # fmt: skip
    assert hash_file(kept / "rows.jsonl") == hash_file(run / "rows.jsonl")

    assert [one.became for one in log_run(run, str(store.folder))] == ["unchanged", "unchanged"]
    assert [one.info.run_id for one in store.runs()] == [a.info.run_id, b.info.run_id]  # type: ignore[attr-defined]

    changed = Summary(SUMMARY_SCHEMA, "2026-11-22T10-00-00Z-a-b", FIGURES[:1])
    (run / "summary.json").write_bytes(msgspec.json.encode(changed))
    (again,) = log_run(run, str(store.folder), "a")
    assert again.became == "written anew"
    assert [one.info.run_id for one in store.runs()] == [again.run_id, b.info.run_id]  # type: ignore[attr-defined]


def test_an_export_that_broke_off_is_made_again(run: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    header = msgspec.json.decode((run / "run.json").read_bytes())
    (run / "run.json").write_bytes(msgspec.json.encode({**header, "run_id": 'it\'s "another"'}))
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            log_run(run, str(store.folder), "b")
    assert [one.became for one in log_run(run, str(store.folder), "b")] == ["written anew"]
    assert [one.became for one in log_run(run, str(store.folder), "b")] == ["unchanged"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("ftp://u:secret@x/", r"ftp://\[redacted\]@x/ is no tracking store"),
        ("sqlite:////no/such/folder/m.db", "is no folder"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql+nosuch://u:secret@x/y", "mysql"),
        ("/proc/nowhere/to/be", "/proc/nowhere/to/be"),
    ],
)
def test_what_is_no_store_is_told_without_its_secrets(where: str, said: str, run: Path) -> None:
    with pytest.raises(UserError, match=said) as caught:
        log_run(run, where)
    assert "secret" not in caught.value.message


def test_a_database_without_its_driver_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MySQLdb", None)
    with pytest.raises(UserError, match=r"mysql://\[redacted\]@x/y: Python's driver MySQLdb is not installed"):
        log_run(run, "mysql://u:secret@x/y")


def test_a_file_that_is_no_database_is_one_line_and_stays_as_it_was(run: Path) -> None:
    before = (run / "summary.json").read_bytes()
    with pytest.raises(FourwaysError, match="does not answer: file is not a database"):
        log_run(run, f"sqlite:///{run / 'summary.json'}")
    assert (run / "summary.json").read_bytes() == before


def test_a_database_that_is_down_is_told_at_once(run: Path) -> None:
    pytest.importorskip("psycopg")
    begun = time.monotonic()
    said = r"postgresql\+psycopg://\[redacted\]@127\.0\.0\.1:9/x does not answer"
    with pytest.raises(FourwaysError, match=said) as caught:
        log_run(run, "postgresql+psycopg://u:secret@127.0.0.1:9/x")
    assert "secret" not in caught.value.message
    assert time.monotonic() - begun < 10  # MLflow alone tries for many minutes


def test_a_run_that_was_signed_since_is_exported_anew_with_its_signature(run: Path, store: Store) -> None:
    header = msgspec.json.decode((run / "run.json").read_bytes())
    (run / "run.json").write_bytes(msgspec.json.encode({**header, "run_id": "signed later"}))
    assert [one.became for one in log_run(run, str(store.folder), "b")] == ["written"]
    (run / "statement.json.asc").write_text("signed")
    (again,) = log_run(run, str(store.folder), "b")
    assert again.became == "written anew"
    assert (store.folder / "artifacts" / again.run_id / "artifacts" / "statement.json.asc").read_text() == "signed"


def test_a_server_that_is_not_there_is_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(FourwaysError, match="MLflow at") as caught:
        log_run(run, "http://me:secret@127.0.0.1:9")
    assert caught.value.message == "MLflow at http://[redacted]@127.0.0.1:9 cannot be reached: Connection refused"


def test_without_mlflow_it_says_what_to_install(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(UserError, match="MLflow is not installed") as caught:
        log_run(run, str(tmp_path / "ml"))
    assert "fourways[mlflow]" in (caught.value.hint or "")
    assert not (tmp_path / "ml").exists()
