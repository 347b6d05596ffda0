"""The command line: parses, calls a room, prints. One file per command group. Must never measure or compute anything.

Exit codes: 0 done; 1 something was lost, or the fault is ours or the machine's; 2 the user's mistake; 130 Ctrl-C.
Every error is one clear line and a hint; FOURWAYS_DEBUG=1 adds where it happened.
"""

from fourways.cli.main import main

__all__ = ["main"]
