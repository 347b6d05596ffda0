"""Tiny checkpoints of the real architectures with random weights, written as complete Hugging Face folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from fourways.core.candidate import Checkpoint
from fourways.families.contract import Family
from fourways.families.registry import find_family

QWEN_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
                 "<|video_pad|>", "<|box_start|>", "<|box_end|>")  # fmt: skip
INTERNVL_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>",
                     "<ref>", "</ref>")  # fmt: skip
LLAVA_SPECIALS = ("<unk>", "<s>", "</s>", "<image>", "<pad>")

QWEN_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INTERNVL_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif content['type'] == 'video' %}{{ '<video>\n' }}"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ '<<SYS>>\n' + message['content'][0]['text'] + '\n<</SYS>>\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ content['text'] | trim + ' [/INST]' }}{% endfor %}"
    "{% else %}{{ ' ' + message['content'][0]['text'] + '</s> ' }}{% endif %}{% endfor %}"
)


def byte_tokenizer(specials: tuple[str, ...], **roles: str) -> PreTrainedTokenizerFast:
    """Byte-level, with a few merges so that neighbouring texts really merge."""
    vocabulary = {piece: index for index, piece in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("t", "h"), ("th", "e"), ("Ċ", "Ċ"), ("Ġ", "the"), ("Ġ", "a"), ("e", "r"), ("i", "n")]
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in specials])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


def metaspace_tokenizer(specials: tuple[str, ...], **roles: str) -> PreTrainedTokenizerFast:
    """Like Llama's: a space before the first word only, bytes where a character is unknown."""
    letters = ["▁", *(chr(c) for c in range(33, 127)), "\n"]
    vocabulary = {token: index for index, token in enumerate([*specials[:3], *(f"<0x{b:02X}>" for b in range(256))])}
    for letter in letters:
        vocabulary.setdefault(letter, len(vocabulary))
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "a"), ("i", "n")]
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token=specials[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in specials])
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


def _write(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, template: str, preprocessor: dict
) -> Checkpoint:
    torch.manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 or "newline" in name:
                parameter.normal_(0, 0.12)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(template)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return open_checkpoint(folder)


def open_checkpoint(folder: Path, *, random_weights: bool = False) -> Checkpoint:
    config = json.loads((folder / "config.json").read_text())
    return Checkpoint(folder, config["architectures"][0], config, {}, random_weights)


_QWEN_TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
                  "num_key_value_heads": 2, "max_position_embeddings": 4096}  # fmt: skip


def _qwen_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    names = {"image": "<|image_pad|>", "video": "<|video_pad|>", "vision_start": "<|vision_start|>",
             "vision_end": "<|vision_end|>"}  # fmt: skip
    return {f"{key}_token_id": tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}


def _qwen_preprocessor(factor: int, patch: int) -> dict:
    return {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": patch, "merge_size": 2,
            "temporal_patch_size": 2, "size": {"shortest_edge": 4 * factor**2, "longest_edge": 64 * factor**2},
            "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}  # fmt: skip


def qwen2_vl(folder: Path) -> Checkpoint:
    tokenizer = byte_tokenizer(QWEN_SPECIALS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    config = Qwen2VLConfig(
        text_config=dict(_QWEN_TEXT, vocab_size=len(tokenizer), rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}),
        vision_config={"depth": 3, "embed_dim": 32,
                        "num_heads": 2, "mlp_ratio": 2, "hidden_size": 32, "patch_size": 14},
        **_qwen_ids(tokenizer),
    )  # fmt: skip
    return _write(folder, Qwen2VLForConditionalGeneration(config), tokenizer, QWEN_TEMPLATE, _qwen_preprocessor(28, 14))


def qwen2_5_vl(folder: Path) -> Checkpoint:
    tokenizer = byte_tokenizer(QWEN_SPECIALS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    config = Qwen2_5_VLConfig(
        text_config=dict(_QWEN_TEXT, vocab_size=len(tokenizer), rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}),
        vision_config={"depth": 3, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 32,
                           "patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1], "tokens_per_second": 4},
        **_qwen_ids(tokenizer),
    )  # fmt: skip
    return _write(
        folder, Qwen2_5_VLForConditionalGeneration(config), tokenizer, QWEN_TEMPLATE, _qwen_preprocessor(28, 14)
    )


def qwen3_vl(folder: Path) -> Checkpoint:
    tokenizer = byte_tokenizer(QWEN_SPECIALS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    config = Qwen3VLConfig(
        text_config=dict(_QWEN_TEXT, vocab_size=len(tokenizer), head_dim=16, rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3], "mrope_interleaved": True}),
        vision_config={"depth": 3, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 32,
                           "patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]},
        **_qwen_ids(tokenizer),
    )  # fmt: skip
    return _write(folder, Qwen3VLForConditionalGeneration(config), tokenizer, QWEN_TEMPLATE, _qwen_preprocessor(32, 16))


def llava_next(folder: Path) -> Checkpoint:
    tokenizer = metaspace_tokenizer(LLAVA_SPECIALS, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    pinpoints = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]
    config = LlavaNextConfig(
        text_config=LlamaConfig(**dict(_QWEN_TEXT, vocab_size=len(tokenizer))),
        vision_config=CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, image_size=56,
            patch_size=14, projection_dim=32),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
        image_seq_length=16,
    )  # fmt: skip
    preprocessor = {"image_processor_type": "LlavaNextImageProcessor", "size": {"shortest_edge": 56},
                    "crop_size": {"height": 56, "width": 56}, "image_grid_pinpoints": pinpoints}  # fmt: skip
    return _write(folder, LlavaNextForConditionalGeneration(config), tokenizer, MISTRAL_TEMPLATE, preprocessor)


def internvl(folder: Path) -> Checkpoint:
    tokenizer = byte_tokenizer(INTERNVL_SPECIALS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    config = InternVLConfig(
        text_config=Qwen2Config(**dict(_QWEN_TEXT, vocab_size=len(tokenizer))),
        vision_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2,
                           "image_size": [56, 56], "patch_size": [14, 14]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )  # fmt: skip
    preprocessor = {"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 56, "width": 56},
                    "min_patches": 1, "max_patches": 6, "crop_to_patches": False}  # fmt: skip
    return _write(folder, InternVLForConditionalGeneration(config), tokenizer, INTERNVL_TEMPLATE, preprocessor)


BUILDERS = {"qwen2": qwen2_vl, "qwen2_5": qwen2_5_vl, "qwen3": qwen3_vl, "llava": llava_next, "internvl": internvl}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """One tiny checkpoint of each architecture, by a short name."""
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in BUILDERS.items()}


@pytest.fixture(scope="session")
def families(checkpoints: dict[str, Checkpoint]) -> dict[str, Family]:
    """The same, loaded in float32."""
    return {
        name: find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu")
        for name, checkpoint in checkpoints.items()
    }
