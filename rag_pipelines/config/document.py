"""Reading one YAML file: values, the line of each, and ``${NAME}`` and ``${STORE:PLACE}`` references.

What belongs here: syntax. What does not: meaning (`settings`) and wording (`problems`).

YAML is read with the core schema of YAML 1.2, so that ``on``, ``no``, ``12:30`` and dates stay text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import yaml

from rag_pipelines.errors import ConfigError
from rag_pipelines.secrets import references as secrets

Path = tuple[str | int, ...]
"""A place in the file: keys of mappings and positions in lists."""

_REFERENCE = re.compile(
    r"\$(?:\$|\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<store>[a-z][a-z0-9-]*):(?!-)(?P<place>[^}]+?))"
    r"(?::-(?P<default>[^}]*))?\}|(?P<bad>\{[^}]*\}?))"
)
CONFIG_DIR = "CONFIG_DIR"
"""The reference that stands for the folder of the file; never a secret."""

_ABSENT = object()
_QUOTED = re.compile(r"'[^'<][^']*'")


@dataclass
class Document:
    """A file that could be read: plain values, and what is needed to speak about them.

    `lines` counts from 1. `references` holds the text as written of every value that has a
    reference, and `environment` the values that were put in, by their names; both serve to keep secrets
    out of messages.
    """

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    references: dict[Path, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[Path, str]] = field(default_factory=list)


def read_document(text: str, env: Mapping[str, str], name: str) -> Document:
    """Read YAML `text`; `name` is what messages call the file.

    Raises:
        ConfigError: the text is not YAML, or its top is not a mapping. Duplicate keys and missing
            variables are collected in `Document.problems` instead, beside the problems found later.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(problems=[f"{name}: {_syntax_problem(error, text)}"]) from None
    except RecursionError:
        raise ConfigError(problems=[f"{name}: it is nested too deeply to be a configuration"]) from None
    if node is None:
        return Document()
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise ConfigError(
            problems=[
                f"{name} (line 1): received {kind}; valid: a mapping with keys such as sources and indexes"
            ]
        )
    reader = _NodeReader(env)
    reader.document.data = reader.read(node, ())
    return reader.document


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """Composes nodes with the scalar types of YAML 1.2 only."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", [*"~nN", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]{1,18}$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?$", list("-+.0123456789")),
    ("merge", r"^<<$", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


class _NodeReader:
    """Turns composed nodes into plain values, keeping lines, references and problems."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.document = Document()
        self._open: set[int] = set()

    def read(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self.document.problems.append(
                (path, "received an alias to itself; valid: an alias to another value")
            )
            return None
        self._open.add(id(node))
        try:
            return (
                self._list(node, path) if isinstance(node, yaml.SequenceNode) else self._mapping(node, path)
            )
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                parents = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for parent in parents:
                    if isinstance(parent, yaml.MappingNode):
                        merged = {**self.read(parent, path), **merged}
                continue
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.document.lines.setdefault(path, line)
                self.document.problems.append((path, "received a list or mapping as a key; valid: a name"))
                continue
            here = (*path, key_node.value)
            if key_node.value in values:
                first = self.document.lines[here]
                self.document.problems.append(
                    (here, f"received the key twice (lines {first} and {line}); valid: each key once")
                )
                continue
            self.document.lines[here] = line
            value = self.read(value_node, here)
            if value is not _ABSENT:
                values[key_node.value] = value
        return {**merged, **values}

    def _list(self, node: yaml.SequenceNode, path: Path) -> list[Any]:
        values: list[Any] = []
        for item in node.value:
            here = (*path, len(values))
            self.document.lines[here] = item.start_mark.line + 1
            value = self.read(item, here)
            if value is not _ABSENT:
                values.append(value)
        return values

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind = node.tag.rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return node.value.lower() == "true"
        if kind == "int":
            return int(node.value)
        if kind == "float":
            return float(node.value)
        if "$" not in node.value:
            return node.value
        return self._resolve(node.value, path)

    def _resolve(self, text: str, path: Path) -> Any:
        """`text` with its references replaced; `_ABSENT` where a lone reference gives nothing."""
        resolved = self._replaced(text, path)
        if resolved != text:
            self.document.references[path] = text
        if any(match["store"] for match in _REFERENCE.finditer(text)):
            secrets.remember(resolved, partial(_again, self.env, text))
        return resolved if resolved or not text else _ABSENT

    def _replaced(self, text: str, path: Path) -> str:
        def replace(match: re.Match[str]) -> str:
            if match["bad"] is not None:
                problem = (
                    "received a malformed reference; valid: ${NAME}, ${NAME:-default}, ${STORE:PLACE} "
                    f"({', '.join(secrets.stores())}), or $$ for $"
                )
            elif match["store"] is not None:
                try:
                    return self._secret(match["store"], match["place"], match["default"])
                except ConfigError as error:
                    problem = f"received ${{{match['store']}:{match['place']}}}, but {error}"
            elif match["name"] is None:
                return "$"
            else:
                name = match["name"]
                value = self.env.get(name) or match["default"]
                if value is not None:
                    if self.env.get(name) and name != CONFIG_DIR:
                        self.document.environment[name] = value
                    return value
                state = "empty" if name in self.env else "not set"
                problem = (
                    f"received ${{{name}}}, but the environment variable {name} is {state}; "
                    f"set it, or give a default: ${{{name}:-value}}"
                )
            self.document.problems.append((path, problem))
            return ""

        return _REFERENCE.sub(replace, text)

    def _secret(self, store: str, place: str, default: str | None) -> str:
        """What a store holds; the default only where the store says that there is nothing."""
        try:
            value = secrets.read(store, place)
        except secrets.MissingSecretError:
            if default is None:
                raise
            return default
        self.document.environment[f"{store}:{place}"] = value
        return value


def _again(env: Mapping[str, str], text: str) -> str:
    """A text with references as it is now. Raises what `secrets.read` does."""
    reader = _NodeReader(env)
    resolved = reader._replaced(text, ())
    for _, problem in reader.document.problems:
        raise ConfigError(problem)
    return resolved


def _syntax_problem(error: yaml.YAMLError, text: str) -> str:
    """What YAML could not read, without the text that stands there."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return "received characters that YAML does not allow; valid: UTF-8 text without control characters"
    problem = getattr(error, "problem", None) or "it is not YAML"
    problem = _QUOTED.sub(lambda quoted: quoted[0] if len(quoted[0]) <= 3 else "'...'", problem)
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    hint = (
        "; put a ${...} reference inside { } or [ ] in quotes"
        if "${" in line and ("{" in line.split("${")[0] or "[" in line)
        else ""
    )
    return f"line {mark.line + 1}, column {mark.column + 1}: not valid YAML: {problem}{hint}"
