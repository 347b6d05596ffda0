"""A deterministic stand-in for an inference server: OpenAI-compatible, slow by the clock and not by work, and its own
witness of what it sent when. For tests, users' CI, and for judging load clients and proxies.

Public face: `MockSettings` (what it is told), `running` (a server in a process of its own; `Running`), `serve` (in this
process, until it is stopped; `Tally`), `Served` and `read_log` (its log). It must never send before a deadline, let a
delay add up, fetch or decode what it is sent, or pass for a model: its words mean nothing.
"""

from fourways.load.mock.log import Served, read_log
from fourways.load.mock.process import Running, running
from fourways.load.mock.server import Tally
from fourways.load.mock.serving import serve
from fourways.load.mock.settings import MockSettings

__all__ = ["MockSettings", "Running", "Served", "Tally", "read_log", "running", "serve"]
