"""The recipe: ``python -m fourways.zoo.train`` makes the embedded models from nothing but a seed.

Three stages, each of which goes on where a kill stopped it: one language model on soft words (``language``), a
tower for each family (``towers``), then each pair on drawn scenes (``joint``). ``--family`` makes one of the
three; the language model is shared, so the first family pays for it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from .card import write_card
from .joint import train_joint
from .language import train_language
from .pictures import build_pool
from .prompts import FAMILIES, Family
from .towers import train_tower

LANGUAGE_STEPS, TOWER_STEPS, JOINT_STEPS = 2600, 1500, 200


def make(family: Family, work: Path, out: Path, *, share: float = 1.0, seed: int = 0, pool_size: int = 8000) -> None:
    """Make one family's checkpoint in ``out``; ``work`` holds what a killed run goes on from.

    ``share`` shortens every stage (1.0: the published models; 0.01 shows in a minute that the recipe runs).
    """
    language = train_language(work, steps=max(8, int(LANGUAGE_STEPS * share)), seed=seed)
    pool = build_pool(family, max(64, int(pool_size * share)), seed)
    model = train_tower(family, work, pool, steps=max(8, int(TOWER_STEPS * share)), seed=seed)
    steps = max(8, int(JOINT_STEPS * share))
    train_joint(family, model, language, work, out / family, pool, steps=steps, seed=seed)
    write_card(out / family, family, images=max(8, int(400 * share)))
    write_manifest(out / family)


def write_manifest(folder: Path) -> None:
    """FOLDER.model.json, by the command: this room must not know the one that makes manifests."""
    command = [sys.executable, "-c", "from fourways.cli import main; main()", "models", "manifest", str(folder)]
    subprocess.run([*command, "--out", f"{folder}.model.json"], check=True, stdout=subprocess.DEVNULL)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m fourways.zoo.train", description=__doc__)
    parser.add_argument("--family", choices=FAMILIES, action="append", help="default: all three")
    parser.add_argument("--out", type=Path, default=Path("zoo-checkpoints"), help="where the checkpoints go")
    parser.add_argument("--work", type=Path, default=Path("zoo-work"), help="training state; keep it to resume")
    parser.add_argument("--share", type=float, default=1.0, help="fraction of all steps, for a quick look")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="for so small a model one is often fastest")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    for family in options.family or FAMILIES:
        make(family, options.work, options.out, share=options.share, seed=options.seed)


if __name__ == "__main__":
    main()
