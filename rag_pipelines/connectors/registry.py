"""Finds a connector by its kind and makes one from a source's settings.

What belongs here: the table of kinds and the validation of options. What does not: anything of one
system. A connector's module is imported when it is asked for.

Another package adds a kind by an entry point of the group ``rag_pipelines.connectors`` that names a
`Connector` class; the built-in kinds cannot be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rag_pipelines.connectors.base import Connector
from rag_pipelines.errors import ConfigError

ENTRY_POINT_GROUP = "rag_pipelines.connectors"

BUILTIN = {
    "confluence": "rag_pipelines.connectors.confluence.connector:ConfluenceConnector",
    "filesystem": "rag_pipelines.connectors.filesystem:FilesystemConnector",
    "git": "rag_pipelines.connectors.git:GitConnector",
    "google_drive": "rag_pipelines.connectors.google_drive.connector:GoogleDriveConnector",
    "jira": "rag_pipelines.connectors.jira.connector:JiraConnector",
    "push": "rag_pipelines.connectors.push:PushConnector",
    "records": "rag_pipelines.connectors.records:RecordsConnector",
    "servicenow": "rag_pipelines.connectors.servicenow.connector:ServiceNowConnector",
    "sharepoint": "rag_pipelines.connectors.sharepoint.connector:SharePointConnector",
    "web": "rag_pipelines.connectors.web.connector:WebConnector",
    "zendesk": "rag_pipelines.connectors.zendesk.connector:ZendeskConnector",
}
"""Kind to ``module:class``."""

_USERINFO = re.compile(r"//[^/@\s]*@")


def kinds() -> list[str]:
    """The kinds that can be used here, sorted."""
    return sorted({*BUILTIN, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def connector_class(kind: str) -> type[Connector]:
    """The connector of `kind`. Raises `ConfigError` naming the valid kinds, or why one cannot be imported."""
    try:
        if kind in BUILTIN:
            module, _, name = BUILTIN[kind].partition(":")
            return getattr(import_module(module), name)
        for point in entry_points(group=ENTRY_POINT_GROUP, name=kind):
            return point.load()
    except ImportError as error:
        raise ConfigError(f"connector {kind!r} cannot be imported: {error}") from error
    raise ConfigError(f"{kind!r} is not a connector; valid are {', '.join(kinds())}")


def make_connector(
    source: str, kind: str, options: Mapping[str, Any], *, data_dir: Path | None = None
) -> Connector:
    """The connector of one source. Nothing is opened yet.

    An option named ``cache_dir`` that is not given becomes a folder of `data_dir` named as the kind.

    Raises:
        ConfigError: unknown kind or invalid options; carries every problem, without secrets.
    """
    cls = connector_class(kind)
    values = dict(options)
    if data_dir is not None and "cache_dir" in cls.options_type.model_fields:
        values.setdefault("cache_dir", data_dir / kind)
    try:
        validated = cls.options_type.model_validate(values)
    except ValidationError as error:
        valid = ", ".join(cls.options_type.model_fields)
        problems = [f"{source}.{problem}" for problem in _problems(error, cls, valid)]
        raise ConfigError(problems=problems) from None
    return cls(source, validated)


def _problems(error: ValidationError, cls: type[Connector], valid: str) -> list[str]:
    """Each problem as path, what was received, and what is wrong; secrets are left out."""
    problems = []
    for one in error.errors(include_url=False, include_context=False):
        path = ".".join(str(part) for part in one["loc"])
        field = cls.options_type.model_fields.get(str(one["loc"][0])) if one["loc"] else None
        message = one["msg"].removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            problems.append(f"{path}: not an option of {cls.kind}; valid are {valid}")
        elif one["type"] == "missing":
            problems.append(f"{path}: missing; {field.description if field else 'it is required'}")
        elif field is None:
            problems.append(f"{path or 'options'}: {message}")
        elif "SecretStr" in str(field.annotation):
            problems.append(f"{path}: {message} (the value is a secret and not shown)")
        else:
            received = _USERINFO.sub("//***@", repr(one["input"]))
            problems.append(f"{path}: received {received}; {message}")
    return problems
