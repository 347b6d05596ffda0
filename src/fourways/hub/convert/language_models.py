"""The language models inside the original layouts, as transformers' own classes: their configuration and tensors."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from fourways.core.errors import CheckpointError
from fourways.hub.convert.files import number
from fourways.hub.convert.plan import Piece, Rule, Stored

VOCABULARY = ("model.embed_tokens.weight", "lm_head.weight")
_COMMON = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "hidden_act", "max_position_embeddings", "initializer_range", "rms_norm_eps", "rope_theta", "rope_scaling",
    "attention_dropout", "head_dim", "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip
_OWN = {
    "llama": ("attention_bias", "mlp_bias"),
    "qwen2": ("use_sliding_window", "sliding_window", "max_window_layers"),
    "mistral": ("sliding_window",),
    "phi3": (
        "original_max_position_embeddings", "sliding_window", "partial_rotary_factor", "resid_pdrop", "embd_pdrop",
    ),
}  # fmt: skip
_CLASSES = {
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "MistralForCausalLM": "mistral",
    "Phi3ForCausalLM": "phi3",
}
_INTERNLM2_DEFAULTS: dict[str, Any] = {
    "vocab_size": 103168, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "initializer_range": 0.02,
    "rms_norm_eps": 1e-6, "rope_theta": 10000, "rope_scaling": None, "bias": True,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
"""What InternLM2Config assumes where config.json says nothing."""
_LAYER = r"model\.layers\.\d+\."
_NORMS = rf"model\.norm\.weight|{_LAYER}(input_layernorm|post_attention_layernorm)\.weight"
_SPLIT = (
    rf"model\.embed_tokens\.weight|lm_head\.weight|{_NORMS}"
    rf"|{_LAYER}(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.(weight|bias)"
)
_FUSED = (
    rf"model\.embed_tokens\.weight|lm_head\.weight|{_NORMS}"
    rf"|{_LAYER}(self_attn\.(qkv|o)_proj|mlp\.(gate_up|down)_proj)\.weight"
)
_BUFFERS = re.compile(r".*\.rotary_emb\.(inv_freq|cos_cached|sin_cached)")
"""Computed from the configuration, and saved by old versions of transformers."""


@dataclass(frozen=True, slots=True)
class Language:
    """config: text_config of the new layout. output: the stored name of the output layer's weight. tied: it is the
    embedding's own, and may be left out of the files. rule: over names without their prefix."""

    config: dict[str, Any]
    output: str
    tied: bool
    rule: Rule

    @property
    def vocab_size(self) -> int:
        return int(self.config["vocab_size"])

    @property
    def context(self) -> int:
        return int(self.config["max_position_embeddings"])

    def ties(self, stored: Container[str], prefix: str) -> bool:
        """Whether the new checkpoint has no output layer of its own. Raises CheckpointError where one is missing."""
        if prefix + self.output in stored:
            return False
        if not self.tied:
            raise CheckpointError(
                f"the checkpoint lacks {prefix}{self.output}",
                hint="is a weight file missing? fetch the checkpoint again",
            )
        return True


def read(given: Mapping[str, Any]) -> Language:
    """From a language model's own config. Raises CheckpointError for a class that no rule knows."""
    named = given.get("architectures")
    name = str(named[0]) if isinstance(named, list) and named else ""
    if name == "InternLM2ForCausalLM":
        return _internlm2(given)
    if name not in _CLASSES:
        raise CheckpointError(
            f"the language model is {name or 'of a class without a name'}, which no rule knows",
            hint=f"known: InternLM2ForCausalLM, {', '.join(_CLASSES)}",
        )
    return plain(_CLASSES[name], given)


def plain(model_type: str, given: Mapping[str, Any]) -> Language:
    """A class that transformers has, under its own names."""
    config = _kept(model_type, given)
    tied = bool(given.get("tie_word_embeddings", False))
    return Language(config, "lm_head.weight", tied, _same_names(_FUSED if model_type == "phi3" else _SPLIT))


