"""fourways.model.json: what a model is, said once, from its files alone (`fourways.model/v1`).

A manifest is written as soon as a checkpoint's headers were read; its `identity` exists when every file was hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec

MANIFEST_SCHEMA = "fourways.model/v1"
MANIFEST_FILE = "fourways.model.json"

Architecture = Literal[
    "qwen2-vl", "qwen2.5-vl", "qwen3-vl", "llava", "llava-next", "llava-onevision", "internvl", "mllama", "gemma3",
    "idefics3", "smolvlm", "pixtral", "phi3-v", "qwen2-audio", "qwen2.5-omni", "whisper", "unknown",
]  # fmt: skip
"""The normalised names of architectures. "unknown": the class in config.json is none that Fourways has a name for."""

WeightDtype = Literal["fp32", "fp16", "bf16", "fp8", "int8", "int4", "mixed"]
"""Of the language model's layers as they are stored. int4: packed to 4 bits or fewer, whatever the numbers' form.
"mixed": no dtype has more than half of their bytes, or it is one without a name here."""

Part = Literal["vision_tower", "audio_tower", "connector", "language_model", "other"]
Modality = Literal["text", "image", "video", "audio"]
HotSwap = Literal["adapters", "none"]
Layout = Literal["transformers", "original"]


class Quantized(msgspec.Struct, frozen=True):
    """How the weights were quantised. method: as the checkpoint names it (gptq, awq, fp8, …). bits: of a weight; None
    where config.json does not say. group_size: weights that share a scale; None where a whole row or tensor does, or
    where it is not said."""

    method: str
    bits: int | None
    group_size: int | None = None


class PartSize(msgspec.Struct, frozen=True):
    """A part of the model as it is stored. parameters: numbers the part stands for (of packed 4-bit weights: those that
    they unpack to, where the headers tell; scales and zero points are none)."""

    tensors: int
    parameters: int
    bytes: int


class ImageLimits(msgspec.Struct, frozen=True):
    """What the preprocessing does to an image. Pixels are of one image after resizing; tiles: crops that the encoder
    runs on at most, a thumbnail or whole view among them; tile: their width and height. None: not said by the
    checkpoint's files, or not how this architecture works."""

    min_pixels: int | None = None
    max_pixels: int | None = None
    tile: tuple[int, int] | None = None
    max_tiles: int | None = None


class ManifestFile(msgspec.Struct, frozen=True):
    """A file of the checkpoint. name: relative, with slashes. sha256: hex, None while it was not read yet."""

    name: str
    bytes: int
    sha256: str | None = None


class Conversion(msgspec.Struct, frozen=True):
    """Where a converted checkpoint came from. converter: name@version of the rules. source: file → SHA-256 of what was
    read."""

    converter: str
    layout: str
    source: dict[str, str]


class Manifest(msgspec.Struct, frozen=True):
    """A checkpoint, or what can be known of it without loading it.

    architecture_class: as config.json names it. family_entry_point: which family of the group `fourways.families` loads
    it as it stands, None if none does. weight_dtype, quantization: of what is stored. parts: with at least one tensor.
    modalities: what goes in. formats: forms in which the weights lie in the folder; "safetensors" or
    "safetensors-original" (the authors' layout), and what else is there, such as "bin" or "gguf". context: positions of
    the language model; a sliding window inside them is no limit. chat_template_sha256: of the template's text in UTF-8.
    lora_targets: anchored regular expression over module names, the default of fine-tuning; None where nothing is
    known. requires: package → the least version with which transformers loads it as it stands, "" for any. hot_swap:
    whether adapters can be changed without a restart. licence, source, revision: as the files or the download say.
    files: of which it is made; the manifest itself and the README are none of them. identity: `identity_of` the files,
    None while any hash is pending.
    """

    schema: str
    name: str
    architecture: Architecture
    architecture_class: str
    layout: Layout
    family_entry_point: str | None
    weight_dtype: WeightDtype
    quantization: Quantized | None
    shards: int
    tensors: int
    parameters: int
    parts: dict[Part, PartSize]
    modalities: tuple[Modality, ...]
    formats: tuple[str, ...]
    context: int | None
    image: ImageLimits
    chat_template_sha256: str | None
    lora_targets: str | None
    requires: dict[str, str]
    hot_swap: HotSwap
    licence: str | None
    source: str | None
    revision: str | None
    files: tuple[ManifestFile, ...]
    hashes: Literal["pending", "complete"]
    identity: str | None = None
    converted: Conversion | None = None


def identity_of(files: Iterable[ManifestFile]) -> str | None:
    """Hex SHA-256 of the lines `<file digest>  <name>`, sorted by name, as `sha256sum` writes them; None if any file
    has no digest yet. Names and contents count, nothing else."""
    listed = sorted(files, key=lambda file: file.name)
    if any(file.sha256 is None for file in listed):
        return None
    return hashlib.sha256("".join(f"{file.sha256}  {file.name}\n" for file in listed).encode()).hexdigest()
