"""Tiny checkpoints in their authors' layouts, with drawn weights: InternVL on each of its language models, LLaVA 1.6.

Shapes and names are those of the published checkpoints; sizes are small. The few Python files that a server needs to
read such a configuration (original_code/) are written here too, since nothing of the originals may be copied.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor

CODE = Path(__file__).with_name("original_code")
LANGUAGE_MODELS = ("internlm2", "qwen2", "phi3", "llama")
SIDE, PATCH = 28, 7
VISION_WIDTH, WIDTH, FEED, LAYERS, HEADS, KV_HEADS = 64, 128, 192, 2, 4, 2
CLIP_SIDE, CLIP_PATCH = 28, 14
PINPOINTS = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]
"""(width, height)."""
CORPUS = (
    "Describe the image. How many objects are there? What colour is the top left object? Answer the question using a "
    "single word or phrase. The red circle is above the blue square. A chat between a curious human and an assistant. "
    "左上角的物体是什么颜色？请直接回答选项字母。 helpful, detailed and polite answers to the human's questions "
)
UNUSED = tuple(f"[UNUSED_TOKEN_{number}]" for number in range(4))
"""InternLM2's placeholders; two of them get new names."""
VISUAL = ("<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>")

Draw = Callable[..., Tensor]


def draw(seed: int) -> Draw:
    """Matrices of about unit gain, so that answers depend on everything; `about` gives scales near a number."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int, about: float | None = None) -> Tensor:
        noise = torch.randn(*shape, generator=generator)
        return noise * (1.2 / shape[-1] ** 0.5) if about is None else about + 0.1 * noise

    return drawn


# -- tokenizers ------------------------------------------------------------------------------------------------------
def sentencepiece_model(folder: Path, *, dummy_prefix: bool, symbols: Sequence[str] = ()) -> int:
    """Trains tokenizer.model; returns its number of pieces. symbols: pieces that are cut out of texts first."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([CORPUS] * 4), model_writer=model, model_type="bpe", vocab_size=420, byte_fallback=True,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, add_dummy_prefix=dummy_prefix, remove_extra_whitespaces=False,
        normalization_rule_name="identity", hard_vocab_limit=False, minloglevel=2, character_coverage=0.98,
        user_defined_symbols=list(symbols), num_threads=1,
    )  # fmt: skip
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    return int(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).vocab_size())


def _spm_settings(tokenizer_class: str, added: Mapping[int, str], **more: Any) -> dict[str, Any]:
    names = {0: "<unk>", 1: "<s>", 2: "</s>"} | dict(added)
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "tokenizer_class": tokenizer_class, "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>",
        "eos_token": "</s>", "unk_token": "<unk>", "model_max_length": 1024, "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {str(index): {"content": text} | flags for index, text in sorted(names.items())},
    } | more  # fmt: skip


def _internlm2_tokenizer(folder: Path) -> int:
    size = sentencepiece_model(folder, dummy_prefix=False, symbols=UNUSED)
    added = {3: "<|im_start|>", 4: "<|im_end|>"} | {size + index: text for index, text in enumerate(VISUAL)}
    auto = {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]}
    write(folder / "tokenizer_config.json", _spm_settings("InternLM2Tokenizer", added, pad_token="</s>", auto_map=auto))
    return size + len(VISUAL)


