"""Fetches one file over https into a `.part` file, going on where an earlier attempt stopped.

Beside the part lies its description: the address, and the ETag or date of the version that it is a part of. A part is
continued only with a Range request that is conditional on that version (RFC 9110, sections 13.1.5 and 14), and only if
the answer is of the same version and length; else it starts again. The description is written before the part's first
byte. The caller verifies the digest of the whole, whatever was said on the way.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from fourways import __version__
from fourways.hub.data.disk import check_room, disk_errors
from fourways.hub.data.errors import SourceError
from fourways.hub.data.show import Show
from fourways.hub.data.sources import Origin

_TIMEOUT = httpx.Timeout(60.0, connect=20.0)
_REDIRECTS = 8
_ATTEMPTS = 5
_LONGEST_WAIT_S = 30.0
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')


class _Version(msgspec.Struct):
    """What the part is a part of. address: a digest of it, because it may hold a secret. total: bytes of the whole,
    where the server said it."""

    address: str
    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """For If-Range: a strong ETag, else the date."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


@dataclass(frozen=True, slots=True)
class Fetched:
    """resumed: it was not fetched in one piece. announced_sha256: what the Hub says of its content. revision: the
    Hub's commit."""

    resumed: bool
    announced_sha256: str | None = None
    revision: str | None = None


