"""A manifest from a checkpoint's small files and its weights' headers. No tensor is read, and nothing is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from fourways.core.errors import CheckpointError, FourwaysError
from fourways.core.family import FamilyCard
from fourways.core.manifest import MANIFEST_FILE, MANIFEST_SCHEMA, Layout, Manifest, ManifestFile, Modality, identity_of
from fourways.hub.hashing import Progress, hash_files
from fourways.hub.look import architecture, checkpoint_files, read_config
from fourways.hub.manifest.architectures import ANY_PARTS, ORIGINAL, PICKLED, SAFETENSORS, Known, classify
from fourways.hub.manifest.file import is_safe_name, read_manifest
from fourways.hub.manifest.images import image_limits
from fourways.hub.manifest.origin import licence_of, name_of, source_of
from fourways.hub.manifest.quantized import REQUIRES, quantization_of
from fourways.hub.manifest.settings import chat_template_sha256, context_of, image_processor
from fourways.hub.manifest.topology import topology_of
from fourways.hub.weights import read_headers

Cards = Callable[[], Mapping[str, FamilyCard]]
"""The families that are installed, by the names of their entry points."""

_OTHER_FORMS = {".bin": PICKLED, ".pt": PICKLED, ".pth": PICKLED, ".gguf": "gguf", ".onnx": "onnx", ".msgpack": "flax"}


def make(folder: Path, cards: Cards | None = None) -> Manifest:
    """The manifest of a checkpoint folder, its hashes pending. cards: asked only where the class in config.json is
    none that is known here, for families of other packages.

    Raises CheckpointError as `look` does, but for a missing tokenizer; and for a small file that is not JSON, or whose
    name could be taken for a path.
    """
    config = read_config(folder)
    named = architecture(folder, config)
    headers = read_headers(folder)
    known, layout = classify(named, config)
    family = _family(known, layout, named, cards)
    quantization = quantization_of(config)
    topology = topology_of(headers.values(), known.parts if known else ANY_PARTS, quantization)
    source, revision = source_of(folder)
    return Manifest(
        schema=MANIFEST_SCHEMA,
        name=name_of(folder),
        architecture=known.name if known else "unknown",
        architecture_class=named,
        layout=layout,
        family_entry_point=family.entry_point,
        weight_dtype=topology.weight_dtype,
        quantization=quantization,
        shards=topology.shards,
        tensors=topology.tensors,
        parameters=topology.parameters,
        parts=topology.parts,
        modalities=family.modalities,
        formats=_formats(folder, layout),
        context=context_of(config),
        image=image_limits(known.name if known else "unknown", config, image_processor(folder)),
        chat_template_sha256=chat_template_sha256(folder),
        lora_targets=family.lora_targets,
        requires=_requires(known, layout, quantization.method if quantization else None),
        hot_swap="none" if family.entry_point is None else "adapters",
        licence=licence_of(folder),
        source=source,
        revision=revision,
        files=_files(folder, headers),
        hashes="pending",
    )


def fill(manifest: Manifest, folder: Path, at: Progress | None = None) -> Manifest:
    """The manifest with the digests of the files as they are now, read in parallel where the cache does not know them.
    Raises as `hash_files` does, and CheckpointError if they are not the files that it was made of, by name and size."""
    for file in manifest.files:
        place = folder / file.name
        if not is_safe_name(file.name) or not place.is_file() or place.stat().st_size != file.bytes:
            raise CheckpointError(
                f"{place} is not the file of {file.bytes:,} bytes that the manifest was made of",
                hint="make it again: fourways models manifest",
            )
    found = hash_files([folder / file.name for file in manifest.files], at)
    return filled(manifest, folder, {file.name: digest for file, digest in found.items()})


def filled(manifest: Manifest, folder: Path, digests: Mapping[str, str]) -> Manifest:
    """The manifest with digests that were computed before; file name → hex SHA-256.

    Where the manifest beside the weights tells of the very same bytes, what only its maker could know is taken over:
    the conversion, and the source, revision and licence that this folder does not tell.
    """
    files = tuple(msgspec.structs.replace(file, sha256=digests.get(file.name)) for file in manifest.files)
    identity = identity_of(files)
    complete = msgspec.structs.replace(
        manifest, files=files, hashes="pending" if identity is None else "complete", identity=identity
    )
    before = _beside(folder)
    if before is None or identity is None or before.identity != identity:
        return complete
    return msgspec.structs.replace(
        complete,
        converted=complete.converted or before.converted,
        source=complete.source or before.source,
        revision=complete.revision or before.revision,
        licence=complete.licence or before.licence,
    )


class _Family(msgspec.Struct, frozen=True):
    entry_point: str | None
    modalities: tuple[Modality, ...]
    lora_targets: str | None


def _family(known: Known | None, layout: Layout, named: str, cards: Cards | None) -> _Family:
    """Which family loads it, and what that family says; nothing loads an original layout as it stands."""
    if known is not None:
        loads = known if layout == "transformers" else None
        return _Family(loads.family if loads else None, known.modalities, loads.lora_targets if loads else None)
    installed: Iterable[tuple[str, FamilyCard]] = cards().items() if cards is not None else ()
    for entry_point, card in installed:
        if named in card.architectures:
            modalities: tuple[Modality, ...] = ("text", "image", "video") if card.video else ("text", "image")
            return _Family(entry_point, modalities, card.lora_targets.get("llm"))
    return _Family(None, (), None)


def _files(folder: Path, weights: Iterable[Path]) -> tuple[ManifestFile, ...]:
    files = checkpoint_files(folder, weights)
    if strange := [file.name for file in files if not is_safe_name(file.name)]:
        raise CheckpointError(f"{folder} has a file {strange[0]!r}, which not every system can name", hint="rename it")
    return tuple(ManifestFile(file.name, file.stat().st_size) for file in files)


def _requires(known: Known | None, layout: Layout, method: str | None) -> dict[str, str]:
    """Packages by which transformers loads the checkpoint as it stands."""
    own = {"transformers": known.transformers} if known and known.transformers and layout == "transformers" else {}
    return {**own, **REQUIRES.get(method or "", {})}


def _formats(folder: Path, layout: Layout) -> tuple[str, ...]:
    """The form that was looked at, and others whose files lie beside it."""
    mine = ORIGINAL if layout == "original" else SAFETENSORS
    weights = (file for file in folder.iterdir() if file.is_file() and file.name != "training_args.bin")
    others = {_OTHER_FORMS[file.suffix] for file in weights if file.suffix in _OTHER_FORMS}
    return (mine, *sorted(others))


def _beside(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder / MANIFEST_FILE)
    except FourwaysError:
        return None