def _phi3_tokenizer(folder: Path) -> int:
    size = sentencepiece_model(folder, dummy_prefix=True)
    texts = ("<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>", *VISUAL)
    settings = _spm_settings("LlamaTokenizer", {size + index: text for index, text in enumerate(texts)}, legacy=False)
    for entry in settings["added_tokens_decoder"].values():
        entry["rstrip"] = entry["content"] in ("<|assistant|>", "<|system|>", "<|end|>", "<|user|>")
    write(folder / "tokenizer_config.json", settings | {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"})
    return size + len(texts)


def _llama_tokenizer(folder: Path, texts: tuple[str, ...], **more: Any) -> int:
    size = sentencepiece_model(folder, dummy_prefix=True)
    added = {size + index: text for index, text in enumerate(texts)}
    write(folder / "tokenizer_config.json", _spm_settings("LlamaTokenizer", added, **more))
    return size + len(texts)


def _yi_tokenizer(folder: Path, **more: Any) -> int:
    """The signs of turns are pieces of the model, and only one of them is among the added tokens."""
    size = sentencepiece_model(folder, dummy_prefix=False, symbols=("<|im_start|>", "<|im_end|>"))
    write(folder / "tokenizer_config.json", _spm_settings("LlamaTokenizer", {4: "<|im_end|>"}, **more))
    return size


def _qwen2_tokenizer(folder: Path) -> int:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([CORPUS] * 4, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    tokenizer.model.save(str(folder))
    size = tokenizer.get_vocab_size()
    texts = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *VISUAL)
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
            "model_max_length": 1024, "clean_up_tokenization_spaces": False, "bos_token": None, "unk_token": None,
            "added_tokens_decoder": {str(size + i): {"content": text} | flags for i, text in enumerate(texts)},
        },
    )  # fmt: skip
    write(folder / "added_tokens.json", {text: size + index for index, text in enumerate(texts)})
    return size + len(texts)


# -- InternVL --------------------------------------------------------------------------------------------------------
TEMPLATES = {"internlm2": "internlm2-chat", "qwen2": "Hermes-2", "phi3": "phi3-chat", "llama": "internvl2_5"}


def internvl(folder: Path, language: str, *, seed: int = 0, qk_norm: bool = False, shards: int = 2) -> Path:
    """A checkpoint of class InternVLChatModel."""
    folder.mkdir(parents=True)
    tokenizers = {
        "internlm2": _internlm2_tokenizer,
        "qwen2": _qwen2_tokenizer,
        "phi3": _phi3_tokenizer,
        "llama": lambda place: _llama_tokenizer(place, ("<|im_start|>", "<|im_end|>", *VISUAL), legacy=False),
    }
    vocabulary = tokenizers[language](folder)
    config = {
        "architectures": ["InternVLChatModel"], "model_type": "internvl_chat", "template": TEMPLATES[language],
        "auto_map": {"AutoConfig": "configuration_internvl_chat.InternVLChatConfig"},
        "torch_dtype": "float32", "select_layer": -1, "ps_version": "v2", "downsample_ratio": 0.5,
        "force_image_size": SIDE, "dynamic_image_size": True, "use_thumbnail": True, "pad2square": False,
        "min_dynamic_patch": 1, "max_dynamic_patch": 4, "use_backbone_lora": 0, "use_llm_lora": 0,
        "vision_config": _intern_vit(qk_norm), "llm_config": _llm_config(language, vocabulary),
        "tie_word_embeddings": False,
    }  # fmt: skip
    write(folder / "config.json", config)
    ends = [own["id"] for own in _added(folder) if own["content"] in ("<|im_end|>", "<|end|>")]
    write(folder / "generation_config.json", {"_from_model_config": True, "eos_token_id": ends})
    drawn = draw(seed)
    tensors = _vision(drawn, qk_norm) | _connector(drawn)
    tensors |= {f"language_model.{name}": tensor for name, tensor in _language(drawn, language, vocabulary).items()}
    save(folder, tensors, shards)
    for file in CODE.iterdir():
        if file.suffix == ".py":
            shutil.copy(file, folder)
    return folder


def _added(folder: Path) -> list[dict[str, Any]]:
    table = json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    return [entry | {"id": int(index)} for index, entry in table.items()]


def _intern_vit(qk_norm: bool) -> dict[str, Any]:
    return {
        "architectures": ["InternVisionModel"], "model_type": "intern_vit_6b", "image_size": SIDE, "patch_size": PATCH,
        "hidden_size": VISION_WIDTH, "intermediate_size": 2 * VISION_WIDTH, "num_hidden_layers": 2, "num_channels": 3,
        "num_attention_heads": 2, "hidden_act": "gelu", "qkv_bias": not qk_norm, "qk_normalization": qk_norm,
        "norm_type": "rms_norm" if qk_norm else "layer_norm", "layer_norm_eps": 1e-6, "use_flash_attn": False,
        "attention_dropout": 0.0, "dropout": 0.0, "drop_path_rate": 0.0, "initializer_factor": 1.0,
        "initializer_range": 0.02,
    }  # fmt: skip


