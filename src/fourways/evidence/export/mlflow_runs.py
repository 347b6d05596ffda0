"""A run as runs of MLflow: one a candidate, in the experiment `fourways`.

Parameters: what the header says. Metrics: every figure that is ok, its n, and the ends of its interval, each under a
name of its own. Tags: whose run it is, and why a figure has no value. Artifacts: the files of the run.

Contract: a run of MLflow says by its tags which run, candidate and figures it is of. The same again changes nothing;
where the run has gone on since, or an export broke off, what stands there is deleted (as MLflow deletes: it can be
restored) and written anew. Nothing is sent to anybody but the server that was named: MLflow's telemetry is turned off.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from fourways.core.digests import hash_file
from fourways.core.errors import FourwaysError, UserError
from fourways.core.figure import Figure
from fourways.core.run import CandidateRecord, RunHeader
from fourways.core.run_files import SIGNATURE_FILE, STATEMENT_FILE, read_header, read_summary
from fourways.evidence.export.asked import wanted
from fourways.evidence.export.mlflow_names import LONGEST_PARAM, LONGEST_TAG, cut, metric_names, plain
from fourways.evidence.export.mlflow_place import place
from fourways.evidence.redact import redact
from fourways.evidence.statement import run_files

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "fourways"
_KEY, _STATE = "fourways.key", "fourways.state"
_A_BATCH = 100
"""Entries of one message: what MLflow takes at most of parameters and of tags."""
_TRIES = "2"
"""Of a server that does not answer; MLflow's own seven take minutes."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Logged:
    """What became of a candidate. run_id: MLflow's. became "unchanged": it stood there already."""

    candidate: str
    run_id: str
    became: Literal["written", "written anew", "unchanged"]
    metrics: int


def log_run(run: Path, where: str, candidate: str | None = None) -> list[Logged]:
    """where: a tracking URI, or a folder, which then holds the database and the artifacts. Raises UserError for what is
    no such place or run, or if MLflow is not installed; FourwaysError if the store refuses or does not answer."""
    header, summary = read_header(run), read_summary(run)
    records = wanted(run, header, candidate)
    client, artifacts = _connected(where)
    from mlflow.exceptions import MlflowException

    state = _state(run)
    try:
        experiment = _experiment(client, artifacts)
        return [
            _logged(client, experiment, run, state, header, record, [f for f in summary.figures if f.candidate == name])
            for record in records
            for name in [record.candidate.name]
        ]
    except MlflowException as error:
        if (why := _not_reached(error)) is not None:
            raise FourwaysError(f"MLflow at {redact(where)} cannot be reached: {why}", hint=_HINT) from error
        text = redact(" ".join(str(error).split()))[:500]
        raise FourwaysError(f"MLflow at {redact(where)} refused: {text}", hint=_HINT) from error


_HINT = "is it the address of an MLflow server, and does it run?"


def _not_reached(error: BaseException) -> str | None:
    """Why no answer came, in the system's own words where it has any; None of an answer that refuses."""
    from requests import ConnectionError, Timeout

    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(deeper)
    if not any(isinstance(one, (ConnectionError, Timeout)) for one in chain):
        return None
    told = [one.strerror for one in chain if isinstance(one, OSError) and one.strerror]
    return told[-1] if told else "no answer came"


