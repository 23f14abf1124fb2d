"""What is stored outlives the code: every form that ever shipped is read, and none changes unnoticed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rag_pipelines.config.settings import LexicalSettings, VectorSettings
from rag_pipelines.embedding.base import ModelIdentity
from rag_pipelines.errors import RagError, StoredFormError, UsageError
from rag_pipelines.evaluation.scoring import Violation
from rag_pipelines.evaluation.store import EVALUATION_RUN
from rag_pipelines.fingerprint import fingerprint, lasting
from rag_pipelines.index.spec import STORAGE_SPEC, LexicalSpec, VectorSpec
from rag_pipelines.model import Block, BlockKind, ParsedDocument
from rag_pipelines.parsing.stored import PARSED_DOCUMENT, decode_parsed, encode_parsed
from rag_pipelines.stored import FORMAT, Form
from rag_pipelines.sync.report import RUN_REPORT
from rag_pipelines_tests.stored_samples import (
    SAMPLES,
    all_forms,
    folder_of,
    number_of,
    samples_of,
    written_now,
)

FORMS = all_forms()
EVERY_KIND = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)

DUE = "run `python -m tools.stored_samples` and look at what it added; see the README of samples/stored"


@EVERY_KIND
def test_every_form_of_every_kind_has_a_sample(form: Form[Any]) -> None:
    numbers = {number_of(sample.path)[0] for sample in samples_of(form)}
    assert numbers == set(range(1, form.number + 1)), DUE


@EVERY_KIND
def test_every_sample_can_be_read(form: Form[Any]) -> None:
    for sample in samples_of(form):
        assert sample.value.get(FORMAT, 1) == number_of(sample.path)[0], sample.path
        form.decode(sample.value)


@EVERY_KIND
def test_the_newest_sample_is_what_would_be_written_now(form: Form[Any]) -> None:
    if form is PARSED_DOCUMENT:
        pytest.skip("its bytes are compared below")
    newest = samples_of(form)[-1]
    assert written_now(form, newest) == newest.value, DUE


@EVERY_KIND
def test_the_newest_sample_shows_every_field_of_every_struct(form: Form[Any]) -> None:
    seen = _structs_in(form.decode(samples_of(form)[-1].value))
    assert _structs_of(msgspec.inspect.type_info(form.type)) <= seen


@EVERY_KIND
def test_what_a_newer_release_stored_is_refused_with_both_numbers(form: Form[Any]) -> None:
    newer = form.number + 1
    with pytest.raises(
        StoredFormError, match=f"form {newer}.*up to {form.number}.*use that release"
    ) as refused:
        form.decode({**samples_of(form)[-1].value, FORMAT: newer})
    assert form.kind in str(refused.value)


@EVERY_KIND
def test_fields_that_are_not_known_are_passed_over(form: Form[Any]) -> None:
    if form.type == dict[str, Any]:
        pytest.skip("notes hold what they hold")
    stored = samples_of(form)[-1].value
    assert form.decode({**stored, "of a later release": 1}) == form.decode(stored)


def test_no_samples_lie_about_of_kinds_that_are_gone() -> None:
    folders = {path for path in SAMPLES.iterdir() if path.is_dir()}
    assert folders == {folder_of(form) for form in FORMS}


def test_a_number_that_is_none_and_a_value_that_does_not_fit_are_refused() -> None:
    with pytest.raises(StoredFormError, match="the stored run report names 'two' as its form"):
        RUN_REPORT.decode({FORMAT: "two", "source": "wiki"})
    with pytest.raises(StoredFormError, match=r"the stored run report cannot be read: .*missing.*source"):
        RUN_REPORT.decode({})


def test_parsed_documents_have_the_bytes_they_had() -> None:
    oldest, newest = (sample.path.read_bytes() for sample in samples_of(PARSED_DOCUMENT))
    assert PARSED_DOCUMENT.number == 1
    assert [encode_parsed(decode_parsed(one)) for one in (oldest, newest)] == [oldest, newest]
    assert all(block.links == () for block in decode_parsed(oldest).blocks)


def test_a_parsed_document_of_a_newer_form_is_refused_and_damage_is_told_from_it() -> None:
    document = ParsedDocument("text/plain", "", ())
    newer = {**msgspec.to_builtins(document), FORMAT: PARSED_DOCUMENT.number + 1}
    with pytest.raises(StoredFormError, match="a newer release stored it"):
        decode_parsed(msgspec.msgpack.encode(newer))
    with pytest.raises(RagError, match="damaged"):
        decode_parsed(b"\xc1 nonsense")


def test_a_stored_parsed_document_with_fields_of_later_is_read() -> None:
    block = Block(BlockKind.PARAGRAPH, 0, 4)
    stored = msgspec.to_builtins(ParsedDocument("text/plain", "text", (block,)))
    later = {**stored, "blocks": [[*stored["blocks"][0], "later"]], "later": [1]}
    assert decode_parsed(msgspec.msgpack.encode(later)).blocks == (block,)


def test_violations_that_were_sentences_are_values_again() -> None:
    first = next(one for one in samples_of(EVALUATION_RUN) if one.path.name == "1.json")
    assert [answer["violations"] for answer in first.value["answers"]] == [
        ["private/pay.md at rank 2 (access)"],
        [],
    ]
    read = EVALUATION_RUN.decode(first.value).answers
    assert [answer.violations for answer in read] == [(Violation("private/pay.md", 2, "access"),), ()]


def test_settings_that_are_retired_or_renamed_leave_a_version_readable() -> None:
    for sample in samples_of(STORAGE_SPEC):
        index = {**sample.value["index"], "retired_setting": 1, "vector": {"type": "vector", "gone": True}}
        spec = STORAGE_SPEC.decode({**sample.value, "index": index})
        assert spec.index.vector == VectorSpec("vector")
        assert spec.sources == tuple(sample.value["sources"])


def test_versions_of_the_first_form_name_their_model_by_its_fingerprint() -> None:
    for sample in samples_of(STORAGE_SPEC):
        identity = msgspec.convert(sample.value["model"], ModelIdentity)
        assert STORAGE_SPEC.decode(sample.value).model_fingerprint == identity.fingerprint


def test_every_setting_that_tables_depend_on_is_in_what_is_stored_with_them() -> None:
    assert set(LexicalSpec.__struct_fields__) == set(LexicalSettings.model_fields)
    asked_by_searches = {"ef_search"}
    assert set(VectorSpec.__struct_fields__) == set(VectorSettings.model_fields) - asked_by_searches


def test_a_field_that_is_added_with_a_default_changes_no_stored_fingerprint() -> None:
    class Later(ModelIdentity, frozen=True):
        pooling: str = "mean"

    before = ModelIdentity("hash", "sha512", "1", 32, "numpy", "fp32", 256, document_prompt="passage: ")
    values = msgspec.structs.asdict(before)
    del values["adapter"]  # the first release did not have it
    assert before.fingerprint == fingerprint(values) == Later(**values).fingerprint
    assert Later(**values, pooling="cls").fingerprint != before.fingerprint
    assert lasting(Later(**values), frozenset()) == {
        name: value for name, value in values.items() if name != "query_prompt"
    }


def test_a_cursor_that_cannot_be_read_has_everything_listed() -> None:
    from rag_pipelines.connectors.base import read_cursor
    from rag_pipelines.connectors.git import CURSOR

    with pytest.raises(UsageError, match="the stored cursor of git is of form 9"):
        read_cursor({FORMAT: 9, "commit": "x"}, CURSOR)
    with pytest.raises(UsageError, match="the stored cursor of git cannot be read"):
        read_cursor({"commit": 1}, CURSOR)


def _structs_in(value: Any) -> set[type]:
    """The types of every struct in a value."""
    if isinstance(value, msgspec.Struct):
        return {type(value)}.union(*map(_structs_in, msgspec.structs.asdict(value).values()))
    if isinstance(value, dict):
        return set().union(*map(_structs_in, value.values()))
    return set().union(*map(_structs_in, value)) if isinstance(value, (list, tuple)) else set()


def _structs_of(info: Any) -> set[type]:
    """The types of every struct that a type can hold."""
    found: set[type] = set()
    if isinstance(info, msgspec.inspect.StructType):
        found = {info.cls}.union(*(_structs_of(field.type) for field in info.fields))
    for name in ("types", "item_types"):
        found |= set().union(*map(_structs_of, getattr(info, name, ())))
    for name in ("item_type", "value_type"):
        found |= _structs_of(getattr(info, name)) if hasattr(info, name) else set()
    return found
