"""Makes the clients of the HTTP service from its description.

    python -m tools.build_clients            write rag_pipelines/client/models.py
    python -m tools.build_clients --check    fail when it is not what would be written
    python -m tools.build_clients --javascript FOLDER
                                             write the JavaScript client with its types (needs npx)

What the service checks is left out of the types: it says what is valid better than a type can.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.serving.app import create_app
from rag_pipelines.store.database import Database

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "rag_pipelines" / "client" / "models.py"
JAVASCRIPT = ROOT / "rag_pipelines" / "client" / "javascript"

TYPES = "openapi-typescript@7.13.0"
"""MIT; makes TypeScript's types of a description."""

CHECKED = frozenset(
    (
        *("title", "examples", "pattern", "maxLength", "minLength", "maximum", "minimum", "maxItems"),
        *("minItems", "maxProperties", "propertyNames"),
    )
)
"""Words of a description that the service checks."""


def describe() -> dict[str, Any]:
    """The description of a service with the bounds that it has by default."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rag.yaml"
        source = {"connector": "filesystem", "options": {"root": folder}, "access": "public"}
        embedding = {"embedding": {"default": {"provider": "hash"}}}
        document = {
            "data_dir": folder,
            "profiles": embedding,
            "sources": {"docs": source},
            "indexes": {"main": {"sources": ["docs"]}},
            "serving": {"anonymous": {"tenant": "default"}},
        }
        file.write_text(yaml.safe_dump(document))
        settings = load_config(file)
        return create_app(settings, Database("postgresql://"), Embedders(settings.data_dir)).openapi()


def simplify(value: Any, *, names: bool = False) -> Any:
    """A description without what the service checks; where `names`, keys are names and none goes."""
    if isinstance(value, dict):
        if _is_plain(value):
            return {}
        checked = CHECKED if "discriminator" in value else CHECKED | {"oneOf"}
        kept = value if names else {key: one for key, one in value.items() if key not in checked}
        if "$ref" in kept and not names:
            kept = {"$ref": kept["$ref"]}  # its default is what the service takes it for
        if "patternProperties" in kept and not names:
            kept = {**kept, "additionalProperties": True}
            del kept["patternProperties"]
        return {key: simplify(one, names=key == "properties" and not names) for key, one in kept.items()}
    return [simplify(one) for one in value] if isinstance(value, list) else value


def _is_plain(value: dict[str, Any]) -> bool:
    """Whether it is any value of metadata, for which there is no type but `Any`."""
    kinds = {one.get("type") for one in value.get("anyOf", ()) if isinstance(one, dict)}
    return {"string", "number", "boolean", "null", "array"} <= kinds


def models() -> str:
    """The text of the Python client's models."""
    from datamodel_code_generator import DataModelType, InputFileType, LiteralType, PythonVersion, generate

    document = simplify(describe())
    document["components"]["schemas"].pop("JsonValue", None)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "models.py"
        generate(
            json.dumps(document),
            input_file_type=InputFileType.OpenAPI,
            output=made,
            output_model_type=DataModelType.PydanticV2BaseModel,
            target_python_version=PythonVersion.PY_311,
            use_schema_description=True,
            use_field_description=True,
            use_standard_collections=True,
            use_union_operator=True,
            enum_field_as_literal=LiteralType.All,
            strict_nullable=True,
            use_annotated=True,
            collapse_root_models=True,
            disable_timestamp=True,
            formatters=[],
            custom_file_header=HEADER,
        )
        subprocess.run([_ruff(), "format", "--quiet", "--line-length=110", made], check=True)
        subprocess.run([_ruff(), "check", "--quiet", "--fix", "--select=I,UP,F", made], check=True)
        return made.read_text(encoding="utf-8")


HEADER = '''"""What the service takes and answers, written from its description by `tools.build_clients`.

What belongs here: nothing that is written by hand. What does not: asking the service (`client`).
"""
'''


def write_javascript(folder: Path) -> None:
    """The JavaScript client as a package of npm, with types; raises `CalledProcessError` without npx."""
    shutil.copytree(JAVASCRIPT, folder, dirs_exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        description = Path(temporary) / "openapi.json"
        description.write_text(json.dumps(describe()), encoding="utf-8")
        command = ["npx", "--yes", TYPES, str(description), "--default-non-nullable=false"]
        command += ["--output", str(folder / "schema.d.ts")]
        subprocess.run(command, check=True, capture_output=True)


def _ruff() -> str:
    return str(Path(sys.executable).with_name("ruff"))


def main(arguments: list[str]) -> int:
    """Write or check; the exit status."""
    if arguments[:1] == ["--javascript"]:
        write_javascript(Path(arguments[1]))
        print(f"wrote {arguments[1]}")
        return 0
    made = models()
    if arguments != ["--check"]:
        MODELS.write_text(made, encoding="utf-8")
        print(f"wrote {MODELS}")
        return 0
    if MODELS.read_text(encoding="utf-8") == made:
        return 0
    print(f"{MODELS} is not what the service says; write it anew: python -m tools.build_clients")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