def _kept(model_type: str, given: Mapping[str, Any]) -> dict[str, Any]:
    names = (*_COMMON, *_OWN[model_type])
    config = {"model_type": model_type} | {name: given[name] for name in names if given.get(name) is not None}
    for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"):
        number(config, name, "the language model's ")
    if scaling := config.pop("rope_scaling", None):
        config["rope_scaling"] = _scaling(model_type, scaling)
    return config


def _scaling(model_type: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Under the names of today. Raises CheckpointError for a kind that the class does not compute as the original."""
    kind = given.get("rope_type", given.get("type", "default"))
    kind = "longrope" if kind == "su" else kind
    known = ("longrope",) if model_type == "phi3" else ("default", "linear", "dynamic", "llama3", "yarn")
    if kind not in known:
        raise CheckpointError(f"the language model scales its rotary positions by {kind!r}; no rule for that is known")
    return {name: value for name, value in given.items() if name != "type"} | {"rope_type": kind}


def _same_names(pattern: str) -> Rule:
    known = re.compile(pattern)

    def rule(name: str, stored: Stored) -> tuple[Piece, ...] | None:
        if _BUFFERS.fullmatch(name):
            return ()
        return (Piece(name),) if known.fullmatch(name) else None

    return rule


# -- InternLM2 -------------------------------------------------------------------------------------------------------
_INTERNLM2_NAMES = {
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_INTERNLM2_TOP = {
    "model.tok_embeddings.weight": "model.embed_tokens.weight",
    "model.norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER = re.compile(r"model\.layers\.(\d+)\.([\w.]+)\.(weight|bias)")


def _internlm2(given: Mapping[str, Any]) -> Language:
    settings = _INTERNLM2_DEFAULTS | {name: value for name, value in given.items() if value is not None}
    if str(settings.get("rope_pos_id_version", "default")) != "default":
        raise CheckpointError(f"the language model counts positions by {settings['rope_pos_id_version']}; no rule does")
    config = _kept("llama", settings | {"attention_bias": bool(settings["bias"]), "mlp_bias": False})
    heads = number(config, "num_attention_heads", "the language model's ")
    kv_heads = int(config.get("num_key_value_heads") or heads)
    if heads % kv_heads or config["hidden_size"] % heads:
        raise CheckpointError(
            f"config.json: {heads} heads do not divide into {kv_heads} groups of {config['hidden_size']}"
        )
    head_dim = int(config["hidden_size"]) // heads
    config |= {"num_key_value_heads": kv_heads, "head_dim": head_dim}

    def rule(name: str, stored: Stored) -> tuple[Piece, ...] | None:
        if _BUFFERS.fullmatch(name):
            return ()
        if name in _INTERNLM2_TOP:
            return (Piece(_INTERNLM2_TOP[name]),)
        if (match := _IN_LAYER.fullmatch(name)) is None:
            return None
        layer, part, kind = match.groups()
        if part == "attention.wqkv":
            cuts = unpack_wqkv(stored.rows, heads, kv_heads, head_dim)
            return tuple(Piece(f"model.layers.{layer}.self_attn.{p}_proj.{kind}", cuts[p]) for p in "qkv")
        return (Piece(f"model.layers.{layer}.{_INTERNLM2_NAMES[part]}.{kind}"),) if part in _INTERNLM2_NAMES else None

    return Language(config, "output.weight", bool(settings.get("tie_word_embeddings", False)), rule)


def unpack_wqkv(rows: int, heads: int, kv_heads: int, head_dim: int) -> dict[str, tuple[tuple[int, int], ...]]:
    """Which rows of InternLM2's packed projection are queries, keys and values: kv_heads groups, each of
    heads / kv_heads query heads, one key head and one value head. Raises CheckpointError for another number of rows."""
    queries = heads // kv_heads * head_dim
    group = queries + 2 * head_dim
    if rows != kv_heads * group:
        raise CheckpointError(
            f"wqkv has {rows} rows; {heads} heads in {kv_heads} groups, {head_dim} wide, make {kv_heads * group}",
            hint="config.json and the weights must come from the same checkpoint",
        )
    starts = range(0, rows, group)
    return {
        "q": tuple((start, start + queries) for start in starts),
        "k": tuple((start + queries, start + queries + head_dim) for start in starts),
        "v": tuple((start + queries + head_dim, start + group) for start in starts),
    }
