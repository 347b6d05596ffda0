"""A run as a person reads it: the page (report.html) and the table of the command line.

Must never: compute a figure (they come from summary.json; of rows it draws counts and distributions), change a file
other than report.html, or let text from a model or a data set act in the page.

Public face: `write_report` (page.py), `terminal_table` (terminal.py), `slowed` (slowed.py).
"""

from fourways.report.page import write_report
from fourways.report.slowed import slowed
from fourways.report.terminal import terminal_table

__all__ = ["slowed", "terminal_table", "write_report"]
