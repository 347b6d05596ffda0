"""Words become candidates, and a wrong word or field is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourways import zoo
from fourways.compare import Defaults, parse_budgets, parse_candidates
from fourways.core.candidate import Candidate, Sampling
from fourways.core.errors import UserError

DEFAULTS = Defaults()


def one(word: str) -> Candidate:
    (candidate,) = parse_candidates([word], DEFAULTS)
    return candidate


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("word", "name", "model", "url"),
    [
        ("zoo:qwen", "qwen", "zoo:qwen", None),
        ("llava", "llava", "llava", None),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", None),
        ("Qwen/Qwen2.5-VL-7B-Instruct@main", "Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct@main", None),
        ("./models/mine/", "mine", "./models/mine/", None),
        ("a=zoo:qwen", "a", "zoo:qwen", None),
        ("vllm=http://host:8000/v1", "vllm", None, "http://host:8000/v1"),
        ("http://127.0.0.1:8000/v1", "127.0.0.1_8000", None, "http://127.0.0.1:8000/v1"),
        ("https://me:secret@host.org/v1", "host.org", None, "https://me:secret@host.org/v1"),
        ("http://[::1]:80/v1", "__1_80", None, "http://[::1]:80/v1"),
        ("key=https://host/v1?a=b", "key", None, "https://host/v1?a=b"),
    ],
)
def test_a_word_is_a_model_or_a_server(word: str, name: str, model: str | None, url: str | None) -> None:
    candidate = one(word)
    assert (candidate.name, candidate.model, candidate.url) == (name, model, url)


def test_zoo_is_all_embedded_models() -> None:
    assert [c.model for c in parse_candidates(["zoo"], DEFAULTS)] == [f"zoo:{name}" for name in zoo.NAMES]


def test_options_hold_for_every_model(elsewhere: Path) -> None:
    found = parse_candidates(["zoo:qwen", "zoo:llava"], Defaults("cuda", "bfloat16", "random"))
    assert {(c.device, c.dtype, c.weights) for c in found} == {("cuda", "bfloat16", "random")}


def test_budgets_multiply_candidates_and_name_them_apart() -> None:
    found = parse_candidates(["zoo:qwen", "zoo:llava"], DEFAULTS, parse_budgets("native,256,1024"))
    assert [(c.name, c.visual_budget) for c in found[:3]] == [
        ("qwen@native", None), ("qwen@256", 256), ("qwen@1024", 1024),
    ]  # fmt: skip
    assert len(found) == 6
    assert [c.name for c in parse_candidates(["zoo:qwen"], DEFAULTS, parse_budgets("256"))] == ["qwen@256"]


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "native,native", "256,,1024", "1.5"])
def test_a_budget_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--visual-tokens"):
        parse_budgets(text)


def test_two_candidates_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="two candidates are called 'qwen'"):
        parse_candidates(["zoo:qwen", "./other/qwen"], DEFAULTS)


@pytest.mark.parametrize("word", ["http://", "http://host:80000/v1", "name="])
def test_a_word_that_lacks_half_is_refused_with_an_example(word: str) -> None:
    with pytest.raises(UserError) as caught:
        one(word)
    assert caught.value.hint


def test_a_file_says_everything_of_its_candidates(elsewhere: Path) -> None:
    (elsewhere / "c.yaml").write_text(
        """
candidates:
  - name: small
    model: zoo:qwen
    dtype: bfloat16
    quantization: int8
    adapter: ./adapter
    visual_budget: 256
    threads: 2
    sampling: {temperature: 0.7, top_p: 0.9}
  - {name: served, url: "http://host/v1", served_model: q, dialect: qwen2.5-vl, api_key_env: MY_KEY,
     server_log: logs/vllm.log, box_format: {space: seen_pixels, syntax: json_bbox_2d}}
"""
    )
    small, served = parse_candidates(["c.yaml"], Defaults(device="cuda"))
    assert (small.dtype, small.quantization, small.visual_budget, small.threads) == ("bfloat16", "int8", 256, 2)
    assert small.sampling == Sampling(temperature=0.7, top_p=0.9)
    assert small.device == "cuda"
    assert (served.url, served.served_model, served.dialect, served.model) == (
        "http://host/v1",
        "q",
        "qwen2.5-vl",
        None,
    )
    assert (small.server_log, served.server_log) == (None, "logs/vllm.log")
    assert served.box_format is not None and served.box_format.space == "seen_pixels"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {model: zoo:qwen, dtype: float8}", "c.yaml, candidate 1: dtype: Invalid enum value 'float8'"),
        ("- {model: zoo:qwen}\n- {model: zoo:llava, visul_budget: 4}", "candidate 2: .*visul_budget"),
        ("- {model: zoo:qwen, threads: 0}", "candidate 1: threads: Expected `int` >= 1"),
        ("- {model: zoo:qwen, sampling: {top_p: 2}}", r"candidate 1: sampling\.top_p: "),
        ("- {name: x}", "exactly one of model and url"),
        ("- {name: x, model: a, url: 'http://b'}", "exactly one of model and url"),
        ("- {name: x, url: host:8000}", "url must start with http"),
        ("- {url: 'http://b'}", "name must be"),
        ("- {name: 'a b', model: zoo:qwen}", "name must be"),
        ("- {name: x, url: 'http://b', quantization: int4}", "the server's own choice"),
        ("- {model: zoo:qwen, server_log: a.log}", "server_log is for a server"),
        ("- 3", "candidate 1: Expected `object`"),
        ("{}", "holds no candidates"),
        ("[]", "holds no candidates"),
        ("- {model: zoo:qwen}\na: [", "is not YAML: line 2, column 1: "),
        ("a: [", "is not YAML: line 1, column 5: "),
    ],
)
def test_a_wrong_file_names_the_candidate_and_the_field(elsewhere: Path, text: str, said: str) -> None:
    (elsewhere / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        parse_candidates(["c.yaml"], DEFAULTS)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("- {model: zoo:qwen, sampling: {top_q: 1}}", "the fields of sampling are temperature, top_p, top_k"),
        ("- {model: zoo:qwen, box_format: {space: moon}}", "the fields of box_format are space, syntax"),
        ("- {model: zoo:qwen, threads: 0}", "its fields are name, model"),
    ],
)
def test_the_hint_lists_the_fields_of_what_is_wrong(elsewhere: Path, text: str, hint: str) -> None:
    (elsewhere / "c.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        parse_candidates(["c.yaml"], DEFAULTS)
    assert caught.value.hint is not None and caught.value.hint.startswith(hint)


def test_a_file_that_is_not_there_is_named(elsewhere: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.yaml cannot be read"):
        one("nothing.yaml")


def test_yaml_cannot_make_objects(elsewhere: Path) -> None:
    (elsewhere / "c.yaml").write_text("!!python/object/apply:os.system ['touch made']")
    with pytest.raises(UserError, match="is not YAML"):
        one("c.yaml")
    assert not (elsewhere / "made").exists()
