"""The description of the service: bounds and examples that hold, and a page that needs no other host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from rag_pipelines_tests.integration.browser import opened
from rag_pipelines_tests.integration.serving import made_app, served
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def description(workspace: Workspace) -> dict[str, Any]:
    """The OpenAPI document."""
    workspace.document["serving"] = {"anonymous": {"tenant": "default"}}
    return made_app(workspace).openapi()


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from nodes(one)


def test_bounds_are_said_in_the_words_of_json_schema(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    asked = schemas["SearchRequest"]["properties"]
    assert asked["context_tokens"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 100_000}
    assert (asked["k"]["minimum"], asked["k"]["maximum"], asked["query"]["maxLength"]) == (1, 100, 2_000)
    words = {"ge", "le", "gt", "lt", "max_length", "min_length"}
    assert [one for one in nodes(schemas) if words & one.keys() and "type" in one] == []


def test_every_example_is_valid(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": description["components"],
    }
    held = 0
    for name, schema in schemas.items():
        for example in schema.get("examples", ()):
            jsonschema.validate(example, {**whole, "$ref": f"#/components/schemas/{name}"})
            held += 1
    assert held >= 9


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(description: dict[str, Any]) -> None:
    operations = [one for path in description["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)
    assert all(one["summary"] and one["description"] for one in operations)


def test_the_page_shows_every_operation_and_asks_no_other_host(
    workspace: Workspace, description: dict[str, Any]
) -> None:
    with opened() as person, served(workspace) as client:
        person.driver.get(f"{client.base_url}/docs")
        for operations in description["paths"].values():
            for operation in operations.values():
                person.wait_for_text(operation["summary"])
        complaints = person.driver.get_log("browser")
        policy = client.get("/docs").headers["content-security-policy"]
    assert complaints == []
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_the_page_can_be_switched_off(workspace: Workspace) -> None:
    workspace.document["serving"] = {"anonymous": {"tenant": "default"}, "docs": False}
    with served(workspace) as client:
        assert client.get("/docs").status_code == 404
        assert client.get("/openapi.json").status_code == 200
