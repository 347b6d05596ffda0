"""Takes out of text what a published run must not say: tokens, keys, passwords, URL credentials, the home folder.

Contract: when in doubt, out. What stands behind a name that says "secret", in any of the ways in which people and
programs write such pairs, does not survive; neither do tokens of well-known makers, wherever they stand, nor the values
of this process's own secret variables. A token of a model's vocabulary is no secret, nor is a number of tokens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

MASK = "[redacted]"

_KEY_KINDS = "api|access|private|secret|signing|account|storage|encryption|subscription|client|shared|master|service"
_OWNERS = (
    "openai|anthropic|azure|aws|google|hf|huggingface|wandb|ngc|groq|mistral|cohere|deepseek|dashscope|modelscope|server"
    "|admin|licen[cs]e"
)
_SECRET_WORD = (
    rf"(?:{_KEY_KINDS}|{_OWNERS})[-_. ]?key|token(?!s|iz)|secret|passw(?:or)?d|passphrase|passcode|authorization"
    r"|credential|cookie|session[-_]?id|webhook|jwt(?![a-z])"
    r"|(?:db|database|key|store|user|admin|root|mail|smtp|ssh|proxy|redis|mysql|pg)[-_.]?pass(?![a-z])"
)
_VOCABULARY = (
    "eos|bos|pad|unk|image|img|video|audio|visual|vision|mask|cls|sep|stop|start|end|begin|chat|text|special|first|last"
    "|next|per|input|output|generated|boi|eoi|think|tool|prompt|placeholder|added|draft|vocab"
)
_BEFORE_TOKEN = ("image", "video", "audio", "visual", "eos", "bos", "pad", "unk", "special", "stop", "first", "output")
_NAME = r"[\w.-]{0,100}"
"""A part of a name; bounded, so that a long text of a stranger is read in linear time."""
_NO_SECRET = (
    rf"(?:{_NAME}[._-])?(?:{_VOCABULARY})_?token(?:[-_](?:ids?|index|type|str|count))?"
    rf"|{_NAME}token[-_](?:ids?|index|type_ids?|type|count|budget|limit|length|logprobs?|accuracy|usage|per_\w{{1,40}})"
    rf"|{_NAME}(?:api_key_env|token_env)"
    rf"|(?:{'|'.join(f'(?<={word} )' for word in _BEFORE_TOKEN)})token"
)
"""Names with "token" in them that a model or its measurements have, and names of the variable that holds a key."""
_UPPER_NAME = r"(?-i:-{0,2}[A-Z][A-Z0-9_]{0,100}_(?:KEY|PAT|PASS|PWD|AUTH))"
_SHORT_OPTION = r"(?:--|(?<=--))(?:pass|pwd)(?![\w-])"
"""Words that say "secret" only as the whole name of an option: a first pass takes 12 ms."""
_SECRET_NAME = rf"(?!(?:{_NO_SECRET})(?![\w.-]))(?:{_NAME}(?:{_SECRET_WORD}){_NAME}|{_UPPER_NAME}|{_SHORT_OPTION})"

_QUOTED = r"""\\+"(?:(?!\\+")[^\n])*(?:\\+"|$)|"(?:\\.|[^"\\\n])*(?:"|\\?$)|'(?:\\.|[^'\\\n])*(?:'|\\?$)"""
"""A quotation, one that is quoted itself (JSON in JSON), or one that was cut off before its end."""
_SCHEME = r"(?:bearer|basic|token|api-?key|key|negotiate|digest|hmac|aws4-hmac-sha256|signature|splunk)\s+"
_MASKED = r"""\[redacted\](?=[\s\])}>,;&'"]|$)"""
_LISTED = r"\[[^\]]*(?:\]|\Z)|\{[^}]*(?:\}|\Z)"
_BARE = r"""(?:[^\s&'"]|['"](?=[\w!$%*+/]))+"""
"""Up to a blank; a quotation mark ends it where a word does not go on behind it."""
_VALUE = rf"""(?:{_SCHEME})?(?:{_MASKED}|{_LISTED}|{_QUOTED}|{_BARE})"""
_ASSIGNED = re.compile(rf"""(?im)(?P<name>(?<![\w.-]){_SECRET_NAME}\\*["'\]]*\s*(?:=>|:=|%3D|[=:])\s*){_VALUE}""")
_WHOLE_HEADER = re.compile(
    r"(?im)(?P<name>\bauthorization\s*[=:]\s*(?:digest|aws4-hmac-sha256|hmac|signature|oauth)\s)"
    r"[^\n'\"]*(?:\"[^\"\n]*\"[^\n'\"]*)*"
)
"""Schemes whose credentials are a list."""
_COOKIES = re.compile(r"(?im)(?P<name>\b(?:set-)?cookie\s*:\s*)[^\n'\"]+")
_OPTION = re.compile(
    rf"""(?im)(?P<name>(?<!\S)--?{_SECRET_NAME}\s+)(?![a-z]+[.,;:!?)]?(?:\s|$))(?:{_MASKED}|{_QUOTED}|[^\s'"-][^\s'"]*)"""
)
"""In running text: `--api-key x7`; a plain lower-case word behind it is a sentence that goes on."""
_SHORT_NAMES = re.compile(r"(?i)(?P<name>[?&](?:key|sig|[\w-]{0,40}signature|auth|code|pass|pwd)=)[^\s&'\"]+")
"""Names that say "secret" only in the query of a URL."""
_BEARER = re.compile(r"(?i)\b(?P<name>bearer[\s:=]+)[\w.~+/=-]+")
_URL = r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]{0,30}://)"
_USERINFO = re.compile(rf"{_URL}[^/\s?#]*@")
_ODD_USERINFO = re.compile(rf"{_URL}[^/\s?#:@\[]+:(?!\d{{1,5}}(?:[/?#\s,;]|$))[^\s\"']{{0,1000}}@")
"""A password that should have been quoted: it holds `/`, `?` or `#` and ends at the last `@`. A port is no password."""
_PEM_LINE = r"-----{} [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----"
_PEM = re.compile(rf"{_PEM_LINE.format('BEGIN')}.*?(?:{_PEM_LINE.format('END')}|\Z)", re.DOTALL)
_KNOWN_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{8,}|api_org_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,}|[rsp]k_(?:live|test)_\w{8,}"
    r"|gh[pousr]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|gl(?:pat|dt|rt|ptt|soat|cbt)-[\w.-]{8,}|xox[abeprs]-[\w-]{8,}"
    r"|xapp-[\w-]{8,}|nvapi-[\w-]{8,}|gsk_[A-Za-z0-9]{8,}|xai-\w{16,}|pplx-\w{16,}|r8_\w{16,}|AIza[\w-]{30,}"
    r"|ya29\.[\w-]{8,}|A[KS]IA[A-Z0-9]{12,}|LTAI[A-Za-z0-9]{12,}|npm_\w{16,}|pypi-[\w-]{16,}|dckr_pat_[\w-]{8,}"
    r"|dop_v1_\w{16,}|dapi[0-9a-f]{24,}|hv[bs]\.[\w-]{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|lsv2_\w{8,}"
    r"|ms-[0-9a-f]{8}-[0-9a-f-]{20,}|AGE-SECRET-KEY-1\w{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.?[\w-]*)"
)
_SECRET_OPTION = re.compile(rf"(?i)^--?{_SECRET_NAME}$")
_SECRET_ARGUMENT = re.compile(rf"(?is)^(?P<name>(?:--?)?{_SECRET_NAME}=).+")
_SECRET_VARIABLE = re.compile(rf"(?i)^{_SECRET_NAME}$")
_WORTH_HIDING = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[^\s/]{8,}")
"""Of a variable's value: what could be an ordinary word, or is a path, is not taken out of other texts."""