class _Moved(Exception):
    """The server has another version than the part's: start again."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What to fetch. name: the file's, for a person. part: where it grows. at_most: bytes after which it cannot be the
    file, where its size is known."""

    origin: Origin
    name: str
    part: Path
    at_most: int | None
    show: Show

    @property
    def had(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def fetch(errand: Errand) -> Fetched:
    """Brings the part to its full length. What was fetched stays, whatever happens. Raises SourceError if this source
    cannot give it, FourwaysError if the disk cannot take it."""
    if _is_whole(errand):
        return Fetched(resumed=True)
    resumed, came, tried = False, False, 0
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
        while True:
            had = errand.had
            resumed = resumed or had > 0
            try:
                return _attempt(client, errand, resumed)
            except _Moved:
                drop(errand.part)
                resumed, tried = False, tried + 1
                if tried > _ATTEMPTS:
                    raise SourceError(f"{errand.origin.shown} changes while it is fetched", hint=_OTHERS) from None
            except _Wait as wait:
                tried += 1
                if tried > _ATTEMPTS:
                    raise SourceError(f"{errand.origin.shown} answers {wait.status}", hint=_OTHERS) from None
                time.sleep(wait.seconds(tried))
            except httpx.TransportError as error:
                progressed = errand.had > had
                came = came or progressed
                tried = 0 if progressed else tried + 1
                if not came or tried > _ATTEMPTS or _is_tls(error):
                    raise _unreachable(errand.origin, error) from error
                errand.show.note(f"the connection broke ({type(error).__name__}); going on")
                time.sleep(_pause(tried))


def _attempt(client: httpx.Client, errand: Errand, resumed: bool) -> Fetched:
    origin, had, old = errand.origin, errand.had, _version_of(errand)
    if had and (old is None or old.validator is None):
        raise _Moved
    headers = {} if not had or old is None else {"Range": f"bytes={had}-", "If-Range": old.validator or ""}
    with _get(client, origin, headers) as (response, announced):
        if response.status_code == 416:
            raise _Moved
        _check_status(origin, response)
        version = _version(origin, response, had)
        continued = response.status_code == 206
        if continued and (old is None or not _same(old, version)):
            raise _Moved
        if had and not continued:
            errand.show.note(f"{errand.name} changed at the source since its part was fetched; starting again")
        if errand.at_most is not None and version.total is not None and version.total > errand.at_most:
            raise _too_long(errand)
        with disk_errors(errand.part):
            if not continued:
                _describe(errand.part, version)
            check_room(errand.part.parent, (version.total or 0) - errand.had)
            _write(response, errand, version.total)
        return Fetched(resumed and continued, announced.sha256, announced.revision)


def _write(response: httpx.Response, errand: Errand, total: int | None) -> None:
    """Appends the answer to the part."""
    done = errand.had
    errand.show.begin(errand.name, total)
    with errand.part.open("ab") as stream:
        for chunk in response.iter_raw():  # as it comes: what waits to fill a chunk is lost in a break
            stream.write(chunk)
            done += len(chunk)
            errand.show.at(done)
            if errand.at_most is not None and done > errand.at_most:
                raise _too_long(errand)
        stream.flush()
    if total is not None and done != total:
        raise httpx.RemoteProtocolError(f"{done} of {total} bytes came")


# -- one request, through its redirects --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Announced:
    sha256: str | None = None
    revision: str | None = None


@contextmanager
def _get(client: httpx.Client, origin: Origin, headers: dict[str, str]) -> Iterator[tuple[httpx.Response, _Announced]]:
    """Follows redirects to https only; what is secret goes to the first host only."""
    announced, url = _Announced(), httpx.URL(origin.url)
    first = url.host
    for _ in range(_REDIRECTS):
        if url.scheme != "https" and not (origin.plain_http and url.scheme == "http"):
            raise SourceError(f"{origin.shown} leads to {url.scheme}://{url.host}, which is not https", hint=_OTHERS)
        own = origin.headers if url.host == first else {}
        asked = {"Accept-Encoding": "identity", "User-Agent": f"fourways/{__version__}", **own, **headers}
        response = client.send(client.build_request("GET", url, headers=asked), stream=True)
        try:
            _listen(response, announced)
            if "location" not in response.headers or not response.is_redirect:
                yield response, announced
                return
            url = url.join(response.headers["location"])
        finally:
            response.close()
    raise SourceError(f"{origin.shown} redirects more than {_REDIRECTS} times", hint=_OTHERS)


def _listen(response: httpx.Response, announced: _Announced) -> None:
    """The Hub says the SHA-256 of a Git LFS file, and the commit, in the first answer."""
    linked = _SHA256.fullmatch(response.headers.get("x-linked-etag", ""))
    announced.sha256 = announced.sha256 or (linked.group(1) if linked else None)
    announced.revision = announced.revision or response.headers.get("x-repo-commit")


class _Wait(Exception):
    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.status = response.status_code
        self._after = response.headers.get("retry-after", "")

    def seconds(self, tried: int) -> float:
        return min(float(self._after), _LONGEST_WAIT_S) if self._after.isdigit() else _pause(tried)


def _check_status(origin: Origin, response: httpx.Response) -> None:
    status = response.status_code
    if status in (200, 206):
        if response.headers.get("content-encoding", "identity") != "identity":
            raise SourceError(f"{origin.shown} sends the file packed, though asked not to", hint=_OTHERS)
        return
    if status in _TRY_AGAIN:
        raise _Wait(response)
    if status in (401, 403):
        hint = "accept its terms on its page, then set HF_TOKEN" if origin.source == "huggingface" else _OTHERS
        raise SourceError(f"{origin.shown} may not be read ({status})", hint=hint)
    if status in (404, 410):
        raise SourceError(f"{origin.shown} is no longer there ({status})", hint=_OTHERS)
    raise SourceError(f"{origin.shown} answers {status}", hint=_OTHERS)


def _version(origin: Origin, response: httpx.Response, had: int) -> _Version:
    headers = response.headers
    total: int | None = None
    if response.status_code == 206:
        said = _RANGE.fullmatch(headers.get("content-range", ""))
        if said is None or int(said.group(1)) != had:
            raise _Moved
        total = None if said.group(2) == "*" else int(said.group(2))
    elif headers.get("content-length", "").isdigit():
        total = int(headers["content-length"])
    return _Version(_address(origin), headers.get("etag"), headers.get("last-modified"), total)


def _same(old: _Version, new: _Version) -> bool:
    """Whether an answer goes on with the part: nothing that both say may differ."""
    pairs = ((old.etag, new.etag), (old.modified, new.modified), (old.total, new.total))
    return all(a is None or b is None or a == b for a, b in pairs)


def _too_long(errand: Errand) -> SourceError:
    return SourceError(
        f"{errand.origin.shown} is longer than {errand.at_most:,} bytes: it is not the published file", hint=_OTHERS
    )


# -- the part and its description --------------------------------------------------------------------------------------


def _address(origin: Origin) -> str:
    return hashlib.sha256(origin.url.encode()).hexdigest()


def _description(part: Path) -> Path:
    """The file beside a part that says what it is a part of."""
    return part.with_name(f"{part.name}.json")


def _version_of(errand: Errand) -> _Version | None:
    """None if there is no part, or if it came from another address."""
    try:
        version = msgspec.json.decode(_description(errand.part).read_bytes(), type=_Version)
    except (OSError, msgspec.DecodeError):
        return None
    return version if version.address == _address(errand.origin) else None


def _is_whole(errand: Errand) -> bool:
    """Stopped between its last byte and its verification."""
    version = _version_of(errand)
    return version is not None and version.total is not None and version.total == errand.had


def _describe(part: Path, version: _Version) -> None:
    part.unlink(missing_ok=True)
    _description(part).write_bytes(msgspec.json.encode(version))


def drop(part: Path) -> None:
    """Deletes a part and its description."""
    part.unlink(missing_ok=True)
    _description(part).unlink(missing_ok=True)


# -- what a broken line is called --------------------------------------------------------------------------------------

_OTHERS = "try another --source or --url, or bring the file: --from PATH"


def _pause(tried: int) -> float:
    return float(min(0.5 * 2.0**tried, _LONGEST_WAIT_S))


def _is_tls(error: httpx.TransportError) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _unreachable(origin: Origin, error: httpx.TransportError) -> SourceError:
    host = httpx.URL(origin.url).host
    if _is_tls(error):
        why = str(error).partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or "not trusted"
        return SourceError(f"{host}: its TLS certificate cannot be accepted ({why})", hint=_OTHERS)
    text = " ".join(str(error).split()) or type(error).__name__
    return SourceError(f"{host} cannot be reached: {text}", hint=_OTHERS)
