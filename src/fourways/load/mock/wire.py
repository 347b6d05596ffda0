"""The OpenAI chat API with vLLM's extra fields: what is read of a request, and what a reply looks like."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fourways.load.mock.settings import CONTEXT

_TEXT = (
    "the of and a in to is was it for on with he be at by this had not are but from or have an they which one you "
    "were her all she there would their we him been has when who will more no if out so said what up its about into "
    "than them can only other new some could time these two may then do first any"
)
WORDS = tuple(_TEXT.split())
"""What a reply is made of, in this order, over and over: token k of every reply is WORDS[k % len(WORDS)]."""
END_ID = 2
_MOST_STOPS, _LONGEST_STOP = 16, 256
_FIRST_ID = 1000

Bill = tuple[int, dict[str, int]]
"""Prompt tokens, and those of them that are visual, by modality."""


class BadRequest(Exception):
    """The request cannot be answered. status and kind: as vLLM gives them."""

    def __init__(self, message: str, *, status: int = 400, kind: str = "BadRequestError", param: str | None = None):
        super().__init__(message)
        self.message, self.status, self.kind, self.param = message, status, kind, param

    def body(self) -> bytes:
        return error_body(self.message, self.kind, self.status, self.param)


class Url(msgspec.Struct):
    url: str


class Part(msgspec.Struct):
    type: str = "text"
    text: str = ""
    image_url: Url | str | None = None
    video_url: Url | str | None = None


class Message(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False


class Chat(msgspec.Struct):
    """A request's body. Fields that change nothing here (temperature, top_p, …) are not read."""

    messages: list[Message]
    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    min_tokens: int | None = 0
    ignore_eos: bool | None = False
    stop: str | list[str] | None = None
    logprobs: bool | None = False
    return_token_ids: bool | None = False
    n: int | None = 1


_READER = msgspec.json.Decoder(Chat)


def read_chat(body: bytes, names: tuple[str, ...]) -> Chat:
    """names: the served ones; a request without a name means the first. Raises BadRequest."""
    try:
        chat = _READER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body cannot be read: {error}") from None
    if not chat.messages:
        raise BadRequest("messages is empty", param="messages")
    if chat.model is not None and chat.model not in names:
        raise BadRequest(f"The model `{chat.model}` does not exist.", status=404, kind="NotFoundError", param="model")
    stops = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    if len(stops) > _MOST_STOPS or any(len(one) > _LONGEST_STOP for one in stops):
        raise BadRequest(f"stop: at most {_MOST_STOPS} strings of {_LONGEST_STOP} characters", param="stop")
    if chat.n not in (None, 1):
        raise BadRequest("n must be 1: this server gives one choice", param="n")
    for name, least, value in (
        ("max_completion_tokens", 1, chat.max_completion_tokens),
        ("max_tokens", 1, chat.max_tokens),
        ("min_tokens", 0, chat.min_tokens),
    ):
        if value is not None and value < least:
            raise BadRequest(f"{name} must be at least {least}, got {value}.", param=name)
    chat.model = chat.model or names[0]
    return chat


@dataclass(frozen=True, slots=True)
class Length:
    """tokens: that become text. ended: the reply ends by itself, with an end token that is billed as vLLM bills it and
    takes no time of its own. stop_reason: the stop string that was met."""

    tokens: int
    ended: bool
    stop_reason: str | None = None

    @property
    def billed(self) -> int:
        return self.tokens + (self.ended and self.stop_reason is None)


def length_of(chat: Chat, natural: int, prompt_tokens: int) -> Length:
    """How long the reply is, where the model by itself would say `natural` tokens. Raises BadRequest beyond the
    context."""
    most = chat.max_completion_tokens if chat.max_completion_tokens is not None else chat.max_tokens
    least = chat.min_tokens or 0
    if most is not None and least > most:
        raise BadRequest(f"min_tokens must be at most max_tokens={most}, got {least}.", param="min_tokens")
    wanted = max(natural, least) if not chat.ignore_eos or most is None else most
    tokens = wanted if most is None else min(wanted, most)
    if prompt_tokens + tokens > CONTEXT:
        raise BadRequest(
            f"This model's maximum context length is {CONTEXT} tokens; {tokens} were asked for after a prompt of "
            f"{prompt_tokens}.",
            param="max_tokens",
        )
    by_itself = not chat.ignore_eos and (most is None or tokens < most)
    return _stopped(chat.stop, Length(tokens, by_itself), least)


def _stopped(stop: str | list[str] | None, length: Length, least: int) -> Length:
    """The reply up to the token that completes a stop string, which is kept whole with its token."""
    stops = [stop] if isinstance(stop, str) else stop or []
    if not any(stops):
        return length
    reach, text = max(map(len, stops)), ""
    for k in range(length.tokens):
        text = text[-reach:] + word(k)
        met = next((one for one in stops if one and one in text), None)
        if met is not None and k + 1 >= least:
            return Length(k + 1, True, met)
    return length


