"""The registry keeps what it is given, by unique names, on SQLite and on PostgreSQL alike, whoever else writes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import column, table, text, update

from fourways.core.errors import FourwaysError, UserError
from fourways.core.manifest import ManifestFile
from fourways.hub.registry import Adapter, Entry, NameTaken, Place, Registry, Stamp, UnknownName, in_force
from fourways.hub.registry import opening as registry_opening
from fourways.hub.registry.migrations import HEAD, KNOWN
from fourways.hub.registry.schema import VERSION_TABLE, Base, ModelRow


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return in_force(str(tmp_path / "registry.db"))
    return in_force(request.getfixturevalue("postgres").new_database())


def entry(name: str, **fields: Any) -> Entry:
    known: dict[str, Any] = {
        "kind": "model",
        "folder": f"/models/{name}",
        "host": "here",
        "added": "2026-11-22T10:00:00Z",
    }
    return Entry(name=name, **{**known, **fields})


def adapter(name: str, **fields: Any) -> Entry:
    files = (ManifestFile("adapter_model.safetensors", 7, "0" * 64),)
    kept = Adapter("LORA", "org/base", None, 8, 16.0, ("q_proj",), files)
    return entry(name, kind="adapter", adapter=kept, **fields)


def word(place: Place) -> str:
    return place.url or str(place.file)


def test_what_is_kept_comes_back_as_it_was(place: Place) -> None:
    model = entry("m", source="org/m", revision="c" * 40, identity="a" * 64, stamps={"ünï/x": Stamp(1 << 40, 1 << 62)})
    lora = adapter("l", base="m", base_identity="a" * 64)
    with Registry(place) as registry:
        registry.add(model)
        registry.add(lora)
    with Registry(place) as registry:
        assert registry.entries() == [lora, model]
        assert registry.get("m") == model


def test_a_taken_name_is_refused_and_the_first_one_stays(place: Place) -> None:
    with Registry(place) as registry:
        registry.add(entry("m"))
        with pytest.raises(NameTaken, match="m is registered already"):
            registry.add(entry("m", folder="/elsewhere"))
        registry.add(entry("n"))
        with pytest.raises(NameTaken, match="m is registered already"):
            registry.rename("n", "m")
        assert [(one.name, one.folder) for one in registry.entries()] == [("m", "/models/m"), ("n", "/models/n")]


def test_an_adapter_follows_its_base_through_a_new_name_and_outlives_it(place: Place) -> None:
    with Registry(place) as registry:
        registry.add(entry("m"))
        registry.add(adapter("l", base="m", base_identity="b" * 64))
        registry.rename("m", "other")
        assert registry.get("l").base == "other"
        removed, orphans = registry.remove("other")
        assert (removed.name, orphans) == ("other", ["l"])
        assert (registry.get("l").base, registry.get("l").base_identity) == (None, "b" * 64)


def test_an_unknown_name_gets_the_nearest_one(place: Place) -> None:
    with Registry(place) as registry:
        registry.add(entry("qwen-int8"))
        for call in (registry.get, registry.remove, lambda name: registry.rename(name, "x")):
            with pytest.raises(UnknownName) as caught:
                call("qwen-int4")
            assert caught.value.hint is not None and "did you mean qwen-int8?" in caught.value.hint


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-x", ".x", "a b", "zoo:q", "a\n", "x" * 101, "ä", "a\x00"])
def test_a_name_that_could_be_taken_for_something_else_is_refused(tmp_path: Path, name: str) -> None:
    with Registry(Place(file=tmp_path / "r.db")) as registry:
        registry.add(entry("good"))
        with pytest.raises(UserError, match="cannot be a name"):
            registry.add(entry(name))
        with pytest.raises(UserError, match="cannot be a name"):
            registry.rename("good", name)


def test_hashes_are_written_to_the_entry_they_were_made_for_and_to_no_other(place: Place) -> None:
    pending = entry("m")
    with Registry(place) as registry:
        registry.add(pending)
        registry.complete(msgspec.structs.replace(pending, identity="d" * 64, stamps={"x": Stamp(1, 2)}))
        assert (registry.get("m").identity, registry.get("m").stamps) == ("d" * 64, {"x": Stamp(1, 2)})
        registry.remove("m")
        registry.add(entry("m", folder="/another", added="2026-11-22T11:00:00Z"))
        with pytest.raises(UnknownName, match="registered anew"):
            registry.complete(msgspec.structs.replace(pending, identity="e" * 64))
        assert registry.get("m").identity is None


def test_an_entry_of_a_later_version_that_cannot_be_read_is_named(place: Place) -> None:
    with Registry(place) as registry:
        registry.add(adapter("l"))
        with registry._engine.begin() as connection:
            connection.execute(update(ModelRow).values(adapter={"peft_type": 3}))
        with pytest.raises(FourwaysError, match="the registry's entry l cannot be read"):
            registry.get("l")


# -- the schema --------------------------------------------------------------------------------------------------------


def test_the_migrations_make_the_tables_that_the_code_reads(place: Place) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with Registry(place) as registry, registry._engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []


def test_the_steps_known_without_alembic_are_those_there_are() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(registry_opening.__file__).parent / "migrations"))
    assert tuple(step.revision for step in reversed(list(scripts.walk_revisions()))) == KNOWN
    assert scripts.get_current_head() == HEAD


def test_a_database_of_a_newer_version_is_refused_and_left_alone(place: Place) -> None:
    with Registry(place) as registry, registry._engine.begin() as connection:
        connection.execute(update(table(VERSION_TABLE, column("version_num"))).values(version_num="9999"))
    with pytest.raises(UserError, match="made by a newer version of Fourways") as caught:
        Registry(place)
    assert "s3cret" not in caught.value.message


def test_a_database_that_holds_another_programs_table_of_that_name_is_refused(place: Place) -> None:
    engine = registry_opening.connect(place)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
    engine.dispose()
    with pytest.raises(UserError, match="is no registry's"):
        Registry(place)


def test_a_step_that_fails_leaves_nothing_behind(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate = registry_opening._migrate

    def fails(connection: Any) -> None:
        migrate(connection)
        raise FourwaysError("stopped half-way")

    monkeypatch.setattr(registry_opening, "_migrate", fails)
    with pytest.raises(FourwaysError, match="half-way"):
        Registry(place)
    monkeypatch.undo()
    with Registry(place) as registry:
        assert registry.entries() == []


# -- many at once ------------------------------------------------------------------------------------------------------

WORKER = """
import sys
from fourways.core.errors import FourwaysError
from fourways.hub.registry import Entry, NameTaken, Registry, in_force
Registry, NameTaken
word, me, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
won = 0
with Registry(in_force(word)) as registry:
    for number in range(count):
        try:
            registry.add(Entry(f"shared-{number}", "model", f"/of/{me}", "here", "2026-11-22T10:00:00Z"))
            won += 1
        except NameTaken:
            pass
        registry.add(Entry(f"own-{me}-{number}", "model", f"/of/{me}", "here", "2026-11-22T10:00:00Z"))
        registry.rename(f"own-{me}-{number}", f"renamed-{me}-{number}")
    registry.remove(f"renamed-{me}-0")
