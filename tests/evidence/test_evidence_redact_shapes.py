"""Secrets in every shape that people, programs and servers write them in are taken out; ordinary text stays."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.evidence import redact
from fourways.evidence.redact import MASK, redact_argv

_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
VALUES = st.text(alphabet=_LETTERS, min_size=4, max_size=24).map(lambda end: f"Zq7{end}")
ODD_VALUES = st.text(alphabet=_LETTERS + "!$%*+,./;<>?@^_~#()[]{}|=:-", min_size=2, max_size=24).map(
    lambda middle: f"Zq7{middle}q9"
)
NAMES = st.sampled_from(
    [
        "api_key", "api-key", "apikey", "API_KEY", "X-Api-Key", "HF_TOKEN", "hf.token", "access_token", "refresh_token",
        "token", "password", "passwd", "PGPASSWORD", "client_secret", "AWS_SECRET_ACCESS_KEY", "private_key",
        "AccountKey", "passphrase", "OPENAI_KEY", "GITHUB_PAT", "Ocp-Apim-Subscription-Key", "credentials",
        "X-Auth-Token", "session_id", "authorization", "SLACK_WEBHOOK", "db.password", "x_token_value",
        "DB_PASS", "smtp_pass", "key-pass",
    ]
)  # fmt: skip
SHAPES = st.sampled_from(
    [
        "{n}={v}", "{n}: {v}", "{n}:{v}", "{n} = {v}", '{n}="{v}"', "{n}='{v}'", '{{"{n}": "{v}"}}', "{{'{n}': '{v}'}}",
        "export {n}={v}", "--{n} {v}", "--{n}={v}", "-H '{n}: {v}'", '-H "{n}: {v}"', "https://host/v1?x=1&{n}={v}&y=2",
        "{n}=Bearer {v}", "{n}: Token {v}", "{n} => {v}", "{n}:={v}", "os.environ['{n}'] = '{v}'", 'h["{n}"]="{v}"',
        '{{\\"{n}\\": \\"{v}\\"}}', '{n}="{v}', "{n}='{v}", "({n}={v})", "<{n}={v}>", "[{n}: {v}]", "?{n}%3D{v}",
    ]
)  # fmt: skip


@given(NAMES, SHAPES, VALUES)
@settings(max_examples=400, deadline=None)
def test_a_value_behind_a_secret_name_never_survives(name: str, shape: str, value: str) -> None:
    text = f"before {shape.format(n=name, v=value)} after"
    clean = redact(text)
    assert value not in clean, clean
    assert clean.startswith("before ")
    assert redact(clean) == clean


@given(NAMES, ODD_VALUES)
@settings(max_examples=300, deadline=None)
def test_no_part_of_an_argument_named_like_a_secret_survives(name: str, value: str) -> None:
    after = redact_argv(["fourways", f"--{name}={value}", f"--{name}", value, "zoo:qwen"])
    assert after[1].partition("=")[2] == MASK
    assert after[3] == MASK
    assert after[4] == "zoo:qwen"


@pytest.mark.parametrize("text", ["--pass Zq7x1", "--pwd=Zq7x1", "--pass 'Zq7x1'"])
def test_an_option_that_is_called_pass_hides_its_value(text: str) -> None:
    assert "Zq7x1" not in redact(text)
    assert "Zq7x1" not in " ".join(redact_argv(text.split()))


@given(NAMES, st.text(max_size=30), st.sampled_from([None, 1]))
@settings(max_examples=200, deadline=None)
def test_a_secret_in_json_does_not_survive_whatever_it_holds(name: str, middle: str, indent: int | None) -> None:
    value = f"Zq7x{middle}Zq7y"
    clean = redact(json.dumps({"a": 1, name: value, "b": [2]}, indent=indent))
    assert "Zq7x" not in clean
    assert "Zq7y" not in clean
    twice = redact(json.dumps(json.dumps({name: "Zq7plainvalue"})))
    assert "Zq7plainvalue" not in twice


@given(st.sampled_from(["http", "postgresql+psycopg", "s3", "redis"]), ODD_VALUES)
@settings(max_examples=300, deadline=None)
def test_a_password_in_a_url_does_not_survive_even_if_it_was_not_quoted(scheme: str, password: str) -> None:
    clean = redact(f"cannot reach {scheme}://ada:{password}@host.example:8000/v1 now")
    assert clean == f"cannot reach {scheme}://{MASK}@host.example:8000/v1 now"


KNOWN = [
    "hf_{}", "sk-{}", "sk-ant-api03-{}", "sk-proj-{}", "ghp_{}", "github_pat_{}", "glpat-{}", "xoxb-123-{}", "nvapi-{}",
    "gsk_{}", "npm_{}", "pypi-{}", "dckr_pat_{}", "sk_live_{}", "hvs.{}", "ya29.{}", "r8_{}", "AKIA{}", "LTAI{}",
    "eyJhbGciOiJIUzI1NiJ9.{}.{}", "AGE-SECRET-KEY-1{}", "SG.{}.{}",
]  # fmt: skip


@given(
    st.sampled_from(KNOWN),
    st.text(alphabet="ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", min_size=20, max_size=40),
    st.sampled_from(
        ["{}", "'{}'", "({})", "/path/{}", "x={}", "a,{},b", "Incorrect key: {}.", "\u201c{}\u201d", "_{}"]
    ),
)
@settings(max_examples=300, deadline=None)
def test_tokens_of_known_makers_do_not_survive_anywhere(form: str, body: str, around: str) -> None:
    clean = redact(around.format(form.format(body, body)))
    assert body not in clean


@pytest.mark.parametrize(
    "text",
    [
        'Authorization: Digest username="ada", nonce="Zq7n", response="Zq7r"',
        "Authorization: AWS4-HMAC-SHA256 Credential=Zq7a/x, SignedHeaders=host, Signature=Zq7b",
        "Cookie: a=Zq7a; sid=Zq7b",
        "Set-Cookie: sid=Zq7a; Path=/; HttpOnly",
        "https://bucket/x?X-Amz-Signature=Zq7a&X-Amz-Credential=Zq7b",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nZq7a\nZq7b\n-----END OPENSSH PRIVATE KEY-----\nafter",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nZq7a\ncut off",
        "password=Zq7a,Zq7b",
        'api_key="Zq7a\\"Zq7b"',
        'api_key="Zq7a Zq7b',
        'api_keys: ["Zq7a", "Zq7b"]',
        '{"api_keys": [\n  "Zq7a",\n  "Zq7b"\n]}',
        "tokens_by_user_secret={'ada': 'Zq7a'}",
        "password=Zq7a\"Zq7b'Zq7c",
        "{'x-api-key': b'Zq7a'}",
        "openai.key: Zq7a or openai_key=Zq7b",
        "password:\n  Zq7a",
        "Bearer: Zq7a",
    ],
)
def test_credentials_that_are_lists_or_blocks_go_whole(text: str) -> None:
    assert "Zq7" not in redact(text)


def test_a_key_that_a_server_quotes_is_known_by_the_variable_that_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVER_API_KEY", "plain0looking1key2")
    monkeypatch.setenv("MY_TOKEN_MODE", "filesystem")
    assert redact("no such key plain0looking1key2 here") == f"no such key {MASK} here"
    assert redact("a filesystem") == "a filesystem"


@pytest.mark.parametrize(
    "text",
    [
        "image_token_id=151655, eos_token: <|im_end|>, pad_token_id: 0",
        "time_per_output_token: 12 ms; first token: 80 ms; wrong image token: 5",
        "tokens: 812, max_new_tokens=64",
        "tokenizer_class: Qwen2Tokenizer",
        "first_token=12 next_token=13",
        "api_key_env: OPENAI_API_KEY",
        "give --api-key or set OPENAI_API_KEY",
        "first pass: 12 ms, forward_pass=3, bypass: 1, --passes 4, pass_rate=0.9, keypass",
        "the key is sorted; key=mme, signature: good, primary_key: 7, cache_key=abc, public_key=ed25519:11",
        '{"stop_token_ids": [151645, 151643], "special_tokens": ["<image>"], "tokens": [1, 2]}',
        "no secrets here, and the password is not asked",
        "https://huggingface.co/Qwen/Qwen2.5-VL-3B-Instruct/resolve/main/config.json",
        "http://127.0.0.1:8000/v1/models/llava@main",
        "git@github.com:org/repo.git",
        "nvidia-smi -i 0 -pl 700",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "hf_hub, sk-learn, msgspec 0.22.0, pypi-server",
        "Spectre v2: Mitigation: Retpolines; STIBP: disabled",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


def test_the_home_folder_goes_in_all_its_spellings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    for text in (
        "-I/home/ada/x",
        "see (/home/ada)",
        "in /home/ada.",
        "file:///home/ada/x",
        "a%2Fhome%2Fada%2Fx",
        "{/home/ada}",
    ):
        assert "ada" not in redact(text), text
    assert redact("/home/ada-2/x /home/ada.bak /srv/home/ada") == "/home/ada-2/x /home/ada.bak /srv/home/ada"


def test_a_user_without_a_home_can_still_write_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert redact("/home/ada and api_key=x") == f"/home/ada and api_key={MASK}"


@pytest.mark.parametrize("piece", ["token", "a", "api_key", "://a:b", '"', "--token ", "\\", "cookie", "eos_token_"])
def test_a_strangers_long_text_is_read_in_no_time(piece: str) -> None:
    start = time.monotonic()
    redact((piece * 20_000)[:60_000])
    assert time.monotonic() - start < 5
