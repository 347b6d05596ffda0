"""The published schemas are the types', and accept what the types write."""

from __future__ import annotations

import json

import jsonschema
import pytest

from fourways.core.rows import ROWS_SCHEMA, FailureRow, RowsHeader
from fourways.evidence import load_schema
from fourways.evidence.schemas import PublishedFile, generate

FILES: tuple[PublishedFile, ...] = ("check", "model", "run", "rows", "state", "statement", "summary")


@pytest.mark.parametrize("name", FILES)
def test_a_published_schema_is_what_the_types_say_now(name: PublishedFile) -> None:
    shipped = json.dumps(load_schema(name), sort_keys=True)
    assert shipped == json.dumps(json.loads(generate(name)), sort_keys=True), (
        "a type has changed: run `python -m fourways.evidence.schemas`"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_published_schema_is_a_valid_schema(name: PublishedFile) -> None:
    jsonschema.Draft202012Validator.check_schema(load_schema(name))


def test_a_row_with_a_missing_field_does_not_pass() -> None:
    import msgspec

    validator = jsonschema.Draft202012Validator(load_schema("rows"))
    for good in (RowsHeader(ROWS_SCHEMA, "r", None, None, None), FailureRow("q", "memory", "axis", "", "no")):
        whole = json.loads(msgspec.json.encode(good))
        validator.validate(whole)
        key = "run_id" if isinstance(good, RowsHeader) else "message"
        with pytest.raises(jsonschema.ValidationError):
            validator.validate({k: v for k, v in whole.items() if k != key})
