"""An adapter on disk: what plain PEFT reads, and a manifest that says what it was made from.

The folder is written beside its place and moved there whole: it exists complete or not at all.
"""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path

import msgspec

from fourways.core.candidate import Checkpoint
from fourways.core.digests import hash_file
from fourways.core.errors import FourwaysError, UserError
from fourways.tuning.lora import LoraRun, TrainingSet
from fourways.tuning.recipe import Recipe

MANIFEST = "manifest.json"
SCHEMA = "fourways.adapter/v1"
WEIGHTS = "adapter_model.safetensors"


class AdapterManifest(msgspec.Struct, frozen=True):
    """manifest.json of an adapter folder.

    base: a name for people. base_sha256: file name → digest of the base checkpoint. weights_sha256: of the adapter's
    own weights. data_sha256: of the examples in order. modules: every module adapted. transformers: the version whose
    module names these are (they changed at 4.52).
    """

    schema: str
    base: str
    architecture: str
    base_sha256: dict[str, str]
    weights_sha256: str
    data_sha256: str
    examples: int
    recipe: Recipe
    targets: str
    modules: tuple[str, ...]
    transformers: str
    peft: str
    torch: str


def save_adapter(
    run: LoraRun, folder: Path, *, data: TrainingSet, base: str, checkpoint: Checkpoint
) -> AdapterManifest:
    """Write the run's adapter into `folder`, replacing what is there. Call while the run is entered.

    base: how the base model is called in the files (no path of this machine). Raises FourwaysError if the disk refuses.
    """
    fresh = folder.with_name(folder.name + ".writing")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        run.peft_model.peft_config["default"].base_model_name_or_path = base
        run.peft_model.save_pretrained(str(fresh), save_embedding_layers=False)
        manifest = AdapterManifest(
            schema=SCHEMA,
            base=base,
            architecture=checkpoint.architecture,
            base_sha256=dict(sorted(checkpoint.sha256.items())),
            weights_sha256=hash_file(fresh / WEIGHTS),
            data_sha256=data.sha256,
            examples=len(data.items),
            recipe=run.recipe,
            targets=run.pattern,
            modules=run.modules,
            transformers=version("transformers"),
            peft=version("peft"),
            torch=version("torch"),
        )
        (fresh / "README.md").write_text(_card(manifest), encoding="utf-8")  # PEFT's names this machine's paths
        (fresh / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except OSError as error:
        raise FourwaysError(
            f"the adapter could not be written to {folder}: {error}", hint="free some disk space"
        ) from error
    return manifest


def _card(manifest: AdapterManifest) -> str:
    recipe = manifest.recipe
    return (
        f"---\nbase_model: {json.dumps(manifest.base)}\nlibrary_name: peft\ntags: [lora]\n---\n\n"
        f"# A LoRA adapter for {manifest.base}\n\n"
        f"{len(manifest.modules)} linear layers, rank {recipe.rank}, alpha {recipe.alpha}; {recipe.steps} steps of "
        f"{recipe.batch_size} from {manifest.examples} examples, seed {recipe.seed}. "
        f"{MANIFEST} holds the digests of the base model, the data and the weights, and every setting.\n"
    )


def read_manifest(folder: Path) -> AdapterManifest:
    """The manifest of an adapter folder. Raises UserError if it is missing, damaged, or the weights are not its own."""
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=AdapterManifest)
        weights = hash_file(folder / WEIGHTS)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"{path} is not the manifest of a whole adapter folder: {error}") from None
    if manifest.schema != SCHEMA:
        raise UserError(f"{path} has schema {manifest.schema}, this version reads {SCHEMA}")
    if weights != manifest.weights_sha256:
        raise UserError(f"{folder / WEIGHTS} is not the file that its manifest names", hint="train the adapter again")
    return manifest
