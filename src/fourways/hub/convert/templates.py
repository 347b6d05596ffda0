"""Chat templates in Jinja, written from the conversation forms that the original repositories keep in Python.

Sources: github.com/OpenGVLab/InternVL, internvl_chat/internvl/conversation.py; github.com/haotian-liu/LLaVA,
llava/conversation.py. A system turn of the conversation takes the place of the form's own system message. `begin` is
the token that the original's tokenizer adds: servers do not add one to what a template wrote.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from fourways.core.errors import CheckpointError

IMAGE, VIDEO = "<IMG_CONTEXT>", "<video>"
_SCIENCE = (
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"
)
_UNIVERSE = (
    "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"
)
_CURIOUS = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)


@dataclass(frozen=True, slots=True)
class Form:
    """Every turn begins with its role's line and ends with `end`, whose token ends an answer."""

    system: str
    user: str
    assistant: str
    end: str
    message: str

    @property
    def stop(self) -> str:
        return self.end.strip()


def _chatml(end: str, message: str) -> Form:
    return Form("<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n", end, message)


FORMS = {
    "Hermes-2": _chatml("<|im_end|>", _SCIENCE),
    "internlm2-chat": _chatml("<|im_end|>", _SCIENCE),
    "phi3-chat": Form("<|system|>\n", "<|user|>\n", "<|assistant|>\n", "<|end|>", _SCIENCE),
    "internvl2_5": _chatml("<|im_end|>\n", _UNIVERSE),
}
"""By the name that an internvl_chat config gives as `template`."""

CHATML_DIRECT = _chatml("<|im_end|>", "Answer the questions.")
"""LLaVA 1.6 on Nous-Hermes-2-Yi."""


def find_form(name: object, message: object = None) -> Form:
    """message: the checkpoint's own system message, in place of the form's. Raises CheckpointError for a form that is
    not known."""
    if not isinstance(name, str) or name not in FORMS:
        raise CheckpointError(
            f"config.json names the conversation template {name!r}, which no rule knows",
            hint=f"known: {', '.join(FORMS)}",
        )
    if message is not None and not isinstance(message, str):
        raise CheckpointError(f"config.json: system_message is {message!r:.80}, expected a text")
    if message is None:
        return FORMS[name]
    if any("\ud800" <= sign <= "\udfff" for sign in message):
        raise CheckpointError(f"the system_message is {message!r:.80}, which is no text of whole characters")
    return replace(FORMS[name], message=message)


def turns(form: Form, begin: str, image: str, video: str | None = None) -> str:
    """A template of turns. image, video: what a picture and a clip are written as."""
    return (
        _body(image, video)
        + f"{{{{ {_text(begin)} }}}}"
        + "{% if messages[0]['role'] == 'system' %}{% set system = body(messages[0]['content']) %}"
        + f"{{% else %}}{{% set system = {_text(form.message)} %}}{{% endif %}}"
        + f"{{{{ {_text(form.system)} + system + {_text(form.end)} }}}}"
        + "{% for message in messages if message['role'] != 'system' %}"
        + f"{{% if message['role'] == 'assistant' %}}{{{{ {_text(form.assistant)} }}}}"
        + f"{{% else %}}{{{{ {_text(form.user)} }}}}{{% endif %}}"
        + f"{{{{ body(message['content']) + {_text(form.end)} }}}}"
        + "{% endfor %}"
        + f"{{% if add_generation_prompt %}}{{{{ {_text(form.assistant)} }}}}{{% endif %}}"
    )


def vicuna(begin: str, image: str) -> str:
    """LLaVA 1.6 on Vicuna."""
    return (
        _body(image, None)
        + f"{{{{ {_text(begin)} }}}}"
        + "{% if messages[0]['role'] == 'system' %}{% set system = body(messages[0]['content']) %}"
        + f"{{% else %}}{{% set system = {_text(_CURIOUS)} %}}{{% endif %}}{{{{ system + ' ' }}}}"
        + "{% for message in messages if message['role'] != 'system' %}{% if message['role'] == 'assistant' %}"
        + "{{ 'ASSISTANT: ' + body(message['content']) + eos_token }}"
        + "{% else %}{{ 'USER: ' + body(message['content']) + ' ' }}{% endif %}{% endfor %}"
        + "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    )


def mistral(begin: str, image: str) -> str:
    """LLaVA 1.6 on Mistral: no system message of its own; a system turn stands inside the first question."""
    return (
        _body(image, None)
        + f"{{{{ {_text(begin)} }}}}"
        + "{% set told = namespace(system='') %}"
        + "{% for message in messages %}{% if message['role'] == 'system' %}"
        + "{% set told.system = '<<SYS>>\\n' + body(message['content']) + '\\n<</SYS>>\\n\\n' %}"
        + "{% elif message['role'] == 'assistant' %}{{ ' ' + body(message['content']) + ' ' + eos_token }}"
        + "{% else %}{{ '[INST] ' + told.system + body(message['content']) + ' [/INST]' }}"
        + "{% set told.system = '' %}{% endif %}{% endfor %}"
    )


def _body(image: str, video: str | None) -> str:
    clip = f"{{% elif part['type'] == 'video' %}}{{{{ {_text(video)} }}}}" if video is not None else ""
    return (
        "{% macro body(content) %}{% if content is string %}{{ content }}{% else %}{% for part in content %}"
        + f"{{% if part['type'] == 'image' %}}{{{{ {_text(image)} }}}}{clip}"
        + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{% endmacro %}"
    )


def _text(text: str) -> str:
    """As a string of the template's language; control tokens and line ends inside."""
    return json.dumps(text, ensure_ascii=False)
