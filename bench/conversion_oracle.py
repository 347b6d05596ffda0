"""Converted InternVL checkpoints against a vLLM that loads the authors' layout natively: greedy tokens, one by one.

    FOURWAYS_TEST_VLLM=…/bin/vllm python bench/conversion_oracle.py [LANGUAGE_MODEL …]

Tiny checkpoints with drawn weights (tests/hub/original_checkpoints.py), fp32, CPU. *Here*: the local engine on the
converted folder. *There*: vLLM on the folder as it was. Every reply must be the same, token by token.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from fourways.families.registry import find_family
from fourways.hub import look
from fourways.hub.convert import Options, convert

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests" / "hub"


def beside_tests(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def judge(program: str, language: str, count: int, where: Path) -> dict[str, Any]:
    """What both said of `count` requests."""
    makers, vllm = beside_tests("original_checkpoints"), beside_tests("native_vllm")
    original = makers.internvl(where / language, language)
    converted = convert(original, None, Options(), lambda *_: None).folder
    found = look(converted)
    family = find_family(found.architecture).load(found, dtype="float32", device="cpu")
    asked = vllm.requests(count)
    here = vllm.answers_here(family, asked)
    with vllm.serve(program, original, language) as url:
        there = vllm.answers_there(url, asked, family.spec.eos_token_ids)
    return {
        "language_model": language,
        "requests": count,
        "tokens": sum(map(len, here.ids)),
        "same_prompt_tokens": sum(a == b for a, b in zip(here.prompts, there.prompts, strict=True)),
        "same_replies": sum(a == b for a, b in zip(here.ids, there.ids, strict=True)),
        "different": vllm.differences(family, asked, here, there),
    }


def versions_of(program: str) -> dict[str, str]:
    """Of the packages beside the `vllm` program."""
    names = ("vllm", "torch", "transformers")
    ask = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    python = str(Path(program).with_name("python"))
    found: dict[str, str] = json.loads(subprocess.run([python, "-c", ask], capture_output=True, check=True).stdout)
    return found


def main() -> int:
    makers = beside_tests("original_checkpoints")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", nargs="*", default=makers.LANGUAGE_MODELS, metavar="LANGUAGE_MODEL")
    parser.add_argument("--requests", type=int, default=48)
    asked = parser.parse_args()
    program = os.environ["FOURWAYS_TEST_VLLM"]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    results = []
    for language in asked.languages:
        with tempfile.TemporaryDirectory() as where:
            results.append(judge(program, language, asked.requests, Path(where)))
        one = results[-1]
        print(f"{language}: {one['same_replies']} of {one['requests']} replies the same, {one['tokens']} tokens")
    record = {
        "bench": "conversion_oracle",
        "date": today,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "here": {name: version(name) for name in ("torch", "transformers")},
        "there": versions_of(program),
        "results": results,
    }
    file = HERE / "results" / f"conversion_oracle-{today}.json"
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if all(one["same_replies"] == one["requests"] for one in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