print(won)
"""


def at_once(word: str, processes: int, count: int) -> list[int]:
    """Processes that open an empty database at the same instant; names won by each."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, word, str(me), str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for me in range(processes)
    ]  # fmt: skip
    for one in started:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=120) for one in started]
    assert [one.returncode for one in started] == [0] * processes, said
    return [int(out) for out, _ in said]


def test_processes_that_register_at_once_lose_nothing_and_share_no_name(place: Place) -> None:
    processes, count = 3, 8
    won = at_once(word(place), processes, count)
    assert sum(won) == count
    with Registry(place) as registry:
        found = registry.entries()
    shared = [one for one in found if one.name.startswith("shared-")]
    assert sorted(won) == sorted(sum(one.folder == f"/of/{me}" for one in shared) for me in range(processes))
    names = {one.name for one in found} - {one.name for one in shared}
    assert names == {f"renamed-{me}-{n}" for me in range(processes) for n in range(1, count)}


def test_threads_that_share_a_registry_get_each_name_once(place: Place) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(8)
    with Registry(place) as registry:

        def work() -> None:
            barrier.wait()
            try:
                registry.add(entry("one"))
                outcomes.append("won")
            except NameTaken:
                outcomes.append("taken")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["taken"] * 7 + ["won"]
        assert len(registry.entries()) == 1


def test_a_writer_waits_for_another_and_says_so_if_it_waits_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_opening, "_WAIT_S", 0.2)
    file = tmp_path / "r.db"
    with Registry(Place(file=file)) as registry:
        other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(FourwaysError, match="is locked by another process"):
            registry.add(entry("m"))
        assert registry.entries() == []
        threading.Timer(0.05, lambda: other.execute("COMMIT")).start()
        registry.add(entry("m"))
        assert [one.name for one in registry.entries()] == ["m"]
        other.close()


# -- places that cannot be used ----------------------------------------------------------------------------------------


