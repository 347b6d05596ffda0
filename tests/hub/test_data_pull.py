"""Pulling an edition: verified, pinned, in place, and offline afterwards; against a real https server."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fourways.core.errors import FourwaysError, UserError
from fourways.hub.data import (
    Chosen,
    DataChanged,
    Lock,
    Silent,
    SourceError,
    Wish,
    choose,
    find,
    load_catalogue,
    pull,
    state_of,
)
from fourways.hub.data.lock import Pin

pytestmark = pytest.mark.usefixtures("no_waiting")

SIZE = 300_000


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def edition(home: Path, tmp_path: Path, kit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the catalogue hold one edition with these files, and chooses it."""

    def make(files: dict[str, dict[str, Any]], path: str = ".") -> Chosen:
        catalogue = kit.write_catalogue(tmp_path / "catalogue.json", files, path=path)
        monkeypatch.setenv("FOURWAYS_DATA_CATALOGUE", str(catalogue))
        return choose(load_catalogue(), "mme")

    return make


def table(web: Any, kit: ModuleType, **more: Any) -> dict[str, dict[str, Any]]:
    """One file that the server has, pinned unless told otherwise."""
    web.pages["/MME.tsv"] = kit.Page(kit.noise(SIZE))
    return {"MME.tsv": {"direct": f"{web.url}/MME.tsv", **(more or {"sha256": kit.sha256(kit.noise(SIZE))})}}


def test_a_pulled_file_is_in_place_and_found(web: Any, kit: ModuleType, edition: Any, home: Path) -> None:
    chosen = edition(table(web, kit), "MME.tsv")
    assert find("mme") is None
    place = pull(chosen, Wish(), Silent())
    assert place == home / "mme" / "small" / "MME.tsv" == find("mme") == find("mme", "small")
    assert place.read_bytes() == kit.noise(SIZE)
    assert sorted(p.name for p in place.parent.iterdir()) == [".fourways.json", "MME.tsv"]


def test_what_is_here_uses_no_network(web: Any, kit: ModuleType, edition: Any) -> None:
    chosen = edition(table(web, kit))
    pull(chosen, Wish(), Silent())
    web.asked.clear()
    pull(chosen, Wish(), Silent())
    assert find("mme") is not None
    assert web.asked == []


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_another_file_than_the_pinned_one_is_an_error_that_names_both(
    kind: str, web: Any, kit: ModuleType, edition: Any, home: Path
) -> None:
    digest = getattr(kit, kind)
    chosen = edition(table(web, kit, **{kind: digest(kit.noise(SIZE))}))
    web.pages["/MME.tsv"].body = kit.noise(SIZE, seed=2)
    with pytest.raises(DataChanged) as caught:
        pull(chosen, Wish(), Silent())
    assert digest(kit.noise(SIZE)) in caught.value.message
    assert digest(kit.noise(SIZE, seed=2)) in caught.value.message
    assert "--from PATH" in (caught.value.hint or "")
    assert not list((home / "mme" / "small").glob("*MME.tsv*"))
    assert find("mme") is None


