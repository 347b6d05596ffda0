"""Fetching one file: through breaks, changes and redirects, against a real https server."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fourways.hub.data.errors import SourceError
from fourways.hub.data.fetch import Errand, fetch
from fourways.hub.data.show import Silent
from fourways.hub.data.sources import Origin

pytestmark = pytest.mark.usefixtures("home", "no_waiting")

SIZE = 400_000


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def get(web: Any, part: Path, path: str = "/file", at_most: int | None = None, **more: Any) -> Any:
    return fetch(Errand(Origin("direct", web.url + path, **more), "f", part, at_most, Notes()))


def test_a_file_arrives_as_it_is(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(kit.noise(SIZE))
    assert not get(web, tmp_path / ".f.part").resumed
    assert (tmp_path / ".f.part").read_bytes() == kit.noise(SIZE)


def test_a_broken_connection_is_continued_where_it_broke(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(kit.noise(SIZE), breaks_at=[100_000, 150_000])
    assert get(web, tmp_path / ".f.part").resumed
    assert (tmp_path / ".f.part").read_bytes() == kit.noise(SIZE)
    assert web.ranges() == [None, "bytes=100000-", "bytes=250000-"]
    assert web.asked[1][1]["if-range"] == '"v1"'


def test_a_part_of_an_earlier_attempt_is_continued(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    part = tmp_path / ".f.part"
    web.pages["/file"] = kit.Page(kit.noise(SIZE), breaks_at=[70_000, 0, 0, 0, 0, 0, 0])
    with pytest.raises(SourceError, match="cannot be reached"):
        get(web, part)
    assert part.stat().st_size == 70_000
    web.pages["/file"].breaks_at.clear()
    web.asked.clear()
    assert get(web, part).resumed
    assert part.read_bytes() == kit.noise(SIZE)
    assert web.ranges() == ["bytes=70000-"]


@pytest.mark.parametrize("obeys", [True, False])
def test_a_file_that_changed_since_its_part_is_fetched_anew(
    obeys: bool, web: Any, kit: ModuleType, tmp_path: Path
) -> None:
    """Also from a server that ignores If-Range and goes on with another file's bytes."""
    part = tmp_path / ".f.part"
    web.pages["/file"] = kit.Page(kit.noise(SIZE), breaks_at=[90_000, 0, 0, 0, 0, 0, 0])
    with pytest.raises(SourceError):
        get(web, part)
    web.pages["/file"] = kit.Page(kit.noise(SIZE, seed=2), etag='"v2"', ignores_if_range=not obeys)
    assert not get(web, part).resumed
    assert part.read_bytes() == kit.noise(SIZE, seed=2)


@pytest.mark.parametrize("page", [{"ignores_range": True}, {"etag": None}, {"etag": 'W/"v1"'}])
def test_where_a_part_cannot_be_continued_the_file_is_fetched_whole(
    page: dict[str, Any], web: Any, kit: ModuleType, tmp_path: Path
) -> None:
    web.pages["/file"] = kit.Page(kit.noise(SIZE), breaks_at=[50_000], **page)
    get(web, tmp_path / ".f.part")
    assert (tmp_path / ".f.part").read_bytes() == kit.noise(SIZE)


