"""Shared memory without a name: it is gone when the last process that maps it ends, however that process ends.

A name in /dev/shm (`multiprocessing.shared_memory`) outlives a writer that is killed, and until Python 3.13 a reader
that attaches registers it a second time with the resource tracker, which then unlinks it under the writer and warns.
Here an unnamed file's descriptor is handed to the reader over a Unix socket instead.
"""

from __future__ import annotations

import mmap
import os
import socket
import tempfile

from fourways.core.errors import FourwaysError


def create(size: int) -> int:
    """The descriptor of `size` zero bytes. Pages take room only once they are touched. Raises OSError without room."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("fourways-trace", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as unnamed:
            descriptor = os.dup(unnamed.fileno())
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def mapped(descriptor: int, size: int) -> mmap.mmap:
    """The memory itself, readable and writable, shared with all who map it. The descriptor may be closed after."""
    return mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that keep messages whole. Raises FourwaysError where the system has no such thing."""
    if not hasattr(socket, "AF_UNIX") or not hasattr(socket, "send_fds"):
        raise FourwaysError("traces can be recorded on Linux and macOS only", hint="leave the trace out")
    kind = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM)
    try:
        return socket.socketpair(socket.AF_UNIX, kind)
    except OSError:  # macOS keeps messages whole with datagrams only
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
