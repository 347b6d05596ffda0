"""A PostgreSQL server of the tests' own: in a temporary folder, on a free port of this machine, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

PASSWORD = "s3cret@/word"
_QUOTED = "s3cret%40%2Fword"


class Absent(Exception):
    """Why no server can be started here."""


@dataclass
class Server:
    """user: by whom it runs, where that is another than the tests'."""

    bin: Path
    folder: Path
    port: int
    user: dict[str, Any]

    def url(self, database: str) -> str:
        return f"postgresql://fourways:{_QUOTED}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """An empty one; its URL."""
        import psycopg

        name = f"test{next(_NUMBERS)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


_NUMBERS = count(1)


def find_binaries() -> Path:
    """The folder with initdb and pg_ctl. Raises Absent."""
    found = []
    if shutil.which("pg_config"):
        asked = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=False)
        found.append(Path(asked.stdout.strip() or "/nowhere"))
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: -float(place.parent.name))
    for place in found:
        if (place / "initdb").is_file() and (place / "pg_ctl").is_file():
            return place
    raise Absent("no PostgreSQL server here (initdb, pg_ctl); on Debian: apt-get install postgresql")


def _other_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise Absent("PostgreSQL does not run as root, and there is no user postgres or nobody")


@contextmanager
def serve() -> Iterator[Server]:
    """Raises Absent where there is no server to start."""
    binaries, user = find_binaries(), _other_user()
    folder = Path(tempfile.mkdtemp(prefix="fourways-pg-"))
    try:
        if user:
            os.chown(folder, user["user"], user["group"])
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        _run(binaries, folder, user, "initdb", "--username=fourways", f"--pwfile={folder / 'password'}", "--no-sync",
             "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--pgdata={folder / 'data'}")  # fmt: skip
        server = Server(binaries, folder, _free_port(), user)
        options = f"-p {server.port} -c listen_addresses=127.0.0.1 -k {folder} -F"
        _run(binaries, folder, user, "pg_ctl", "start", "-w", "-t", "60", "-D", str(folder / "data"),
             "-l", str(folder / "log"), "-o", options)  # fmt: skip
        try:
            yield server
        finally:
            _run(binaries, folder, user, "pg_ctl", "stop", "-m", "immediate", "-D", str(folder / "data"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(binaries: Path, folder: Path, user: dict[str, Any], program: str, *arguments: str) -> None:
    """Into a file: a server that holds a pipe open would be waited for."""
    with (folder / f"{program}.out").open("w") as said:
        done = subprocess.run(
            [str(binaries / program), *arguments],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, check=False, timeout=120,
            **user,
        )  # fmt: skip
    if done.returncode:
        log = folder / "log"
        raise RuntimeError(
            f"{program} failed: {(folder / f'{program}.out').read_text()}{log.read_text() if log.exists() else ''}"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
