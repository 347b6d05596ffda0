"""The loop that evaluation kits run: one sample at a time through transformers' processor and `generate`.

For each sample it decodes the image's bytes, runs the image processor, writes the prompt with the chat template,
expands the placeholders as the family's Hugging Face processor does, generates greedily and decodes the reply.
Nothing is shared between samples. It uses no code of Fourways.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer, LlavaNextProcessor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil


class PlainLoop:
    """A checkpoint folder (Qwen2.5-VL, LLaVA-NeXT or InternVL), in fp32 on the CPU."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self._prepare = {
            "qwen2_5_vl": self._qwen,
            "llava_next": self._llava,
            "internvl": self._internvl,
        }[self.model.config.model_type]
        self._processor: Any = {
            "qwen2_5_vl": Qwen2VLImageProcessorPil,
            "llava_next": LlavaNextProcessor,
            "internvl": GotOcr2ImageProcessorPil,
        }[self.model.config.model_type].from_pretrained(folder)

    def answer(
        self, image: bytes, question: str, max_new_tokens: int, *, ignore_eos: bool = False
    ) -> tuple[list[int], str]:
        """Token ids of the reply (without its end) and its text. ignore_eos: go on to the last of max_new_tokens."""
        picture = Image.open(io.BytesIO(image)).convert("RGB")
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        inputs = self._prepare(picture, text)
        prompt = inputs["input_ids"].shape[1]
        kept = {"eos_token_id": -1} if ignore_eos else {}
        out = self.model.generate(**inputs, do_sample=False, max_new_tokens=max_new_tokens, **kept)
        reply = out[0, prompt:].tolist()
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        if reply and reply[-1] in ends and not ignore_eos:
            reply = reply[:-1]
        return reply, self.tokenizer.decode(reply, skip_special_tokens=True)

    def _qwen(self, picture: Image.Image, text: str) -> dict[str, Any]:
        seen = self._processor(images=picture, return_tensors="pt")
        count = int(seen["image_grid_thw"].prod()) // self._processor.merge_size**2
        inputs = self.tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * count), return_tensors="pt")
        types = (inputs["input_ids"] == self.model.config.image_token_id).long()
        return {**inputs, **seen, "mm_token_type_ids": types}

    def _llava(self, picture: Image.Image, text: str) -> dict[str, Any]:
        return dict(self._processor(images=picture, text=text, return_tensors="pt"))

    def _internvl(self, picture: Image.Image, text: str) -> dict[str, Any]:
        seen = self._processor(images=picture, return_tensors="pt")
        count = self.model.config.image_seq_length * len(seen["pixel_values"])
        text = text.replace("<IMG_CONTEXT>", "<img>" + "<IMG_CONTEXT>" * count + "</img>")
        return {**self.tokenizer(text, return_tensors="pt"), "pixel_values": seen["pixel_values"]}
