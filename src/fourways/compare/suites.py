"""A suite: which benchmarks, and where the data of each lies.

A suite is a folder with `suite.json` (benchmark key → path inside the folder, or an object with `path` and, for a
table of one's own, `columns`), a YAML or JSON file of the same form, or KEY=PATH words; a KEY alone names data that
`fourways data pull` fetched. The embedded suite is generated where it is first needed.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from fourways import zoo
from fourways.benchmarks import registry
from fourways.benchmarks.suite import Entry, Suite, detect
from fourways.core.digests import hash_file
from fourways.core.errors import FourwaysError, UserError
from fourways.core.rows import AnswerRow, Row
from fourways.core.run import BenchmarkRecord
from fourways.core.run_files import write_whole
from fourways.core.yaml_file import read_yaml
from fourways.hub import cache_home
from fourways.hub.data import data_sha256, find

FILE = "suite.json"
_TABLES = (".tsv", ".csv", ".parquet", ".jsonl")
IMAGES, SEED = 80, 2026


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    """An entry of a listing. columns: what is read → what the table calls it."""

    path: str
    columns: dict[str, str] = {}


def load_suite(words: Sequence[str]) -> Suite:
    """The suite of a command line; no words: the embedded one. Raises UserError naming what is wrong."""
    if not words:
        return embedded_suite()
    found: dict[str, Entry] = {}
    for word in words:
        for key, entry in _of_word(word).items():
            if key in found:
                raise UserError(f"--suite names the benchmark {key} twice")
            found[key] = entry
    return found


def write_suite(folder: Path, *, images: int = IMAGES, seed: int = SEED) -> Suite:
    """Writes the embedded suite, with its suite.json. images: pictures a benchmark. Raises UserError if the folder
    is a file, or holds anything."""
    if folder.is_file():
        raise UserError(f"{folder} is a file", hint="name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", hint="name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    written = zoo.write_suite(folder, images=images, seed=seed)
    relative = {key: path.resolve().relative_to(folder.resolve()).as_posix() for key, path in written.items()}
    write_whole(folder / FILE, msgspec.json.format(msgspec.json.encode(relative), indent=1) + b"\n")
    return registry.suite_of(written)


def embedded_suite() -> Suite:
    """The embedded suite in Fourways' cache, generated if this version of its recipe never was."""
    recipe = sorted(Path(zoo.__file__).parent.glob("*.py"))
    version = hashlib.sha256("".join(hash_file(file) for file in recipe).encode()).hexdigest()[:16]
    folder = cache_home() / "suites" / f"zoo-{version}"
    if not (folder / FILE).is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            write_suite(beside)
            with suppress(OSError):  # another process was first
                beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return _of_folder(folder)


def record_suite(suite: Suite) -> tuple[BenchmarkRecord, ...]:
    """What run.json says of each benchmark: versions of its parts and the digest of its data."""
    records = []
    for key, entry in suite.items():
        benchmark, path = entry.benchmark, entry.path
        records.append(
            BenchmarkRecord(
                key=key,
                title=benchmark.title,
                path=str(path.resolve()),
                sha256=data_sha256(path),
                edition=benchmark.edition(path),
                prompt_version=benchmark.prompt_version,
                parser_version=benchmark.parser_version,
                scorer_version=benchmark.scorer_version,
                code_sha256=registry.source_sha256(key),
                columns=dict(benchmark.columns),
            )
        )
    return tuple(records)


def check_suite(suite: Suite) -> None:
    """Reads every benchmark once, without its pictures. Raises BenchmarkFormatError naming file, row and column: before
    hours of measuring, not in the middle of them."""
    for key, entry in suite.items():
        if sum(1 for _ in entry.read()) == 0:
            raise UserError(f"{entry.path} holds no samples of {key}")


