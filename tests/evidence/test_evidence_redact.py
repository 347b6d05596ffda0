"""What is published holds no secret, and keeps what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.evidence import redact
from fourways.evidence.redact import MASK, redact_argv


@pytest.mark.parametrize(
    "text",
    [
        "server=http://me:SECRET@host:8000/v1",
        "https://SECRET@host/v1",
        "https://host/v1?api_key=SECRET&x=1",
        "--api-key=SECRET",
        "HF_TOKEN=SECRET",
        "Authorization: Bearer SECRET",
        "authorization: bearer SECRET.x-y",
        "Authorization: Basic SECRET",
        "my_password: SECRET",
        'api_key="SECRET SECRET"',
        '{"api_key": "SECRET"}',
        "https://host/v1?x=1&key=SECRET",
        "https://host/v1?sig=SECRET%3D&x=1",
        "client_secret=SECRET",
        "hf_SECRETSECRETSECRET",
        "sk-SECRETSECRETSECRET",
        "ghp_SECRETSECRETSECRET",
    ],
)
def test_a_secret_is_taken_out_wherever_it_stands(text: str) -> None:
    clean = redact(f"before {text} after")
    assert "SECRET" not in clean.replace(MASK, "")
    assert clean.startswith("before ") and clean.endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=32",
        "--visual-tokens native,256",
        "tokenizer.json",
        "/data/MME_Benchmark_release_version",
        "http://localhost:8000/v1",
        "zoo:qwen",
        "Qwen/Qwen2.5-VL-7B-Instruct@main",
        "name@256",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_the_home_folder_becomes_a_tilde_and_its_lookalikes_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert str(Path.home()) == "/home/ada"
    assert redact("/home/ada/models/x") == "~/models/x"
    assert redact("cannot read '/home/ada'") == "cannot read '~'"
    assert redact("/home/adam/models") == "/home/adam/models"
    assert redact("/mnt/home/ada/models") == "/mnt/home/ada/models"


def test_the_value_after_a_secret_option_goes_too() -> None:
    assert redact_argv(["fourways", "--api-key", "abc", "zoo:qwen"]) == ("fourways", "--api-key", MASK, "zoo:qwen")


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs",)), max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789.~-_", min_size=4, max_size=40))
def test_no_password_of_a_url_survives(password: str) -> None:
    assert f":{password}@" not in redact(f"http://user:{password}@host/v1")
