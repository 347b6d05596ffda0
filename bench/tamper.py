"""A real run, signed, changed in 50 ways, and verified by the command each time.

    python bench/tamper.py [--times 50] [--seed 1]

The embedded Qwen answers a small suite; `fourways sign` signs the run with a key made for this. Then one case after
another: a flipped byte of any signed file, a removed row, two rows swapped, an edited digit, a run that a stranger
changed, stated and signed anew, a flipped byte of the signature file. Every time `fourways verify RUN --keys ALLOWED`
is started as a person would, in every second round with pysequoia in the place of gpg. Passes if it exits with 1 and
names the file in every case (of the signature file it may also exit with 0, if the packet in it is still the same), and
with 0 for the run as it was signed, before and after. The time of one command is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fourways.compare import write_suite
from fourways.core.run_files import ROWS_FILE, SIGNATURE_FILE, STATEMENT_FILE, read_header
from fourways.evidence.signature import signature_file, signature_packet
from fourways.evidence.signature.gpg import Gpg
from fourways.evidence.statement import decode_statement, encode_statement, make_statement

COMMAND = [sys.executable, "-c", "from fourways.cli import main; main()"]
RESULTS = Path(__file__).parent / "results"
Change = Callable[[random.Random, Path], str]
"""Changes the run, and says which file must be named."""


@dataclass(frozen=True)
class Signed:
    """The run as it was signed, whose signatures count, and the keyring with the stranger's key."""

    folder: Path
    allowed: Path
    keyring: Path


def gpg(home: Path, *arguments: str) -> str:
    command = ["gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback", "--passphrase", "", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def fourways(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], check=False, capture_output=True, text=True)


def make_run(place: Path, keyring: Path) -> Signed:
    write_suite(place / "suite", images=16, seed=3)
    folder, suite = place / "run", str(place / "suite")
    done = fourways("compare", "zoo:qwen", "--axes", "accuracy", "--suite", suite, "--out", str(folder))
    if done.returncode != 0:
        raise SystemExit(f"fourways compare ended with {done.returncode}:\n{done.stderr[-2000:]}")
    for name in ("signer", "stranger"):
        gpg(keyring, "--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
    (place / "allowed.asc").write_text(gpg(keyring, "--armor", "--export", "signer@example.org"))
    done = fourways("sign", str(folder), "--key", "signer@example.org", "--gnupghome", str(keyring))
    if done.returncode != 0:
        raise SystemExit(f"fourways sign ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return Signed(folder, place / "allowed.asc", keyring)


def flip(chance: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def covered(folder: Path) -> list[str]:
    return [one.name for one in decode_statement((folder / STATEMENT_FILE).read_bytes()).subject]


def flipped_byte(chance: random.Random, folder: Path) -> str:
    name = chance.choice([*covered(folder), STATEMENT_FILE])
    flip(chance, folder / name)
    return name


def removed_row(chance: random.Random, folder: Path) -> str:
    lines = (folder / ROWS_FILE).read_bytes().splitlines(keepends=True)
    del lines[chance.randrange(1, len(lines))]
    (folder / ROWS_FILE).write_bytes(b"".join(lines))
    return ROWS_FILE


def swapped_rows(chance: random.Random, folder: Path) -> str:
    lines = (folder / ROWS_FILE).read_bytes().splitlines(keepends=True)
    one, other = chance.sample(range(1, len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    (folder / ROWS_FILE).write_bytes(b"".join(lines))
    return ROWS_FILE


def edited_number(chance: random.Random, folder: Path) -> str:
    name = chance.choice(["run.json", ROWS_FILE, "summary.json", "report.html", STATEMENT_FILE])
    text = (folder / name).read_text()
    place = chance.choice([match.start() for match in re.finditer(r"\d", text)])
    digit = chance.choice([digit for digit in "0123456789" if digit != text[place]])
    (folder / name).write_text(f"{text[:place]}{digit}{text[place + 1 :]}")
    return name


def flipped_signature(chance: random.Random, folder: Path) -> str:
    flip(chance, folder / SIGNATURE_FILE)
    return SIGNATURE_FILE


def by_a_stranger(keyring: Path) -> Change:
    def change(chance: random.Random, folder: Path) -> str:
        said = decode_statement((folder / STATEMENT_FILE).read_bytes()).predicate.definitions
        removed_row(chance, folder)
        content = encode_statement(make_statement(folder, read_header(folder), said))
        (folder / STATEMENT_FILE).write_bytes(content)
        packet = Gpg(keyring).sign(content, "stranger@example.org").packet
        (folder / SIGNATURE_FILE).write_bytes(signature_file(packet))
        return SIGNATURE_FILE

    return change


def once(signed: Signed, change: Change, chance: random.Random, place: Path, backend: str) -> dict[str, object]:
    """One case: what was changed, what the command said, and whether that is right."""
    folder = place / "changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(signed.folder, folder)
    name = change(chance, folder)
    start = time.perf_counter()
    done = fourways("verify", str(folder), "--keys", str(signed.allowed), "--backend", backend)
    seconds = time.perf_counter() - start
    told = [line for line in done.stdout.splitlines() if line.startswith("refused: ")]
    refused = done.returncode == 1 and any(name in line for line in told)
    same = name == SIGNATURE_FILE and done.returncode == 0 and packet_of(folder) == packet_of(signed.folder)
    return {"file": name, "backend": backend, "refused": refused, "same": same, "seconds": round(seconds, 3)}


def packet_of(folder: Path) -> bytes:
    return signature_packet((folder / SIGNATURE_FILE).read_bytes(), SIGNATURE_FILE)


def verified(signed: Signed) -> bool:
    return fourways("verify", str(signed.folder), "--keys", str(signed.allowed)).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    keyring = Path(tempfile.mkdtemp(prefix="fk-"))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            signed = make_run(place, keyring)
            kinds: dict[str, Change] = {
                "flipped byte": flipped_byte,
                "removed row": removed_row,
                "swapped rows": swapped_rows,
                "edited number": edited_number,
                "signed by a stranger": by_a_stranger(keyring),
                "flipped byte of the signature": flipped_signature,
            }
            before = verified(signed)
            cases = []
            for number in range(options.times):
                kind = list(kinds)[number % len(kinds)]
                backend = ("gpg", "sequoia")[number // len(kinds) % 2]
                case = {"kind": kind, **once(signed, kinds[kind], chance, place, backend)}
                cases.append(case)
                print(f"{number + 1:3} {kind}: {case['file']}: {'refused' if case['refused'] else case}", flush=True)
            after = verified(signed)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(keyring), "--kill", "all"], check=False)
        shutil.rmtree(keyring, ignore_errors=True)
    return report(cases, before and after, options.seed)


def report(cases: list[dict[str, object]], whole: bool, seed: int) -> int:
    right = sum(bool(case["refused"] or case["same"]) for case in cases)
    seconds = sorted(float(str(case["seconds"])) for case in cases)
    passed = whole and right == len(cases)
    record = {
        "bench": "tamper",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "seed": seed,
        "untouched_run_verified": whole,
        "right": right,
        "of": len(cases),
        "passed": passed,
        "seconds_median": seconds[len(seconds) // 2],
        "cases": cases,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"tamper-{datetime.now(UTC):%Y-%m-%d}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{right} of {len(cases)} right; the untouched run {'is' if whole else 'is NOT'} verified; ", end="")
    print(f"a refusal takes {record['seconds_median']} s (median); {path}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