def image_finder(suite: Suite, rows: Callable[[], Iterable[Row]]) -> Callable[[str], bytes | None]:
    """source_sha256 → the bytes of that image of the suite, or None where it is gone or has changed.

    rows: of the run, read once at the first question: they say of which sample an image is, so no image is read but
    those that are asked for, however large the suite."""

    @cache
    def places() -> dict[str, Callable[[], bytes]]:
        first: dict[str, tuple[str, str]] = {}
        for row in rows():
            if isinstance(row, AnswerRow) and row.benchmark in suite:
                first.setdefault(row.image, (row.benchmark, row.sample))
        image_of = {place: image for image, place in first.items()}
        found: dict[str, Callable[[], bytes]] = {}
        for key, entry in suite.items():
            with suppress(OSError, FourwaysError):  # data that changed since: the page goes without its pictures
                for sample in entry.read():
                    if (image := image_of.get((key, sample.id))) is not None:
                        found[image] = sample.image
        return found

    def find(source_sha256: str) -> bytes | None:
        read = places().get(source_sha256)
        try:
            source = None if read is None else read()
        except (OSError, FourwaysError):
            return None
        return source if source is not None and hashlib.sha256(source).hexdigest() == source_sha256 else None

    return find


def _of_word(word: str) -> Suite:
    key, equals, path = word.partition("=")
    if equals and not Path(word).exists():
        return {key: _checked(key, _Place(path), Path(), word)}
    place, is_key = Path(word).expanduser(), word.partition("@")[0] in tuple(registry.keys())
    if place.is_dir() and (not is_key or (place / FILE).is_file() or detect(place)):
        return _of_folder(place)
    if place.suffix in (".yaml", ".yml", ".json"):
        return _of_listing(place, place.parent)
    if place.suffix.lower() in _TABLES and place.is_file():
        name = "".join(c if c.isalnum() or c in "-_" else "-" for c in place.stem).strip("-_") or "ours"
        raise UserError(
            f"{word}: a table, and it is not said how its answers are judged",
            hint=f"write choice:{name}={word} for multiple choice, yes_no:{name}={word} or open:{name}={word}",
        )
    if is_key:
        return _pulled(word)
    raise UserError(
        f"{word}: no such suite", hint="name a folder with suite.json, a YAML file, or KEY=PATH; see `fourways suite`"
    )


def _pulled(key: str) -> Suite:
    """A benchmark by its key alone: its data was pulled."""
    name = key.partition("@")[0]
    path = find(name)
    if path is None:
        raise UserError(
            f"the data of {name} is not here", hint=f"fetch it: fourways data pull {name}; or say where: {key}=PATH"
        )
    return registry.suite_of({key: path})


def _of_folder(folder: Path) -> Suite:
    if (folder / FILE).is_file():
        return _of_listing(folder / FILE, folder)
    if found := detect(folder):
        return registry.suite_of(found)
    raise UserError(
        f"{folder} is no suite: it has no {FILE}, and no benchmark under its published name",
        hint='write {"mme": "MME_Benchmark_release_version"} into it, or name each benchmark: --suite mme=PATH',
    )


def _of_listing(file: Path, base: Path) -> Suite:
    try:
        places = msgspec.convert(read_yaml(file), dict[str, str | _Place])
    except msgspec.ValidationError as error:
        raise UserError(
            f"{file} is no list of benchmarks: {error}",
            hint='it should be {"mme": "path", …}, or {"open:ours": {"path": "…", "columns": {"question": "q"}}}',
        ) from error
    if not places:
        raise UserError(f"{file} names no benchmark")
    listed = {key: _Place(place) if isinstance(place, str) else place for key, place in places.items()}
    return {key: _checked(key, place, base, str(file)) for key, place in listed.items()}


def _checked(key: str, place: _Place, base: Path, where: str) -> Entry:
    path = base / Path(place.path).expanduser()
    try:
        benchmark = registry.get(key, place.columns)
    except UserError as error:
        raise UserError(f"{where}: {error.message}", hint=error.hint) from error
    if not path.exists():
        raise UserError(f"{where}: the data of {key} is not at {path}", hint="correct the path")
    return Entry(benchmark, path)
