"""A real vLLM that loads InternVL in its authors' layout, and its greedy answers beside the local engine's.

vLLM has the model's code itself; only the configuration and InternLM2's tokenizer come from the folder's Python files.
Prompts are written by the conversation forms as the authors' own `chat` does, not by the converted template.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch

from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation, Image, Text, Turn
from fourways.core.engine import Engine
from fourways.core.events import Done
from fourways.core.request import Generate, Plan, Request
from fourways.engines import LocalEngine
from fourways.engines.openai import open_openai_engine
from fourways.families.contract import Family
from fourways.media import read_image
from fourways.zoo import distinct_scenes

SETTINGS = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}
SCIENCE = "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"
UNIVERSE = "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"
CHATML = ("<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n")
PHI3 = ("<|system|>\n", "<|user|>\n", "<|assistant|>\n")
FORMS = {
    "internlm2": (*CHATML, "<|im_end|>", SCIENCE),
    "qwen2": (*CHATML, "<|im_end|>", SCIENCE),
    "phi3": (*PHI3, "<|end|>", SCIENCE),
    "llama": (*CHATML, "<|im_end|>\n", UNIVERSE),
}
QUESTIONS = (
    "Describe the image.",
    "How many objects are there? Answer the question using a single word or phrase.",
    "左上角的物体是什么颜色？请直接回答选项字母。",
    "What colour is the top left object?  <b>Think</b>\nfirst.",
)


@dataclass(frozen=True)
class Answers:
    """Of all requests, in order: token ids, text, prompt tokens."""

    ids: list[list[int]]
    texts: list[str]
    prompts: list[int]


def chat_template(language: str) -> str:
    """For text content, `<image>` and a line end before the question where vLLM puts them."""
    system, user, assistant, end, message = map(repr, FORMS[language])
    begin = "" if language == "qwen2" else "<s>"  # vLLM adds none to what a template wrote
    role = f"{{% if m['role'] == 'user' %}}{{{{ {user} }}}}{{% else %}}{{{{ {assistant} }}}}{{% endif %}}"
    turns = f"{{% for m in messages %}}{role}{{{{ m['content'] + {end} }}}}{{% endfor %}}"
    return f"{begin}{{{{ {system} + {message} + {end} }}}}{turns}{{{{ {assistant} }}}}"


@contextlib.contextmanager
def serve(program: str, folder: Path, language: str, seconds: float = 600) -> Iterator[str]:
    """The address of a vLLM that has loaded the folder. Its log lies beside the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    template, log = folder.with_name(f"{folder.name}.jinja"), folder.with_name(f"{folder.name}.log")
    template.write_text(chat_template(language), encoding="utf-8")
    command = [
        program, "serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--served-model-name", "original",
        "--max-model-len", "1024", "--dtype", "float32", "--max-num-seqs", "8", "--enforce-eager",
        "--trust-remote-code", "--chat-template", str(template), "--chat-template-content-format", "string",
    ]  # fmt: skip
    modules = {"HF_MODULES_CACHE": str(folder.with_name("modules"))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=log.parent, env={**os.environ, **SETTINGS, **modules},
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait(process, f"http://127.0.0.1:{port}", log, seconds)
        yield f"http://127.0.0.1:{port}"
    finally:
        # Its engine runs in a child; all of them are in the session that was started for it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise RuntimeError(f"vLLM ended: {log.read_text(errors='replace')[-3000:]}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=2, trust_env=False).status_code == 200:
                return
        time.sleep(1)
    raise RuntimeError(f"vLLM was not ready after {seconds:g} s: {log.read_text(errors='replace')[-3000:]}")


def requests(count: int) -> list[Request]:
    """Texts alone, one picture, and a history with pictures in it; pictures of several sizes and shapes."""
    images = [read_image(source, name=f"scene {index}") for index, source in enumerate(distinct_scenes(count, seed=5))]
    made = []
    for index, image in enumerate(images):
        question = QUESTIONS[index % len(QUESTIONS)]
        conversation = Conversation.ask(question, image)
        if index % 6 == 4:
            conversation = Conversation((Turn("user", (Text(question),)),))
        if index % 6 == 5:
            conversation = _history(images[index - 1], image, question)
        made.append(Request(f"q{index}", conversation, Plan("c"), Generate(24)))
    return made


def _history(first: Image, second: Image, question: str) -> Conversation:
    return Conversation(
        (
            Turn("user", (first, Text("What is this?"))),
            Turn("assistant", (Text("A picture of shapes."),)),
            Turn("user", (second, Text(question))),
        )
    )


def answers_here(family: Family, asked: Sequence[Request]) -> Answers:
    return asyncio.run(_all(LocalEngine(family, threads=1), asked))


def answers_there(url: str, asked: Sequence[Request], ends: Sequence[int]) -> Answers:
    """Without the token that ended a reply, which vLLM hands out where generation_config.json alone names it."""

    async def ask() -> Answers:
        return await _all(await open_openai_engine(Candidate("original", url=url)), asked)

    found = asyncio.run(ask())
    ids = [reply[:-1] if reply and reply[-1] in ends else reply for reply in found.ids]
    return Answers(ids, found.texts, found.prompts)


def gap(family: Family, request: Request, before: Sequence[int]) -> float:
    """Between the two best logits after `before` of the reply, by one plain pass over everything."""
    with torch.inference_mode():
        layout = family.layout(request.conversation)
        visuals = [
            family.assemble(plan, family.encode(family.preprocess(visual)))
            for plan, visual in zip(layout.visuals, request.conversation.visuals, strict=True)
        ]
        prompt = family.embed(layout, visuals).embeds
        embeds = torch.cat([prompt, family.embed_tokens(torch.tensor(list(before), dtype=torch.long))])[None]
        length = embeds.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        hidden = family.forward(embeds, torch.arange(length)[None, None], mask, None)
        best = family.logits(hidden[0, -1:])[0].topk(2).values
    return float(best[0] - best[1])


def differences(family: Family, asked: Sequence[Request], here: Answers, there: Answers) -> list[dict[str, Any]]:
    """Of each reply that is not the same: where it parts, and how far apart the two best logits are there."""
    found = []
    for number, (request, mine, theirs) in enumerate(zip(asked, here.ids, there.ids, strict=True)):
        if mine != theirs:
            pairs = enumerate(zip(mine, theirs, strict=False))
            at = next((index for index, (one, other) in pairs if one != other), min(len(mine), len(theirs)))
            apart = gap(family, request, mine[:at])
            found.append({"request": number, "token": at, "logits_apart": apart, "here": mine, "there": theirs})
    return found


async def _all(engine: Engine, asked: Sequence[Request]) -> Answers:
    try:
        found = await asyncio.gather(*(_one(engine, request) for request in asked))
    finally:
        await engine.close()
    return Answers(*(list(column) for column in zip(*found, strict=True)))


async def _one(engine: Engine, request: Request) -> tuple[list[int], str, int]:
    ids: list[int] = []
    text = ""
    async for item in engine.stream(request):
        if isinstance(item, Done):
            if item.error is not None:
                raise RuntimeError(f"{request.id}: {item.error}")
            return ids, text, item.usage.prompt_tokens
        ids.extend(item.token_ids or ())
        text += item.text
    raise RuntimeError(f"{request.id}: the stream ended without Done")
