"""`fourways export RUN --to otel`: a run's timed requests for OpenTelemetry."""

from __future__ import annotations

from pathlib import Path

from fourways.core.errors import UserError

OTEL = "otel"


def export_telemetry(run: Path, out: Path, candidate: str | None) -> dict[Path, str]:
    """Write traces.jsonl and metrics.jsonl, OTLP's JSON lines, which a collector's file receiver reads: file → what
    became of it. Raises UserError where there is nothing to write or something lies there already."""
    from fourways.core.run_files import read_header, write_whole
    from fourways.trace import otel

    names = [record.candidate.name for record in read_header(run).candidates]
    if candidate is not None and candidate not in names:
        raise UserError(f"{run}: no candidate is called {candidate!r}", hint=f"one of {', '.join(names) or 'none'}")
    files = {
        out / "traces.jsonl": b"".join(otel.traces(run, candidate)),
        out / "metrics.jsonl": otel.metrics(run, candidate) or b"",
    }
    if not any(files.values()):
        raise UserError(f"{run}: nothing in it is for {OTEL}", hint="it times no request: --axes latency does")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file", hint="name a folder")
    if there := [path.name for path in files if path.exists()]:
        raise UserError(f"{out} has {there[0]} already", hint="name another --out, or move it away")
    out.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        if content:
            write_whole(path, content)
    return {path: f"{len(content):,} bytes" if content else "nothing to write" for path, content in files.items()}
