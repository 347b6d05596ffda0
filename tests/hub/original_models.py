"""The original models written out plainly: pictures to tiles, tiles to features, prompts to ids, greedy answers.

Written from the papers and the layout of the authors' repositories, to judge converted checkpoints by. Nothing is
cached or batched. Where the authors use transformers' own class under its own names (Llama, Mistral, Qwen2, Phi-3,
CLIP), so does this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import torch.nn.functional as F
from PIL import Image as Pil
from safetensors.torch import load_file
from sentencepiece import sentencepiece_model_pb2
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
)  # fmt: skip

Tensors = Mapping[str, Tensor]
Logits = Callable[[Tensor], Tensor]
"""(tokens, hidden) → (vocabulary) of the last token."""
_CLASSES = {
    "LlamaForCausalLM": (LlamaConfig, LlamaForCausalLM), "LlavaLlamaForCausalLM": (LlamaConfig, LlamaForCausalLM),
    "LlavaMistralForCausalLM": (MistralConfig, MistralForCausalLM), "Phi3ForCausalLM": (Phi3Config, Phi3ForCausalLM),
    "Qwen2ForCausalLM": (Qwen2Config, Qwen2ForCausalLM),
}  # fmt: skip
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    tensors = {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(str(file)).items()}
    return json.loads((folder / "config.json").read_text()), tensors


def below(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


# -- tokens ----------------------------------------------------------------------------------------------------------
def tokenize(folder: Path, text: str) -> list[int]:
    """As the checkpoint's slow tokenizer: control tokens are cut out, what is between them is encoded by itself."""
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    added = {
        entry["content"]: (int(index), entry["rstrip"]) for index, entry in settings["added_tokens_decoder"].items()
    }
    words = re.compile("|".join(re.escape(token) for token in sorted(added, key=len, reverse=True)))
    encode = _encoder(folder)
    ids = [1] if settings.get("add_bos_token") else []
    at = 0
    for match in words.finditer(text):
        ids += encode(text[at : match.start()], at == 0)
        index, strips = added[match[0]]
        ids.append(index)
        at = match.end()
        while strips and at < len(text) and text[at].isspace():
            at += 1
    return ids + encode(text[at:], at == 0)


@cache
def _encoder(folder: Path) -> Callable[[str, bool], list[int]]:
    """(part, whether it begins the text) → ids. The folder's files must stay as they are."""
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    if not (folder / "tokenizer.model").is_file():
        words = Qwen2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), eos_token=None, pad_token=None)
        return lambda part, first: words.backend_tokenizer.encode(part, add_special_tokens=False).ids
    raw = (folder / "tokenizer.model").read_bytes()
    model = sentencepiece_model_pb2.ModelProto.FromString(raw)
    model.normalizer_spec.add_dummy_prefix = False
    full, bare = (sentencepiece.SentencePieceProcessor(model_proto=m) for m in (raw, model.SerializeToString()))
    every = settings["tokenizer_class"] != "LlamaTokenizer" or settings.get("legacy") is not False
    return lambda part, first: (full if first or every else bare).encode(part) if part else []


# -- language models -------------------------------------------------------------------------------------------------
def language(config: Mapping[str, Any], tensors: Tensors) -> tuple[Tensor, Logits]:
    """Token embeddings, and a pass over embeddings. config: the language model's."""
    name = config["architectures"][0]
    if name == "InternLM2ForCausalLM":
        return tensors["model.tok_embeddings.weight"], lambda embeds: internlm2(config, tensors, embeds)
    config_class, model_class = _CLASSES[name]
    known = {key: value for key, value in config.items() if key not in ("architectures", "model_type", "auto_map")}
    model = model_class(config_class(**{**known, "attn_implementation": "eager"})).eval()
    wanted = set(model.state_dict())
    model.load_state_dict({key: tensor for key, tensor in tensors.items() if key in wanted})

    @torch.inference_mode()
    def logits(embeds: Tensor) -> Tensor:
        return model(inputs_embeds=embeds[None]).logits[0, -1]

    return tensors["model.embed_tokens.weight"], logits