def _llm_config(language: str, vocabulary: int) -> dict[str, Any]:
    common = {
        "vocab_size": vocabulary, "hidden_size": WIDTH, "intermediate_size": FEED, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "max_position_embeddings": 1024, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        "torch_dtype": "float32", "use_cache": True,
    }  # fmt: skip
    own: dict[str, dict[str, Any]] = {
        "internlm2": {
            "architectures": ["InternLM2ForCausalLM"], "model_type": "internlm2", "bias": False, "rope_theta": 1000000,
            "rope_scaling": {"type": "dynamic", "factor": 2.0}, "attn_implementation": "eager",
        },
        "qwen2": {
            "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rope_theta": 1000000.0,
            "sliding_window": 512, "use_sliding_window": False, "max_window_layers": 1,
        },
        "phi3": {
            "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "rope_theta": 10000.0, "sliding_window": 2048,
            "original_max_position_embeddings": 1024,
            "max_position_embeddings": 2048, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "pad_token_id": 0,
            "rope_scaling": {
                "type": "longrope",
                "short_factor": [1.0 + 0.02 * step for step in range(WIDTH // HEADS // 2)],
                "long_factor": [1.0 + 0.5 * step for step in range(WIDTH // HEADS // 2)],
            },
        },
        "llama": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_theta": 500000.0},
    }  # fmt: skip
    return common | own[language]


def _vision(drawn: Draw, qk_norm: bool) -> dict[str, Tensor]:
    width, positions = VISION_WIDTH, (SIDE // PATCH) ** 2 + 1
    tensors = {
        "embeddings.class_embedding": drawn(1, 1, width),
        "embeddings.position_embedding": drawn(1, positions, width),
        "embeddings.patch_embedding.weight": drawn(width, 3, PATCH, PATCH) / PATCH,
        "embeddings.patch_embedding.bias": drawn(width, about=0.0),
    }
    for layer in range(2):
        tensors |= {f"encoder.layers.{layer}.{name}": tensor for name, tensor in _vision_layer(drawn, qk_norm).items()}
    return {f"vision_model.{name}": tensor for name, tensor in tensors.items()}


def _vision_layer(drawn: Draw, qk_norm: bool) -> dict[str, Tensor]:
    width = VISION_WIDTH
    tensors = {
        "attn.qkv.weight": drawn(3 * width, width),
        "attn.proj.weight": drawn(width, width), "attn.proj.bias": drawn(width, about=0.0),
        "mlp.fc1.weight": drawn(2 * width, width), "mlp.fc1.bias": drawn(2 * width, about=0.0),
        "mlp.fc2.weight": drawn(width, 2 * width), "mlp.fc2.bias": drawn(width, about=0.0),
        "norm1.weight": drawn(width, about=1.0), "norm2.weight": drawn(width, about=1.0),
        "ls1": drawn(width, about=0.8), "ls2": drawn(width, about=0.6),
    }  # fmt: skip
    if qk_norm:
        return tensors | {f"attn.{part}_norm.weight": drawn(width, about=1.0) for part in "qk"}
    biases = {f"norm{number}.bias": drawn(width, about=0.0) for number in (1, 2)}
    return tensors | biases | {"attn.qkv.bias": drawn(3 * width, about=0.0)}


def _connector(drawn: Draw) -> dict[str, Tensor]:
    return {
        "mlp1.0.weight": drawn(4 * VISION_WIDTH, about=1.0), "mlp1.0.bias": drawn(4 * VISION_WIDTH, about=0.0),
        "mlp1.1.weight": drawn(WIDTH, 4 * VISION_WIDTH), "mlp1.1.bias": drawn(WIDTH, about=0.0),
        "mlp1.3.weight": drawn(WIDTH, WIDTH), "mlp1.3.bias": drawn(WIDTH, about=0.0),
    }  # fmt: skip


def _language(drawn: Draw, language: str, vocabulary: int) -> dict[str, Tensor]:
    if language == "internlm2":
        return _internlm2(drawn, vocabulary)
    head = WIDTH // HEADS
    tensors = {
        "model.embed_tokens.weight": drawn(vocabulary, WIDTH, about=0.0) * 10,
        "model.norm.weight": drawn(WIDTH, about=1.0),
        "lm_head.weight": drawn(vocabulary, WIDTH),
    }
    for layer in range(LAYERS):
        own = {
            "input_layernorm.weight": drawn(WIDTH, about=1.0),
            "post_attention_layernorm.weight": drawn(WIDTH, about=1.0),
            "self_attn.o_proj.weight": drawn(WIDTH, WIDTH),
            "mlp.down_proj.weight": drawn(WIDTH, FEED),
        }
        if language == "phi3":
            own["self_attn.qkv_proj.weight"] = drawn((HEADS + 2 * KV_HEADS) * head, WIDTH)
            own["mlp.gate_up_proj.weight"] = drawn(2 * FEED, WIDTH)
        else:
            sizes = {"q": HEADS * head, "k": KV_HEADS * head, "v": KV_HEADS * head}
            own |= {f"self_attn.{part}_proj.weight": drawn(size, WIDTH) for part, size in sizes.items()}
            own |= {f"mlp.{part}_proj.weight": drawn(FEED, WIDTH) for part in ("gate", "up")}
            if language == "qwen2":
                own |= {f"self_attn.{part}_proj.bias": drawn(size, about=0.0) for part, size in sizes.items()}
            if language == "llama":
                own["self_attn.rotary_emb.inv_freq"] = drawn(head // 2)
        tensors |= {f"model.layers.{layer}.{name}": tensor for name, tensor in own.items()}
    return tensors


def _internlm2(drawn: Draw, vocabulary: int) -> dict[str, Tensor]:
    tensors = {
        "model.tok_embeddings.weight": drawn(vocabulary, WIDTH, about=0.0) * 10,
        "model.norm.weight": drawn(WIDTH, about=1.0),
        "output.weight": drawn(vocabulary, WIDTH),
    }
    for layer in range(LAYERS):
        own = {
            "attention.wqkv.weight": drawn((HEADS + 2 * KV_HEADS) * (WIDTH // HEADS), WIDTH),
            "attention.wo.weight": drawn(WIDTH, WIDTH),
            "feed_forward.w1.weight": drawn(FEED, WIDTH), "feed_forward.w3.weight": drawn(FEED, WIDTH),
            "feed_forward.w2.weight": drawn(WIDTH, FEED),
            "attention_norm.weight": drawn(WIDTH, about=1.0), "ffn_norm.weight": drawn(WIDTH, about=1.0),
        }  # fmt: skip
        tensors |= {f"model.layers.{layer}.{name}": tensor for name, tensor in own.items()}
    return tensors


# -- LLaVA 1.6 -------------------------------------------------------------------------------------------------------
CLIP = {
    "model_type": "clip_vision_model", "hidden_size": VISION_WIDTH, "intermediate_size": 2 * VISION_WIDTH,
    "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": CLIP_SIDE, "patch_size": CLIP_PATCH,
    "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_channels": 3, "projection_dim": 32,
}  # fmt: skip


def llava(folder: Path, language: str, *, seed: int = 0, tower: bool = True) -> tuple[Path, Path]:
    """A checkpoint of LlavaLlamaForCausalLM (llama, yi) or LlavaMistralForCausalLM, and its CLIP tower's own folder."""
    folder.mkdir(parents=True)
    more = {"legacy": language == "mistral", "add_bos_token": language != "yi", "pad_token": "<unk>"}
    vocabulary = _yi_tokenizer(folder, **more) if language == "yi" else _llama_tokenizer(folder, (), **more)
    mistral = ("LlavaMistralForCausalLM", "llava_mistral")
    name, model_type = mistral if language == "mistral" else ("LlavaLlamaForCausalLM", "llava")
    config = _llm_config("llama", vocabulary) | {
        "architectures": [name], "model_type": model_type, "mm_projector_type": "mlp2x_gelu",
        "mm_patch_merge_type": "spatial_unpad", "image_aspect_ratio": "anyres", "image_grid_pinpoints": PINPOINTS,
        "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch", "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False, "mm_vision_tower": "tiny/clip", "mm_hidden_size": VISION_WIDTH,
        "use_mm_proj": True,
    }  # fmt: skip
    write(folder / "config.json", config | ({"sliding_window": None} if language == "mistral" else {}))
    write(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2})
    drawn = draw(seed)
    clip = _clip(drawn)
    tensors = _language(drawn, "plain", vocabulary) | {
        "model.mm_projector.0.weight": drawn(WIDTH, VISION_WIDTH), "model.mm_projector.0.bias": drawn(WIDTH, about=0.0),
        "model.mm_projector.2.weight": drawn(WIDTH, WIDTH), "model.mm_projector.2.bias": drawn(WIDTH, about=0.0),
        "model.image_newline": drawn(WIDTH),
    }  # fmt: skip
    if tower:
        tensors |= {f"model.vision_tower.vision_tower.{name}": tensor for name, tensor in clip.items()}
    save(folder, tensors, 2)
    place = folder.with_name(f"{folder.name}-clip")
    place.mkdir()
    write(place / "config.json", {"architectures": ["CLIPModel"], "model_type": "clip", "vision_config": CLIP})
    save(place, clip | {"logit_scale": torch.tensor(1.0), "visual_projection.weight": drawn(32, VISION_WIDTH)}, 1)
    return folder, place


def _clip(drawn: Draw) -> dict[str, Tensor]:
    width = VISION_WIDTH
    tensors = {
        "embeddings.class_embedding": drawn(width),
        "embeddings.patch_embedding.weight": drawn(width, 3, CLIP_PATCH, CLIP_PATCH) / CLIP_PATCH,
        "embeddings.position_embedding.weight": drawn((CLIP_SIDE // CLIP_PATCH) ** 2 + 1, width),
        "embeddings.position_ids": torch.arange((CLIP_SIDE // CLIP_PATCH) ** 2 + 1)[None],
    }
    for norm in (
        "pre_layrnorm",
        "post_layernorm",
        *(f"encoder.layers.{n}.layer_norm{m}" for n in range(3) for m in (1, 2)),
    ):
        tensors |= {f"{norm}.weight": drawn(width, about=1.0), f"{norm}.bias": drawn(width, about=0.0)}
    for layer in range(3):
        sizes = {f"self_attn.{part}_proj": (width, width) for part in ("q", "k", "v", "out")}
        for name, (rows, columns) in (sizes | {"mlp.fc1": (2 * width, width), "mlp.fc2": (width, 2 * width)}).items():
            place = f"encoder.layers.{layer}.{name}"
            tensors |= {f"{place}.weight": drawn(rows, columns), f"{place}.bias": drawn(rows, about=0.0)}
    return {f"vision_model.{name}": tensor for name, tensor in tensors.items()}


# -- files -----------------------------------------------------------------------------------------------------------
def save(folder: Path, tensors: Mapping[str, Tensor], shards: int) -> None:
    """As published checkpoints are: one file, or several and an index."""
    if shards == 1:
        save_file(dict(tensors), str(folder / "model.safetensors"))
        return
    names, places = sorted(tensors), {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        chosen = names[number * len(names) // shards : (number + 1) * len(names) // shards]
        save_file({name: tensors[name] for name in chosen}, str(folder / file), metadata={"format": "pt"})
        places |= dict.fromkeys(chosen, file)
    write(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})


def pickled(folder: Path) -> None:
    """Turns a checkpoint's weights into the old form."""
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    tensors = {name: tensor for file in files for name, tensor in load_file(str(file)).items()}
    torch.save(tensors, folder / "pytorch_model.bin")
    for file in [*files, *folder.glob("*.safetensors.index.json")]:
        file.unlink()


def write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
