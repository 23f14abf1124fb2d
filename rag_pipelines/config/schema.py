"""The JSON Schema of the configuration file, for editors that complete and check while one types.

What belongs here: what pydantic's own schema cannot say, which is that the options of a source
depend on its connector. What does not: the fields.
"""

from __future__ import annotations

from typing import Any

from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.registry import connector_class, kinds


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the file; the options of each installed connector are included."""
    schema = Settings.model_json_schema()
    definitions = schema["$defs"]
    branches: list[dict[str, Any]] = []
    for kind in kinds():
        options = connector_class(kind).options_type.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= options.pop("$defs", {})
        definitions[options["title"]] = options
        branches.append(
            {
                "if": {"properties": {"connector": {"const": kind}}},
                "then": {"properties": {"options": {"$ref": f"#/$defs/{options['title']}"}}},
            }
        )
    source = definitions["SourceSettings"]
    source["properties"]["connector"] = {"enum": kinds()}
    source["allOf"] = branches
    title = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rag-pipelines configuration",
    }
    return {**schema, **title}