def _connected(where: str) -> tuple[MlflowClient, str | None]:
    """And where a new experiment's artifacts go, None where the server knows that itself."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _TRIES)
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise UserError("MLflow is not installed", hint="pip install 'fourways[mlflow]'") from error
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it creates
    uri, artifacts = place(where)
    return MlflowClient(tracking_uri=uri, registry_uri=uri), artifacts


def _experiment(client: MlflowClient, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        return str(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
    if found.lifecycle_stage != "active":
        raise UserError(
            f"the experiment {EXPERIMENT!r} of that store was deleted", hint="restore it: mlflow experiments restore"
        )
    return str(found.experiment_id)


def _logged(
    client: MlflowClient,
    experiment: str,
    run: Path,
    state: str,
    header: RunHeader,
    record: CandidateRecord,
    figures: list[Figure],
) -> Logged:
    name = record.candidate.name
    key = _digest(header.run_id, name)
    there = client.search_runs([experiment], filter_string=f"tags.`{_KEY}` = '{key}'")
    named = metric_names(figures)
    for old in there:
        if old.info.status == "FINISHED" and old.data.tags.get(_STATE) == state:
            return Logged(name, old.info.run_id, "unchanged", len(old.data.metrics))
    for old in there:
        client.delete_run(old.info.run_id)
    started = int(datetime.fromisoformat(header.started).timestamp() * 1000)
    tags = {_KEY: key, _STATE: state, **_tags(run, header, name)}
    made = client.create_run(experiment, start_time=started, tags=tags, run_name=f"{name} · {header.run_id}")
    run_id = made.info.run_id
    metrics = list(_metrics(named))
    _send(client, run_id, list(_params(header, record)), metrics, list(_reasons(named)), started)
    for path in _files(run):
        inside = path.relative_to(run).parent.as_posix()
        client.log_artifact(run_id, str(path), None if inside == "." else inside)
    client.set_terminated(run_id)  # last: a run that is not finished is one that broke off
    return Logged(name, run_id, "written anew" if there else "written", len(metrics))


def _send(
    client: MlflowClient,
    run_id: str,
    params: Sequence[tuple[str, str]],
    metrics: Sequence[tuple[str, float]],
    tags: Sequence[tuple[str, str]],
    at_ms: int,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    for some in _batches(params):
        client.log_batch(run_id, params=[Param(key, cut(text, LONGEST_PARAM)) for key, text in some])
    for values in _batches(metrics):
        client.log_batch(run_id, metrics=[Metric(key, value, at_ms, 0) for key, value in values])
    for some in _batches(tags):
        client.log_batch(run_id, tags=[RunTag(key, cut(text, LONGEST_TAG)) for key, text in some])


def _metrics(named: dict[str, Figure]) -> Iterator[tuple[str, float]]:
    """Figures that are ok; of the others MLflow would have no way to say what they are."""
    for name, figure in named.items():
        if figure.status != "ok" or figure.value is None:
            continue
        yield name, float(figure.value)
        yield f"{name}/n", float(figure.n)
        for end, value in (("low", figure.low), ("high", figure.high)):
            if value is not None and math.isfinite(value):
                yield f"{name}/{end}", float(value)


def _reasons(named: dict[str, Figure]) -> Iterator[tuple[str, str]]:
    for name, figure in named.items():
        if figure.status != "ok":
            yield name, f"{figure.status}: {figure.reason or 'no reason given'}"


def _params(header: RunHeader, record: CandidateRecord) -> Iterator[tuple[str, str]]:
    """What the candidate is, what it was asked, and where it ran; what is not set is left out."""
    machine = header.environment
    told: dict[str, Any] = {
        **{f"candidate/{key}": value for key, value in msgspec.to_builtins(record.candidate).items()},
        "candidate/architecture": record.architecture,
        "candidate/identity": record.manifest.identity if record.manifest else None,
        "run/seed": header.seed,
        "run/axes": ",".join(header.axes),
        "run/limit": header.limit,
        "run/quick": header.quick,
        "run/argv": list(header.argv),
        "fourways/version": header.source.version,
        "machine/cpu": machine.cpu,
        "machine/cores": machine.cores,
        "machine/memory_bytes": machine.memory_bytes,
        "machine/kernel": f"{machine.system} {machine.kernel}",
        "machine/python": machine.python,
        "machine/accelerators": list(machine.accelerators) or None,
        "packages": dict(machine.packages),
    }
    if record.engine is not None:
        told["engine"] = record.engine.engine
        told["engine/settings"] = dict(record.engine.settings)
    for one in header.suite:
        told[f"benchmark/{plain(one.key)}"] = {
            "data_sha256": one.sha256, "code_sha256": one.code_sha256, "prompt_version": one.prompt_version,
            "parser_version": one.parser_version, "scorer_version": one.scorer_version, "asked": one.asked,
        }  # fmt: skip
    for key, value in told.items():
        if value is not None:
            yield key, value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()


def _tags(run: Path, header: RunHeader, candidate: str) -> dict[str, str]:
    statement = run / STATEMENT_FILE
    told = {
        "fourways.run_id": header.run_id,
        "fourways.candidate": candidate,
        "fourways.commit": header.source.commit,
        "fourways.statement_sha256": hash_file(statement) if statement.is_file() else None,
        "mlflow.source.name": "fourways",
    }
    return {key: cut(text, LONGEST_TAG) for key, text in told.items() if text is not None}


def _state(run: Path) -> str:
    """What every file was when it was exported: a run that was signed since has gone on, too."""
    return _digest(*(f"{path.relative_to(run).as_posix()} {hash_file(path)}" for path in _files(run)))


def _files(run: Path) -> list[Path]:
    """What a statement covers, the statement and its signature; nothing hidden."""
    beside = [run / name for name in (STATEMENT_FILE, SIGNATURE_FILE)]
    covered = [path for name, path in run_files(run) if not any(part.startswith(".") for part in name.split("/"))]
    return [*sorted(covered), *(path for path in beside if path.is_file() and not path.is_symlink())]


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _batches(entries: Sequence[T]) -> Iterator[list[T]]:
    left = iter(entries)
    while some := list(islice(left, _A_BATCH)):
        yield some
