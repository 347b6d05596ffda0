"""Reads every file of a folder made by hostile.py, in this one process, and prints what became of each, as JSON.

Run apart from the tests, so that a crash or a growth of memory is this process's own. Linux counts the peak for us.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from fourways.core.errors import MediaError
from fourways.media import read_image, read_video


def peak_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def outcome(path: Path) -> str:
    source = path.read_bytes()
    try:
        if path.suffix == ".mp4":
            read_video(source, name=path.name)
        else:
            read_image(source, name=path.name)
    except MediaError as error:
        return str(error)
    return "ok"


def main(folder: Path) -> None:
    before = peak_bytes()
    report = {}
    for path in sorted(p for p in folder.iterdir() if p.name != "expected.json"):
        peak, start = peak_bytes(), time.perf_counter()
        report[path.name] = {
            "outcome": outcome(path),
            "growth": peak_bytes() - peak,
            "seconds": time.perf_counter() - start,
        }
    print(json.dumps({"growth": peak_bytes() - before, "files": report}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
