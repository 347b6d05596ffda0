"""What makes a run believable: its header, its append-only rows, the published form of every file, a statement over all
of them, its signature, and the check of all this.

Must never: open an engine, write a figure (verifying computes them again, to compare), or write a secret, a home folder
or a URL's credentials into a file.

Public face: `build_header`, `write_header`, `changes` (header.py); `RowLog`, `RowsNotWritten`, `axis_of`, `supersede`,
`rewrite`, `check_free` (rowlog.py); `read_header`, `read_rows`, `read_rows_header` (core's run_files.py); `redact`
(redact.py); `load_schema` (schemas.py); `write_statement` (statement.py), `sign_run` (signing.py), `verify_run`
(verify/), `judge` and `side_by_side` (comparison/), which are imported by name, because few commands need them.
"""

from fourways.core.run_files import read_header, read_rows, read_rows_header
from fourways.evidence.header import build_header, changes, new_run_id, write_header
from fourways.evidence.redact import redact
from fourways.evidence.rowlog import RowLog, RowsNotWritten, axis_of, check_free, rewrite, supersede
from fourways.evidence.schemas import load_schema

__all__ = [
    "RowLog", "RowsNotWritten", "axis_of", "build_header", "changes", "check_free", "load_schema", "new_run_id",
    "read_header", "read_rows", "read_rows_header", "redact", "rewrite", "supersede", "write_header",
]  # fmt: skip
