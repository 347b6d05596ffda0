"""`python -m fourways.compare.crew.at_work`: a worker's process. Reads an Order and then a line for each chunk from
standard input, and writes a line for each answer; when its input ends, it ends, whatever it is doing."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback

import msgspec
from transformers.utils import logging

from fourways.compare.crew.protocol import Complaint, decode_asked, decode_order, encode
from fourways.compare.crew.worker import Worker


def main() -> None:
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not spoil the answers
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    worker = Worker(decode_order(sys.stdin.buffer.readline()))
    loop = asyncio.new_event_loop()

    async def answer(line: bytes) -> None:
        try:
            replies.write(await _said(worker, line) + b"\n")
            replies.flush()
        except BaseException:  # silence would leave the run waiting for ever; a death is noticed
            traceback.print_exc()
            os._exit(1)

    def read() -> None:
        for line in sys.stdin.buffer:
            asyncio.run_coroutine_threadsafe(answer(line), loop)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    loop.run_forever()


async def _said(worker: Worker, line: bytes) -> bytes:
    asked = decode_asked(line)
    reply = await worker.answer(asked)
    try:
        return encode(reply)
    except (UnicodeEncodeError, msgspec.MsgspecError) as error:
        return encode(Complaint(asked.number, f"a row cannot be written: {error}"))


if __name__ == "__main__":
    main()
