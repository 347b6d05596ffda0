"""`fourways models` alone: what can be named without a path or a download; `fourways models list` says more of those
that are registered."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from fourways.cli.terminal import results

EXAMPLES = (
    "Example: fourways compare Qwen2.5-VL-7B-Instruct --weights random --axes memory --device cuda --dtype bfloat16"
)


def models() -> None:
    """List the embedded models, the registered ones, and the shipped configurations for --weights random."""
    from fourways import zoo
    from fourways.hub import parameter_count, shipped_configs

    table = Table(title="Embedded models (small, made here; they stand for nothing larger)", title_justify="left")
    for column in ("name", "architecture", "parameters"):
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for name in zoo.NAMES:
        folder = zoo.checkpoint(name)
        table.add_row(f"zoo:{name}", _architecture(folder / "config.json"), f"{parameter_count(folder):,}")
    configs = Table(title="Configurations for --weights random", title_justify="left")
    configs.add_column("name")
    configs.add_column("architecture")
    for name, folder in shipped_configs().items():
        configs.add_row(name, _architecture(folder / "config.json"))
    results().print(table, configs)
    _print_registered()


def _print_registered() -> None:
    """Last, because a registry on a server may not be there; nothing where nothing is registered."""
    from fourways.cli.models.registry import entries
    from fourways.cli.models.registry_tables import overview
    from fourways.hub.registry.condition import condition_of

    if listed := [(entry, condition_of(entry)) for entry in entries(None)]:
        results().print(overview(listed, "Registered models and adapters"))


def _architecture(config: Path) -> str:
    return str(json.loads(config.read_bytes())["architectures"][0])