def test_a_part_of_another_address_is_not_continued(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    part = tmp_path / ".f.part"
    web.pages["/old"] = kit.Page(kit.noise(SIZE), breaks_at=[60_000, 0, 0, 0, 0, 0, 0])
    web.pages["/file"] = kit.Page(kit.noise(SIZE, seed=2))
    with pytest.raises(SourceError):
        get(web, part, "/old")
    get(web, part)
    assert part.read_bytes() == kit.noise(SIZE, seed=2)


def test_what_came_whole_is_not_asked_for_again(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(kit.noise(SIZE))
    get(web, tmp_path / ".f.part")
    get(web, tmp_path / ".f.part")
    assert len(web.asked) == 1


def test_a_server_that_is_busy_is_asked_again(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(kit.noise(SIZE), statuses=[503, 429])
    get(web, tmp_path / ".f.part")
    assert (tmp_path / ".f.part").read_bytes() == kit.noise(SIZE)


def test_a_server_that_stays_busy_is_given_up(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(b"", statuses=[503] * 20)
    with pytest.raises(SourceError, match="answers 503"):
        get(web, tmp_path / ".f.part")


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no longer there"), (403, "may not be read"), (400, "answers 400")]
)
def test_a_refusal_is_said_in_words(status: int, words: str, web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(statuses=[status])
    with pytest.raises(SourceError, match=words) as caught:
        get(web, tmp_path / ".f.part")
    assert "--from PATH" in (caught.value.hint or "")


@pytest.mark.parametrize("declares", [None, -1])
def test_what_is_far_too_long_is_not_fetched(declares: int | None, web: Any, kit: ModuleType, tmp_path: Path) -> None:
    """Also where the server does not say how long it is."""
    web.pages["/file"] = kit.Page(kit.noise(2_000_000), declares=declares)
    with pytest.raises(SourceError, match="longer than 100,000 bytes"):
        get(web, tmp_path / ".f.part", at_most=100_000)


def test_a_file_that_stays_shorter_than_declared_is_no_file(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(kit.noise(SIZE), declares=SIZE + 10, ignores_range=True)
    with pytest.raises(SourceError):
        get(web, tmp_path / ".f.part")


# -- redirects and addresses -------------------------------------------------------------------------------------------


def test_a_redirect_to_another_host_is_followed_without_the_secret(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(redirect=f"https://127.0.0.1:{web.port}/cdn", headers={"X-Repo-Commit": "abc"})
    web.pages["/cdn"] = kit.Page(kit.noise(SIZE), breaks_at=[100_000])
    fetched = get(web, tmp_path / ".f.part", headers={"Authorization": "Bearer secret"})
    assert (tmp_path / ".f.part").read_bytes() == kit.noise(SIZE)
    assert fetched.revision == "abc"
    secrets = {path: headers.get("authorization") for path, headers in web.asked}
    assert secrets == {"/file": "Bearer secret", "/cdn": None}


def test_a_redirect_away_from_https_is_refused(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    with kit.serve() as plain:
        plain.pages["/file"] = kit.Page(kit.noise(SIZE))
        web.pages["/file"] = kit.Page(redirect=f"{plain.url}/file")
        with pytest.raises(SourceError, match="not https"):
            get(web, tmp_path / ".f.part")
        assert plain.asked == []


def test_a_redirect_to_no_address_is_said(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(redirect="https://[::x/")
    with pytest.raises(SourceError, match="Invalid URL"):
        get(web, tmp_path / ".f.part")


def test_redirects_without_end_are_given_up(web: Any, kit: ModuleType, tmp_path: Path) -> None:
    web.pages["/file"] = kit.Page(redirect="/file")
    with pytest.raises(SourceError, match="redirects more than"):
        get(web, tmp_path / ".f.part")


def test_http_is_refused_unless_the_user_wrote_it(kit: ModuleType, tmp_path: Path) -> None:
    with kit.serve() as plain:
        plain.pages["/file"] = kit.Page(kit.noise(SIZE))
        with pytest.raises(SourceError, match="not https"):
            get(plain, tmp_path / ".f.part")
        get(plain, tmp_path / ".f.part", plain_http=True)
    assert (tmp_path / ".f.part").read_bytes() == kit.noise(SIZE)


def test_an_untrusted_certificate_is_named(
    web: Any, kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    web.pages["/file"] = kit.Page(kit.noise(SIZE))
    with pytest.raises(SourceError, match=r"TLS certificate cannot be accepted \(self.signed certificate"):
        get(web, tmp_path / ".f.part")


def test_a_host_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="localhost cannot be reached"):
        fetch(Errand(Origin("direct", "https://localhost:9/file"), "f", tmp_path / ".f.part", None, Notes()))
