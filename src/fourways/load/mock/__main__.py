"""The process that `running` starts: settings as JSON and the log's path as arguments, the URL on standard output, and
an end when standard input closes."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from fourways.core.errors import FourwaysError
from fourways.load.mock.serving import serve
from fourways.load.mock.settings import MockSettings


async def _parent_gone() -> None:
    loop, gone = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            gone.set()

    loop.add_reader(0, read)
    await gone.wait()


def main() -> int:
    settings = msgspec.json.decode(sys.argv[1], type=MockSettings)
    try:
        asyncio.run(serve(settings, log=Path(sys.argv[2]), ready=_say, until=_parent_gone))
    except FourwaysError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    return 0


def _say(url: str) -> None:
    print(url, flush=True)


if __name__ == "__main__":
    sys.exit(main())