def refused(place: Place) -> FourwaysError:
    with pytest.raises(FourwaysError) as caught, Registry(place) as registry:
        registry.add(entry("m"))
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


def test_a_file_that_is_no_database_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "r.db").write_text("something else, long enough to be looked at as a header of a database " * 20)
    error = refused(Place(file=tmp_path / "r.db"))
    assert "is no registry, or it is damaged" in error.message and error.exit_code == 2


READ_ONLY = """
import sys
from fourways.core.errors import FourwaysError
from fourways.hub.registry import Entry, Registry, in_force
with Registry(in_force(sys.argv[1])) as registry:
    print([one.name for one in registry.entries()])
    try:
        registry.add(Entry("n", "model", "/x", "here", "2026-11-22T10:00:00Z"))
    except FourwaysError as error:
        print(error.exit_code, error.message)
"""


def test_a_registry_that_may_not_be_written_is_still_read(tmp_path: Path, unprivileged: Callable[[], None]) -> None:
    file = tmp_path / "r.db"
    with Registry(Place(file=file)) as registry:
        registry.add(entry("m"))
    file.chmod(0o444)
    tmp_path.chmod(0o555)
    said = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(file)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=unprivileged,
    ).stdout.splitlines()
    tmp_path.chmod(0o755)
    assert said[0] == "['m']"
    assert said[1].startswith("1 the registry ") and said[1].endswith("may not be written")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "deeper" / "r.db"
    assert "cannot be made" in refused(Place(file=below, named=False)).message
    assert "there is no folder" in refused(Place(file=below)).message


def test_a_server_that_is_not_there_is_one_clear_line_without_the_password() -> None:
    error = refused(in_force("postgresql://me:s3cret@127.0.0.1:9/models"))
    assert error.message.startswith("the registry postgresql://me:***@127.0.0.1:9/models cannot be reached")
    assert "\n" not in error.message


def test_a_wrong_password_and_a_missing_database_say_what_to_correct(postgres: Any) -> None:
    wrong = refused(in_force(postgres.url("postgres").replace("s3cret", "s3cretive")))
    assert "password authentication failed" in wrong.message
    missing = refused(in_force(postgres.url("nowhere")))
    assert 'database "nowhere" does not exist' in missing.message
    assert missing.hint is not None and "are user, password and database right?" in missing.hint


def test_a_server_without_the_driver_names_the_extra(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = refused(in_force(postgres.url("postgres")))
    assert error.hint == "pip install 'fourways[postgres]'" and error.exit_code == 2


# -- which registry counts ---------------------------------------------------------------------------------------------


def test_the_option_wins_over_the_variable_and_that_over_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FOURWAYS_REGISTRY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert in_force().file == tmp_path / "data" / "fourways" / "registry.db"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert in_force().file == tmp_path / ".local" / "share" / "fourways" / "registry.db"
    monkeypatch.setenv("FOURWAYS_REGISTRY", "~/mine.db")
    assert in_force().file == tmp_path / "mine.db"
    assert in_force(f"sqlite:///{tmp_path}/other.db").file == tmp_path / "other.db"
    assert in_force("postgres://u@h/d").shown == in_force("postgresql+psycopg://u@h/d").shown == "postgresql://u@h/d"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://me:s3cret@host/db", "cannot be kept by 'mysql'"),
        ("postgresql+asyncpg://me:s3cret@host/db", "cannot be kept by"),
        ("postgresql://me:s3cret@host", "names no database"),
        ("postgresql://me:s3cret@host:s3cret/db", "cannot be read"),
        ("postgresql:/me:s3cret@host/db", "no :// in the URL"),
        ("Postgres:me:s3cret@host/db", "no :// in the URL"),
        ("me:s3cret@host://db", "cannot be kept by what stands before"),
        ("sqlite://", "is no file for a registry"),
        (":memory:", "is no file for a registry"),
        ("sqlite:///x.db?mode=ro", "is no file for a registry"),
        ("", "--registry is empty"),
        ("/", "is a folder"),
    ],
)
def test_a_word_that_names_no_registry_is_refused_without_repeating_a_password(given: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        in_force(given)
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


def test_what_is_shown_of_a_url_has_no_password_in_whatever_place() -> None:
    shown = in_force("postgresql://me@/db?host=/run/pg&password=s3cret&sslpassword=s3cret").shown
    assert "s3cret" not in shown and "/run/pg" in shown.replace("%2F", "/")
    assert "s3cret" not in repr(in_force("postgresql://me:s3cret@h/db"))