def rotary_base(config: Mapping[str, Any], length: int) -> float:
    """InternLM2's base: dynamic NTK scaling begins beyond the trained length."""
    base, scaling, dim = float(config["rope_theta"]), config.get("rope_scaling"), head_dim(config)
    trained = config["max_position_embeddings"]
    if scaling and scaling["type"] == "dynamic" and length > trained:
        factor = scaling["factor"]
        base *= (factor * length / trained - (factor - 1)) ** (dim / (dim - 2))
    return base


def head_dim(config: Mapping[str, Any]) -> int:
    return int(config["hidden_size"]) // int(config["num_attention_heads"])


@torch.inference_mode()
def internlm2(config: Mapping[str, Any], tensors: Tensors, hidden: Tensor) -> Tensor:
    """(tokens, hidden) → logits of the last token."""
    eps, layers = config["rms_norm_eps"], config["num_hidden_layers"]
    length, dim = len(hidden), head_dim(config)
    steps = torch.arange(0, dim, 2).float() / dim
    angles = torch.arange(length).float()[:, None] / (rotary_base(config, length) ** steps)
    turn = torch.cat([angles, angles], dim=-1)
    for layer in range(layers):
        own = below(tensors, f"model.layers.{layer}.")
        hidden = hidden + _attend(config, own, _rms(hidden, own["attention_norm.weight"], eps), turn)
        x = _rms(hidden, own["ffn_norm.weight"], eps)
        gate = F.silu(x @ own["feed_forward.w1.weight"].T) * (x @ own["feed_forward.w3.weight"].T)
        hidden = hidden + gate @ own["feed_forward.w2.weight"].T
    return _rms(hidden, tensors["model.norm.weight"], eps)[-1] @ tensors["output.weight"].T


def _attend(config: Mapping[str, Any], own: Tensors, x: Tensor, turn: Tensor) -> Tensor:
    """Packed: for each head of keys and values, its queries, then the key, then the value."""
    heads, kv_heads, dim = config["num_attention_heads"], config["num_key_value_heads"], head_dim(config)
    group = heads // kv_heads
    packed = (x @ own["attention.wqkv.weight"].T).view(len(x), kv_heads, group + 2, dim)
    q = packed[:, :, :group].reshape(len(x), heads, dim)
    k = packed[:, :, group].repeat_interleave(group, dim=1)
    v = packed[:, :, group + 1].repeat_interleave(group, dim=1)
    q, k = (part * turn.cos()[:, None] + _half_turned(part) * turn.sin()[:, None] for part in (q, k))
    scores = torch.einsum("qhd,khd->hqk", q, k) / dim**0.5
    scores = scores.masked_fill(torch.ones(len(x), len(x)).triu(1).bool(), float("-inf"))
    return torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(len(x), -1) @ own["attention.wo.weight"].T