def test_a_file_without_a_published_digest_is_pinned_at_the_first_pull(
    web: Any, kit: ModuleType, edition: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And must be the same on the next machine that has the lock file."""
    files = table(web, kit, about=SIZE)
    chosen, show = edition(files), Notes()
    pull(chosen, Wish(lock=tmp_path / "fourways-data.lock"), show)
    assert any("nobody published its SHA-256" in note for note in show.notes)
    locked = json.loads((tmp_path / "fourways-data.lock").read_text())["files"]["mme:small/MME.tsv"]
    assert (locked["sha256"], locked["size"]) == (kit.sha256(kit.noise(SIZE)), SIZE)

    monkeypatch.setenv("FOURWAYS_DATA", str(tmp_path / "another-machine"))
    web.pages["/MME.tsv"] = kit.Page(kit.noise(SIZE, seed=2))
    with pytest.raises(DataChanged) as caught:
        pull(chosen, Wish(), Silent())  # the lock file of the working folder is in force
    assert kit.sha256(kit.noise(SIZE)) in caught.value.message
    assert kit.sha256(kit.noise(SIZE, seed=2)) in caught.value.message
    assert "fourways-data.lock" in caught.value.message
    assert "delete the entry mme:small/MME.tsv" in (caught.value.hint or "")


def test_a_lock_file_named_later_also_pins_what_is_here(
    web: Any, kit: ModuleType, edition: Any, home: Path, tmp_path: Path
) -> None:
    chosen = edition(table(web, kit, about=SIZE))
    pull(chosen, Wish(), Silent())
    web.asked.clear()
    pull(chosen, Wish(lock=tmp_path / "mine.lock"), Silent())
    assert web.asked == []
    pin = Lock(tmp_path / "mine.lock").pin("mme:small/MME.tsv")
    assert pin is not None and pin.sha256 == kit.sha256(kit.noise(SIZE))


def test_what_is_here_must_match_the_lock_file_in_force(
    web: Any, kit: ModuleType, edition: Any, tmp_path: Path
) -> None:
    """And stays where it is as long as the pinned one cannot be had."""
    chosen = edition(table(web, kit, about=SIZE), "MME.tsv")
    place = pull(chosen, Wish(), Silent())
    theirs = kit.sha256(kit.noise(SIZE, seed=2))
    Lock(tmp_path / "fourways-data.lock").add("mme:small/MME.tsv", Pin(theirs, SIZE, "elsewhere", "2026-01-01"))
    with pytest.raises(DataChanged, match=theirs):
        find("mme")
    with pytest.raises(DataChanged, match=theirs):
        pull(chosen, Wish(), Silent())
    assert place.read_bytes() == kit.noise(SIZE)
    web.pages["/MME.tsv"] = kit.Page(kit.noise(SIZE, seed=2))
    pull(chosen, Wish(), Silent())
    assert find("mme") == place
    assert place.read_bytes() == kit.noise(SIZE, seed=2)
    assert len(list(place.parent.glob(".MME.tsv.changed-*"))) == 1


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_newer_catalogue_that_pins_another_file_fetches_that(
    kind: str, web: Any, kit: ModuleType, edition: Any, home: Path
) -> None:
    digest = getattr(kit, kind)
    pull(edition(table(web, kit, **{kind: digest(kit.noise(SIZE))}), "MME.tsv"), Wish(), Silent())
    newer = edition(table(web, kit, **{kind: digest(kit.noise(SIZE, seed=2))}), "MME.tsv")
    with pytest.raises(DataChanged, match=kind):
        find("mme")
    web.pages["/MME.tsv"] = kit.Page(kit.noise(SIZE, seed=2))
    (home / "fourways-data.lock").unlink()  # it pins what the older catalogue meant
    pull(newer, Wish(), Silent())
    found = find("mme")
    assert found is not None and found.read_bytes() == kit.noise(SIZE, seed=2)


def test_what_one_source_gave_is_kept_while_another_is_tried(
    web: Any, kit: ModuleType, edition: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_DOMAIN", f"localhost:{web.port}")
    files = table(web, kit, sha256=kit.sha256(kit.noise(SIZE)))
    files["MME.tsv"]["modelscope"] = {"repo": "a/b", "revision": "master", "path": "MME.tsv"}
    web.pages["/MME.tsv"].breaks_at = [200_000, 0, 0, 0, 0, 0, 0]
    with pytest.raises(SourceError, match="404"):
        pull(edition(files), Wish(), Silent())
    web.pages["/MME.tsv"].breaks_at.clear()
    pull(edition(files), Wish(), Silent())
    assert web.ranges()[-1] == "bytes=200000-"


def test_a_lock_file_that_cannot_be_read_stops_the_pull(
    web: Any, kit: ModuleType, edition: Any, tmp_path: Path
) -> None:
    (tmp_path / "fourways-data.lock").write_text("<<<<<<< HEAD\n{}")
    with pytest.raises(UserError, match="is no lock file"):
        pull(edition(table(web, kit)), Wish(), Silent())
    assert web.asked == []


def test_a_lock_file_that_contradicts_the_catalogue_is_said_before_anything_is_fetched(
    web: Any, kit: ModuleType, edition: Any, tmp_path: Path
) -> None:
    Lock(tmp_path / "l.lock").add("mme:small/MME.tsv", Pin("0" * 64, SIZE, "elsewhere", "2026-01-01"))
    with pytest.raises(DataChanged, match=f"0{{64}}.*{kit.sha256(kit.noise(SIZE))}"):
        pull(edition(table(web, kit)), Wish(lock=tmp_path / "l.lock"), Silent())
    assert web.asked == []


# -- sources -----------------------------------------------------------------------------------------------------------


def test_the_next_source_is_tried_when_one_fails(
    web: Any, kit: ModuleType, edition: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The publisher's server lost it; ModelScope has it."""
    monkeypatch.setenv("MODELSCOPE_DOMAIN", f"localhost:{web.port}")
    files = table(web, kit, sha256=kit.sha256(kit.noise(SIZE)))
    files["MME.tsv"]["modelscope"] = {"repo": "a/b", "revision": "master", "path": "MME.tsv"}
    web.pages["/datasets/a/b/resolve/master/MME.tsv"] = web.pages.pop("/MME.tsv")
    show = Notes()
    pull(edition(files), Wish(), show)
    assert [path for path, _ in web.asked] == ["/MME.tsv", "/datasets/a/b/resolve/master/MME.tsv"]
    assert any("no longer there (404); trying: modelscope" in note for note in show.notes)


def test_the_source_asked_for_is_the_only_one_tried(
    web: Any, kit: ModuleType, edition: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_DOMAIN", f"localhost:{web.port}")
    files = table(web, kit, sha256=kit.sha256(kit.noise(SIZE)))
    files["MME.tsv"]["modelscope"] = {"repo": "a/b", "revision": "master", "path": "MME.tsv"}
    with pytest.raises(SourceError, match="404"):
        pull(edition(files), Wish(source="modelscope"), Silent())
    assert [path for path, _ in web.asked] == ["/datasets/a/b/resolve/master/MME.tsv"]


def test_what_the_hub_announces_must_have_come(web: Any, kit: ModuleType, edition: Any) -> None:
    files = table(web, kit, about=SIZE)
    web.pages["/cdn"] = web.pages["/MME.tsv"]
    web.pages["/MME.tsv"] = kit.Page(redirect=f"{web.url}/cdn", headers={"X-Linked-Etag": f'"{"0" * 64}"'})
    with pytest.raises(SourceError, match="arrived damaged"):
        pull(edition(files), Wish(), Silent())
    assert find("mme") is None


def test_what_the_hubs_cache_holds_is_taken_from_there(
    web: Any, kit: ModuleType, edition: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / "datasets--a--b" / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "MME.tsv").write_bytes(kit.noise(SIZE))
    files = table(web, kit, sha256=kit.sha256(kit.noise(SIZE)))
    files["MME.tsv"]["huggingface"] = {"repo": "a/b", "revision": "c" * 40, "path": "MME.tsv"}
    pull(edition(files), Wish(), Silent())
    assert web.asked == []
    assert find("mme") is not None


def test_a_file_of_the_hubs_cache_may_have_another_name_than_in_the_edition(
    web: Any, kit: ModuleType, edition: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / "datasets--a--b" / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    files = {}
    for i in (1, 2):
        (snapshot / f"test-{i}.tsv").write_bytes(kit.noise(SIZE, seed=i))
        hub = {"repo": "a/b", "revision": "c" * 40, "path": f"test-{i}.tsv"}
        files[f"MME-{i}.tsv"] = {"huggingface": hub, "sha256": kit.sha256(kit.noise(SIZE, seed=i))}
    place = pull(edition(files), Wish(), Silent())
    assert [(place / f"MME-{i}.tsv").read_bytes() == kit.noise(SIZE, seed=i) for i in (1, 2)] == [True, True]


def test_a_file_of_another_size_than_the_published_one_is_never_pinned(
    web: Any, kit: ModuleType, edition: Any, home: Path
) -> None:
    chosen = edition(table(web, kit, size=SIZE + 1))
    with pytest.raises(DataChanged, match=r"300,001 bytes, and 300,000 \(sha256 [0-9a-f]{64}\) came from"):
        pull(chosen, Wish(), Silent())
    assert find("mme") is None
    assert Lock.in_force(home).pin("mme:small/MME.tsv") is None


@pytest.mark.parametrize(
    ("name", "content", "about", "said"),
    [
        ("a.parquet", b"PAR1" + b"x" * 2000 + b"PAR1", 85_000_000, "about 85,000,000 bytes there, and 2,008 came"),
        ("a.parquet", b"x" * 2000, 2000, "is no parquet file"),
        ("a.zip", b"PK" + b"x" * 2000, None, "is no zip file"),
        ("a.jsonl", b"<html>not found</html>", None, "is no jsonl file"),
    ],
)
def test_what_cannot_be_the_file_is_not_pinned_at_the_first_pull(
    name: str, content: bytes, about: int | None, said: str, web: Any, edition: Any, tmp_path: Path, home: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    more = {} if about is None else {"about": about}
    chosen = edition({name: {"direct": f"{web.url}/{name}", **more}})
    with pytest.raises(SourceError, match=said):
        pull(chosen, Wish(brought=tmp_path / name), Silent())
    assert not Lock.in_force(home).path.exists()
    assert not [left for left in home.rglob("*") if left.name not in (".fourways.json",)]
    assert (tmp_path / name).read_bytes() == content


def test_a_pull_that_brings_nothing_leaves_nothing(web: Any, kit: ModuleType, edition: Any, home: Path) -> None:
    chosen = edition({"MME.tsv": {"direct": f"{web.url}/absent.tsv", "sha256": "0" * 64}})
    with pytest.raises(SourceError):
        pull(chosen, Wish(), Silent())
    assert not list(home.rglob("*"))


def test_two_pulls_at_once_fetch_once(web: Any, kit: ModuleType, edition: Any) -> None:
    chosen = edition(table(web, kit))
    web.pages["/MME.tsv"].pause_s = 0.01
    shows = [Notes(), Notes()]
    both = [threading.Thread(target=pull, args=(chosen, Wish(), show)) for show in shows]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(web.asked) == 1
    assert sum("another pull of mme:small is running" in note for show in shows for note in show.notes) == 1


# -- an address of the user's own --------------------------------------------------------------------------------------


def test_http_is_taken_from_the_user_where_a_digest_vouches(kit: ModuleType, edition: Any) -> None:
    pinned = {"MME.tsv": {"direct": "https://localhost:9/MME.tsv", "md5": kit.md5(kit.noise(SIZE))}}
    with kit.serve() as plain:
        plain.pages["/mine"] = kit.Page(kit.noise(SIZE))
        pull(edition(pinned), Wish(urls={"MME.tsv": f"{plain.url}/mine"}), Silent())
    assert find("mme") is not None


def test_http_is_refused_from_the_user_where_nothing_vouches(kit: ModuleType, edition: Any) -> None:
    with pytest.raises(UserError, match="nothing would vouch"):
        pull(
            edition({"MME.tsv": {"direct": "https://localhost:9/MME.tsv"}}),
            Wish(urls={"MME.tsv": "http://localhost:9/mine"}),
            Silent(),
        )


def test_secrets_of_an_address_are_written_nowhere(web: Any, kit: ModuleType, edition: Any, tmp_path: Path) -> None:
    """Neither while the file is fetched, nor in a message, nor after."""
    web.pages["/mine?token=SECRET"] = kit.Page(kit.noise(SIZE), breaks_at=[10_000, 0, 0, 0, 0, 0, 0])
    address = f"https://me:SECRET@localhost:{web.port}/mine?token=SECRET"
    chosen, wish = edition(table(web, kit, about=SIZE)), Wish(urls={"MME.tsv": address}, lock=tmp_path / "l.lock")
    with pytest.raises(SourceError) as caught:
        pull(chosen, wish, Silent())
    assert "SECRET" not in f"{caught.value.message} {caught.value.hint}"
    web.pages["/mine?token=SECRET"].breaks_at.clear()
    for _ in range(2):
        held = [file for file in tmp_path.rglob("*") if file.is_file()]
        assert not [file for file in held if b"SECRET" in file.read_bytes()]
        pull(chosen, wish, Silent())
    pin = Lock(tmp_path / "l.lock").pin("mme:small/MME.tsv")
    assert pin is not None and pin.source == f"https://localhost:{web.port}/mine"


@pytest.mark.parametrize("address", ["ftp://localhost/f", "file:///etc/passwd", "localhost", "https://", "https://[x"])
def test_other_addresses_are_refused(address: str, web: Any, kit: ModuleType, edition: Any) -> None:
    with pytest.raises(UserError, match="is no https address"):
        pull(edition(table(web, kit)), Wish(urls={"MME.tsv": address}), Silent())


# -- archives ----------------------------------------------------------------------------------------------------------


def archive(members: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return held.getvalue()


@pytest.fixture
def zipped(web: Any, kit: ModuleType, edition: Any) -> Chosen:
    """Pictures in an archive that goes below data/coco, beside a plain file."""
    pictures = archive({"train/1.jpg": b"one", "train/2.jpg": b"two", "train/.DS_Store": b"x", "__MACOSX/1": b"x"})
    web.pages["/train.zip"] = kit.Page(pictures)
    files = table(web, kit)
    files["train.zip"] = {
        "direct": f"{web.url}/train.zip",
        "sha256": kit.sha256(pictures),
        "unzip": {"into": "data/coco", "at_most": 1000},
    }
    chosen: Chosen = edition(files)
    return chosen


def test_an_archive_is_unpacked_and_not_kept(zipped: Chosen, home: Path, web: Any) -> None:
    place = pull(zipped, Wish(), Silent())
    held = sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())
    assert held == [".fourways.json", "MME.tsv", "data/coco/train/1.jpg", "data/coco/train/2.jpg"]
    web.asked.clear()
    pull(zipped, Wish(), Silent())
    assert web.asked == [] and find("mme") == place


def test_pictures_that_went_missing_are_noticed_and_fetched_again(zipped: Chosen, web: Any) -> None:
    place = pull(zipped, Wish(), Silent())
    (place / "data/coco/train/2.jpg").unlink()
    with pytest.raises(DataChanged, match="changed or deleted since"):
        find("mme")
    web.asked.clear()
    pull(zipped, Wish(), Silent())
    assert [path for path, _ in web.asked] == ["/train.zip"]
    assert (place / "data/coco/train/2.jpg").read_bytes() == b"two"


def test_a_disk_without_room_is_said_before_anything_is_fetched(web: Any, kit: ModuleType, edition: Any) -> None:
    with pytest.raises(FourwaysError, match=r"GiB are needed, and .* has"):
        pull(edition(table(web, kit, about=10**18)), Wish(), Silent())
    assert web.asked == []


def test_an_archive_above_what_was_agreed_leaves_nothing(web: Any, kit: ModuleType, edition: Any, home: Path) -> None:
    body = archive({"big": b"0" * 5000})
    web.pages["/z.zip"] = kit.Page(body)
    rule = {"into": ".", "at_most": 4999}
    chosen = edition({"z.zip": {"direct": f"{web.url}/z.zip", "sha256": kit.sha256(body), "unzip": rule}})
    with pytest.raises(FourwaysError, match="would unpack to 5,000 bytes, and at most 4,999"):
        pull(chosen, Wish(), Silent())
    assert [p.name for p in (home / "mme" / "small").iterdir() if not p.name.startswith(".")] == []


# -- what was changed here ---------------------------------------------------------------------------------------------


def test_an_edited_file_is_never_used_and_never_lost(web: Any, kit: ModuleType, edition: Any) -> None:
    chosen = edition(table(web, kit), "MME.tsv")
    place = pull(chosen, Wish(), Silent())
    place.write_bytes(b"my own notes" + kit.noise(SIZE)[12:])
    with pytest.raises(DataChanged, match="is not what was pulled"):
        find("mme")
    show = Notes()
    pull(chosen, Wish(), show)
    assert place.read_bytes() == kit.noise(SIZE)
    (kept,) = place.parent.glob(".MME.tsv.changed-*")
    assert kept.read_bytes().startswith(b"my own notes")
    assert any("is kept as" in note for note in show.notes)


def test_a_file_that_was_only_touched_is_read_once_and_used(web: Any, kit: ModuleType, edition: Any) -> None:
    place = pull(edition(table(web, kit), "MME.tsv"), Wish(), Silent())
    os.utime(place)
    assert find("mme") == place


# -- what the user brought ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["file", "folder", "deep", "zip", "renamed"])
def test_what_was_brought_is_verified_and_taken(
    form: str, web: Any, kit: ModuleType, edition: Any, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "deep").mkdir(parents=True)
    where = {"file": mine / "MME.tsv", "folder": mine / "MME.tsv", "deep": mine / "deep" / "MME.tsv",
             "zip": mine / "all.zip", "renamed": mine / "download(1).tsv"}[form]  # fmt: skip
    where.write_bytes(archive({"x/MME.tsv": kit.noise(SIZE)}) if form == "zip" else kit.noise(SIZE))
    brought = mine if form in ("folder", "deep") else where
    before = where.read_bytes()
    place = pull(edition(table(web, kit), "MME.tsv"), Wish(brought=brought), Silent())
    assert place.read_bytes() == kit.noise(SIZE)
    assert web.asked == []
    assert where.read_bytes() == before


def test_the_wrong_file_brought_is_refused_and_left_alone(
    web: Any, kit: ModuleType, edition: Any, tmp_path: Path
) -> None:
    mine = tmp_path / "MME.tsv"
    mine.write_bytes(kit.noise(SIZE, seed=2))
    with pytest.raises(DataChanged, match=kit.sha256(kit.noise(SIZE, seed=2))):
        pull(edition(table(web, kit)), Wish(brought=mine), Silent())
    assert mine.read_bytes() == kit.noise(SIZE, seed=2)


def test_a_file_brought_is_never_written_to(web: Any, kit: ModuleType, edition: Any, tmp_path: Path) -> None:
    """Not even by a fetch that finds it linked where its own part was."""
    chosen = edition(table(web, kit))
    web.pages["/MME.tsv"].breaks_at = [10_000, 0, 0, 0, 0, 0, 0]
    with pytest.raises(SourceError):
        pull(chosen, Wish(), Silent())
    mine = tmp_path / "MME.tsv"
    mine.write_bytes(kit.noise(SIZE)[:10_000])
    with pytest.raises(DataChanged):
        pull(chosen, Wish(brought=mine), Silent())
    web.pages["/MME.tsv"].breaks_at.clear()
    pull(chosen, Wish(), Silent())
    assert mine.read_bytes() == kit.noise(SIZE)[:10_000]


def test_a_folder_without_the_file_says_what_to_bring(web: Any, kit: ModuleType, edition: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no MME.tsv") as caught:
        pull(edition(table(web, kit)), Wish(brought=tmp_path), Silent())
    assert "--suite mme=PATH" in (caught.value.hint or "")


def test_what_nobody_published_a_digest_of_is_not_searched_for(
    web: Any, kit: ModuleType, edition: Any, tmp_path: Path
) -> None:
    """Whatever bore its name, deep in some folder, would be pinned."""
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    (tmp_path / "mine" / "deep" / "MME.tsv").write_bytes(kit.noise(SIZE, seed=2))
    with pytest.raises(UserError, match=r"holds no MME\.tsv"):
        pull(edition(table(web, kit, about=SIZE)), Wish(brought=tmp_path / "mine"), Silent())


def test_what_was_not_brought_can_be_fetched_after(zipped: Chosen, web: Any, tmp_path: Path) -> None:
    (tmp_path / "train.zip").write_bytes(web.pages["/train.zip"].body)
    with pytest.raises(UserError, match=r"holds no MME\.tsv"):
        pull(zipped, Wish(brought=tmp_path / "train.zip"), Silent())
    assert web.asked == []
    pull(zipped, Wish(), Silent())
    assert [path for path, _ in web.asked] == ["/MME.tsv"]


def test_nothing_brought_is_said(web: Any, kit: ModuleType, edition: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is nothing at"):
        pull(edition(table(web, kit)), Wish(brought=tmp_path / "nowhere"), Silent())


# -- stopped on the way ------------------------------------------------------------------------------------------------

_STEPS = ("fourways.hub.data.pull.digest_file", "fourways.hub.data.pull.unpack", "fourways.hub.data.pull.write_stamp",
          "fourways.hub.data.pull._make_way", "fourways.hub.data.lock.write_whole")  # fmt: skip


@pytest.mark.parametrize("step", _STEPS)
@pytest.mark.parametrize("when", [1, 2])
def test_a_pull_stopped_at_any_step_goes_on_with_what_it_had(
    step: str, when: int, zipped: Chosen, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle: data is then not declared to be here, and nothing is fetched twice."""
    calls, (module, _, name) = [0], step.rpartition(".")
    held = sys.modules[module]
    real = getattr(held, name)

    def stops(*args: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == when:
            raise KeyboardInterrupt
        return real(*args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(held, name, stops)
        try:
            pull(zipped, Wish(), Silent())
        except KeyboardInterrupt:
            assert state_of(zipped) in ("part", "absent")
    place = pull(zipped, Wish(), Silent())
    assert sorted(path for path, _ in web.asked) == ["/MME.tsv", "/train.zip"]
    assert (place / "data/coco/train/1.jpg").read_bytes() == b"one"
    assert not list(place.glob(".unpack-*"))