def word(k: int) -> str:
    """Token k of any reply."""
    return WORDS[k % len(WORDS)] if k == 0 else " " + WORDS[k % len(WORDS)]


class Spelling:
    """Writes one reply."""

    __slots__ = ("chat", "created", "length", "number", "prompt_tokens", "start", "visual")

    def __init__(self, chat: Chat, length: Length, number: int, created: int, bill: Bill) -> None:
        """number: of the request. created: seconds since 1970."""
        self.chat, self.length, self.number, self.created = chat, length, number, created
        self.prompt_tokens, self.visual = bill
        self.start = self._start("chat.completion.chunk")

    def events(self, k: int) -> bytes:
        """The server-sent events of token k: the role goes before the first, usage and the end after the last."""
        last = k == self.length.tokens - 1
        options = self.chat.stream_options
        always = options is not None and options.include_usage and options.continuous_usage_stats
        usage = b',"usage":' + self.usage(k + 1) if always else b""
        said = b'"delta":{"content":"' + word(k).encode() + b'"}' + self._details(k, k + 1)
        token = self._event(said + self._finish(last), usage)
        if k == 0:
            token = self._event(b'"delta":{"role":"assistant","content":""}' + self._finish(False), usage) + token
        if not last:
            return token
        if options is not None and options.include_usage:
            token += b"data: " + self.start + b'"choices":[],"usage":' + self.usage(self.length.billed) + b"}\n\n"
        return token + b"data: [DONE]\n\n"

    def whole(self) -> bytes:
        """The body of a reply that is not streamed."""
        text = msgspec.json.encode("".join(word(k) for k in range(self.length.tokens)))
        message = b'"message":{"role":"assistant","content":' + text + b"}"
        choice = b'{"index":0,' + message + self._details(0, self.length.tokens) + self._finish(True) + b"}"
        return (
            self._start("chat.completion")
            + b'"choices":['
            + choice
            + b'],"usage":'
            + self.usage(self.length.billed)
            + b"}"
        )

    def usage(self, billed: int) -> bytes:
        """In vLLM's form: `prompt_tokens_details.multimodal_tokens` by modality, where there is any."""
        total = self.prompt_tokens + billed
        text = f'{{"prompt_tokens":{self.prompt_tokens},"total_tokens":{total},"completion_tokens":{billed}'
        if self.visual:
            text += ',"prompt_tokens_details":{"cached_tokens":0,"multimodal_tokens":'
            text += msgspec.json.encode(self.visual).decode() + "}"
        return text.encode() + b"}"

    def _start(self, kind: str) -> bytes:
        name = msgspec.json.encode(self.chat.model).decode()
        start = f'{{"id":"chatcmpl-{self.number}","object":"{kind}","created":{self.created},"model":{name},'
        return start.encode()

    def _event(self, choice: bytes, usage: bytes) -> bytes:
        return b"data: " + self.start + b'"choices":[{"index":0,' + choice + b"}]" + usage + b"}\n\n"

    def _finish(self, last: bool) -> bytes:
        if not last:
            return b',"finish_reason":null'
        reason = "stop" if self.length.ended else "length"
        return f',"finish_reason":"{reason}","stop_reason":'.encode() + msgspec.json.encode(self.length.stop_reason)

    def _details(self, start: int, end: int) -> bytes:
        """Log-probabilities and ids of the tokens [start, end), where they were asked for."""
        if not self.chat.logprobs and not self.chat.return_token_ids:
            return b',"logprobs":null'
        ids = [_FIRST_ID + k % len(WORDS) for k in range(start, end)]
        texts = [word(k) for k in range(start, end)]
        if end == self.length.tokens and self.length.billed > self.length.tokens:
            ids.append(END_ID)
            texts.append("")
        entries = [
            {"token": text, "logprob": _logprob(id), "bytes": list(text.encode()), "top_logprobs": []}
            for id, text in zip(ids, texts, strict=True)
        ]
        scores = msgspec.json.encode({"content": entries} if self.chat.logprobs else None)
        listed = b',"token_ids":' + msgspec.json.encode(ids) if self.chat.return_token_ids else b""
        return b',"logprobs":' + scores + listed


def _logprob(id: int) -> float:
    return -(1 + id % 8) / 8


def error_body(message: str, kind: str, status: int, param: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": status}})


def models_body(names: tuple[str, ...], created: int) -> bytes:
    """Adapters name the model as their parent, as vLLM lists them."""
    listed = [
        {"id": name, "object": "model", "created": created, "owned_by": "fourways", "root": name,
         "parent": names[0] if place else None, "max_model_len": CONTEXT}
        for place, name in enumerate(names)
    ]  # fmt: skip
    return msgspec.json.encode({"object": "list", "data": listed})
