"""A run in the forms of other programs: CSV tables, and runs of an MLflow server.

It only reads a run. Nothing is rounded, left out in silence or put into words that the run does not have.

Public face: `write_csv` (csv_tables.py), `log_run`, `Logged` (mlflow_runs.py), `wanted` (asked.py).
"""

from fourways.evidence.export.asked import wanted
from fourways.evidence.export.csv_tables import write_csv
from fourways.evidence.export.mlflow_runs import Logged, log_run

__all__ = ["Logged", "log_run", "wanted", "write_csv"]