def _half_turned(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


def _rms(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * scale


def greedy(embeds: Tensor, table: Tensor, logits: Logits, count: int, ends: Sequence[int]) -> tuple[list[int], float]:
    """Token ids, and the least distance between the two best logits on the way."""
    ids: list[int] = []
    nearest = float("inf")
    while len(ids) < count:
        best = logits(embeds).topk(2)
        nearest = min(nearest, float(best.values[0] - best.values[1]))
        if int(best.indices[0]) in ends:
            break
        ids.append(int(best.indices[0]))
        embeds = torch.cat([embeds, table[ids[-1]][None]])
    return ids, nearest


# -- InternVL --------------------------------------------------------------------------------------------------------
def internvl_tiles(image: Pil.Image, side: int, most: int) -> Tensor:
    """(tiles, 3, side, side): the grid whose shape is nearest, and a thumbnail unless it is one tile."""
    grids = sorted(
        {(w, h) for w in range(1, most + 1) for h in range(1, most + 1) if w * h <= most},
        key=lambda grid: grid[0] * grid[1],
    )
    ratio, best, chosen = image.width / image.height, float("inf"), (1, 1)
    for width, height in grids:
        off = abs(ratio - width / height)
        if off < best or (off == best and image.width * image.height > 0.5 * side * side * width * height):
            best, chosen = off, (width, height)
    large = image.resize((side * chosen[0], side * chosen[1]), Pil.Resampling.BICUBIC)
    boxes = [(x * side, y * side, (x + 1) * side, (y + 1) * side) for y in range(chosen[1]) for x in range(chosen[0])]
    tiles = [large.crop(box) for box in boxes]
    if len(tiles) > 1:
        tiles.append(image.resize((side, side), Pil.Resampling.BICUBIC))
    return torch.stack([pixels(tile, *IMAGENET) for tile in tiles])


def pixels(image: Pil.Image, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    values = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8)
    values = values.view(image.height, image.width, 3) / 255
    return ((values - torch.tensor(mean)) / torch.tensor(std)).permute(2, 0, 1)


@torch.inference_mode()
def internvl_features(config: Mapping[str, Any], tensors: Tensors, tiles: Tensor) -> Tensor:
    """(tiles x tokens, hidden)."""
    vision, own = config["vision_config"], below(tensors, "vision_model.")
    count, width = len(tiles), vision["hidden_size"]
    patches = F.conv2d(
        tiles, own["embeddings.patch_embedding.weight"], own["embeddings.patch_embedding.bias"], vision["patch_size"]
    )
    x = patches.flatten(2).transpose(1, 2)
    x = torch.cat([own["embeddings.class_embedding"].expand(count, 1, -1), x], dim=1)
    x = x + own["embeddings.position_embedding"]
    for layer in range(vision["num_hidden_layers"]):
        x = _vision_layer(vision, below(own, f"encoder.layers.{layer}."), x)
    x = x[:, 1:]
    edge = int(x.shape[1] ** 0.5)
    x = x.view(count, edge // 2, 2, edge // 2, 2, width)  # 2 x 2 neighbours become one token, columns first
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(count, (edge // 2) ** 2, 4 * width)
    x = F.layer_norm(x, (4 * width,), tensors["mlp1.0.weight"], tensors["mlp1.0.bias"])
    x = F.gelu(F.linear(x, tensors["mlp1.1.weight"], tensors["mlp1.1.bias"]))
    return F.linear(x, tensors["mlp1.3.weight"], tensors["mlp1.3.bias"]).flatten(0, 1)


def _vision_layer(vision: Mapping[str, Any], own: Tensors, x: Tensor) -> Tensor:
    heads, eps = vision["num_attention_heads"], vision["layer_norm_eps"]
    count, length, width = x.shape
    q, k, v = F.linear(_norm(x, own, "norm1", eps), own["attn.qkv.weight"], own.get("attn.qkv.bias")).chunk(3, dim=-1)
    if "attn.q_norm.weight" in own:
        q, k = _rms(q, own["attn.q_norm.weight"], eps), _rms(k, own["attn.k_norm.weight"], eps)
    q, k, v = (part.view(count, length, heads, -1).transpose(1, 2) for part in (q, k, v))
    weights = (q @ k.transpose(-1, -2) / (width // heads) ** 0.5).softmax(-1)
    mixed = (weights @ v).transpose(1, 2).reshape(count, length, width)
    x = x + own["ls1"] * F.linear(mixed, own["attn.proj.weight"], own["attn.proj.bias"])
    y = F.gelu(F.linear(_norm(x, own, "norm2", eps), own["mlp.fc1.weight"], own["mlp.fc1.bias"]))
    return x + own["ls2"] * F.linear(y, own["mlp.fc2.weight"], own["mlp.fc2.bias"])


def _norm(x: Tensor, own: Tensors, name: str, eps: float) -> Tensor:
    if f"{name}.bias" in own:
        return F.layer_norm(x, x.shape[-1:], own[f"{name}.weight"], own[f"{name}.bias"], eps)
    return _rms(x, own[f"{name}.weight"], eps)


# -- LLaVA 1.6 -------------------------------------------------------------------------------------------------------
def llava_grid(image: Pil.Image, pinpoints: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(width, height) of the canvas: most of the picture's pixels kept, then the least left empty, then the first."""

    def kept(size: tuple[int, int]) -> tuple[int, int]:
        scale = min(size[0] / image.width, size[1] / image.height)
        pixels = min(int(image.width * scale) * int(image.height * scale), image.width * image.height)
        return pixels, -(size[0] * size[1] - pixels)

    return max((tuple(pair) for pair in pinpoints), key=kept)


def llava_tiles(image: Pil.Image, side: int, pinpoints: Sequence[tuple[int, int]]) -> Tensor:
    """(1 + crops, 3, side, side): the whole picture first."""
    width, height = llava_grid(image, pinpoints)
    across, down = width / image.width, height / image.height
    if across < down:
        size = (width, min(-int(-image.height * across // 1), height))
    else:
        size = (min(-int(-image.width * down // 1), width), height)
    canvas = Pil.new("RGB", (width, height), (0, 0, 0))
    canvas.paste(image.resize(size, Pil.Resampling.BICUBIC), ((width - size[0]) // 2, (height - size[1]) // 2))
    tiles = [image.resize((side, side), Pil.Resampling.BICUBIC)]
    tiles += [canvas.crop((x, y, x + side, y + side)) for y in range(0, height, side) for x in range(0, width, side)]
    return torch.stack([pixels(tile, *CLIP) for tile in tiles])


@torch.inference_mode()
def llava_features(
    config: Mapping[str, Any], tensors: Tensors, clip: Mapping[str, Any], tower: Tensors, image: Pil.Image
) -> Tensor:
    """(tokens, hidden): the whole picture's, then the crops' rows without their padding, each with a newline."""
    model = CLIPVisionModel(CLIPVisionConfig(**{k: v for k, v in clip.items() if k != "model_type"})).eval()
    wanted = set(model.state_dict())
    prefix = "" if any(name.startswith("vision_model.") for name in wanted) else "vision_model."
    model.load_state_dict({n.removeprefix(prefix): t for n, t in tower.items() if n.removeprefix(prefix) in wanted})
    pinpoints = [(w, h) for w, h in config["image_grid_pinpoints"]]
    side, edge = clip["image_size"], clip["image_size"] // clip["patch_size"]
    seen = model(llava_tiles(image, side, pinpoints), output_hidden_states=True)
    x = seen.hidden_states[config["mm_vision_select_layer"]][:, 1:]
    x = F.gelu(F.linear(x, tensors["model.mm_projector.0.weight"], tensors["model.mm_projector.0.bias"]))
    x = F.linear(x, tensors["model.mm_projector.2.weight"], tensors["model.mm_projector.2.bias"])
    width, height = llava_grid(image, pinpoints)
    rows, columns = height // side, width // side
    crops = x[1:].view(rows, columns, edge, edge, -1).permute(4, 0, 2, 1, 3).flatten(1, 2).flatten(2, 3)
    crops = _unpadded(crops, image.width, image.height)
    newline = tensors["model.image_newline"][:, None, None].expand(-1, crops.shape[1], 1)
    return torch.cat([x[0], torch.cat([crops, newline], dim=-1).flatten(1).T])


def _unpadded(features: Tensor, width: int, height: int) -> Tensor:
    """features: (hidden, rows, columns) of a canvas on which the picture was centred."""
    _, rows, columns = features.shape
    if width / height > columns / rows:
        empty = (rows - int(height * (columns / width))) // 2
        return features[:, empty : rows - empty]
    empty = (columns - int(width * (rows / height))) // 2
    return features[:, :, empty : columns - empty]