def redact(text: str) -> str:
    """The text without secrets: `user:password@` of a URL, values named like a secret, well-known token shapes, private
    keys, the values of secret variables; the home folder becomes `~`. What is left may be published."""
    text = _PEM.sub(MASK, text)
    text = _USERINFO.sub(rf"\g<scheme>{MASK}@", _ODD_USERINFO.sub(rf"\g<scheme>{MASK}@", text))
    for pattern in (_WHOLE_HEADER, _COOKIES, _ASSIGNED, _OPTION, _SHORT_NAMES, _BEARER):
        text = pattern.sub(rf"\g<name>{MASK}", text)
    text = _KNOWN_TOKEN.sub(MASK, text)
    for value in _own_secrets():
        text = text.replace(value, MASK)
    return _without_home(text)


def redact_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """A command line, redacted; the value that follows an option named like a secret (`--api-key X`) goes too, and all
    of an argument `--api-key=X`."""
    clean: list[str] = []
    secret_follows = False
    for argument in argv:
        whole = _SECRET_ARGUMENT.sub(rf"\g<name>{MASK}", argument)
        clean.append(MASK if secret_follows else redact(whole))
        secret_follows = bool(_SECRET_OPTION.match(argument))
    return tuple(clean)


def _own_secrets() -> Iterator[str]:
    """Values of this process's variables whose names say "secret": a server's error may quote the key that it got."""
    for name, value in os.environ.items():
        if _names_a_secret(name) and _WORTH_HIDING.fullmatch(value):
            yield value


@lru_cache(maxsize=4096)
def _names_a_secret(name: str) -> bool:
    return bool(_SECRET_VARIABLE.match(name))


def _without_home(text: str) -> str:
    for home in _homes():
        before, after = r"(?:(?<![\w.~-])|(?<=\s-[A-Za-z])|(?<=^-[A-Za-z]))", r"(?![\w-]|\.\w)"
        text = re.sub(rf"{before}{re.escape(home)}{after}", "~", text)
        text = re.sub(rf"(?i){re.escape(quote(home, safe=''))}(?![\w-]|\.\w)", "~", text)
    return text


def _homes() -> Iterator[str]:
    """The home folder by its name and, behind links, by its place; none where the user has none."""
    try:
        home = Path.home()
    except RuntimeError:
        return
    for path in dict.fromkeys((str(home), os.path.realpath(home))):
        if path != "/":
            yield path
