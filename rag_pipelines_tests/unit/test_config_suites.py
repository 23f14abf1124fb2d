"""`quality.suites` of the configuration: what is wrong is named with its place and what is valid."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from rag_pipelines.config import load_config
from rag_pipelines.config.settings import Settings
from rag_pipelines.config.suites import COLUMNS, expectation_types
from rag_pipelines.errors import ConfigError


def load(tmp_path, **suites: Any) -> Settings:
    (tmp_path / "docs").mkdir(exist_ok=True)
    document = {
        "sources": {"docs": {"connector": "filesystem", "options": {"root": str(tmp_path / "docs")}}},
        "quality": {"suites": {name.replace("__", "-"): suite for name, suite in suites.items()}},
    }
    (tmp_path / "rag.yaml").write_text(yaml.safe_dump(document))
    return load_config(tmp_path / "rag.yaml", {})


def suite(*expectations: dict[str, Any], stage: str = "documents", **more: Any) -> dict[str, Any]:
    return {"stage": stage, "expectations": list(expectations), **more}


NOT_NULL = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "title"}}


def test_a_suite_blocks_and_covers_every_source_by_default(tmp_path):
    house = load(tmp_path, house=suite(NOT_NULL)).quality.suites["house"]

    assert house.covers("docs")
    assert house.expectations[0].blocking
    assert house.expectations[0].title == "column_values_to_not_be_null_title"


def test_every_type_of_the_library_is_known_without_loading_it():
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    known, loaded = set(expectation_types()), set(list_registered_expectation_implementations())
    assert known >= loaded
    assert known - loaded <= {"expect_multicolumn_values_to_be_unique"}


@pytest.mark.parametrize(
    ("suites", "said"),
    [
        (
            {"house": suite({**NOT_NULL, "type": "expect_column_values_to_not_be_nul"})},
            r"suites\.house\.expectations\.0\.type \(line \d+\): received .*; valid: a type of Great "
            r"Expectations; the closest are expect_column_values_to_not_be_null",
        ),
        (
            {"house": suite({**NOT_NULL, "kwargs": {"column": "titel"}})},
            r"expectations\.0\.kwargs\.column \(line \d+\): received 'titel'; valid: one of the columns "
            r"external_id, .*; did you mean 'title'\?",
        ),
        (
            {
                "house": suite(
                    {
                        "type": "expect_compound_columns_to_be_unique",
                        "kwargs": {"column_list": ["chunk_id", "titel"]},
                    },
                    stage="chunks",
                )
            },
            r"kwargs\.column_list \(line \d+\): received 'titel'",
        ),
        ({"house": suite(NOT_NULL, stage="pages")}, r"house\.stage .*'documents', 'chunks' or 'vectors'"),
        ({"house": suite(NOT_NULL, NOT_NULL)}, "received a second expectation .*_title'; valid: a `name`"),
        ({"house": suite(NOT_NULL, sources=["wiki"])}, r"sources\.0 .*received 'wiki'; valid: .*docs"),
        ({"house": suite()}, r"house\.expectations .*received an empty list"),
        ({"chunks": suite(NOT_NULL)}, "'chunks', which is that of a built-in suite"),
        ({"a_b": suite(NOT_NULL), "a__b": suite(NOT_NULL)}, "names that differ in more than '-' and '_'"),
        ({"house": suite({**NOT_NULL, "severity": "low"})}, r"severity .*unknown key; valid: type, kwargs"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_valid(tmp_path, suites: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, **suites)


@pytest.mark.parametrize("stage", COLUMNS)
def test_every_promised_column_may_be_named(tmp_path, stage: str):
    wanted = [{"type": "expect_column_to_exist", "kwargs": {"column": name}} for name in COLUMNS[stage]]

    assert len(load(tmp_path, all=suite(*wanted, stage=stage)).quality.suites["all"].expectations) == len(
        COLUMNS[stage]
    )
