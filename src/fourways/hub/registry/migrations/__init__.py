"""The registry's schema, step by step. A step is added, never changed: databases that took it are out there.

`KNOWN` names the steps in their order without importing Alembic, which only a database that lacks some needs.
"""

KNOWN = ("0001",)
HEAD = KNOWN[-1]
