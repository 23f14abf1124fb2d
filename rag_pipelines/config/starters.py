"""A configuration to begin with: from a place to the source and the index that a person would write for it.

What belongs here: telling what kind of system a place is of, and the options and secrets that its connector
is begun with. What does not: asking a person, and writing the file (`cli.init`).

Secrets are references to the environment: none is asked for, and none is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

from rag_pipelines.errors import UsageError

INDEX = "main"

_STORES = {"s3": ("s3", "s3fs"), "gs": ("gcs", "gcsfs"), "gcs": ("gcs", "gcsfs"), "abfs": ("azure", "adlfs"),
           "abfss": ("azure", "adlfs"), "az": ("azure", "adlfs")}  # fmt: skip
"""The extra, and the package of it, that reads an object store."""

_FORGES = ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org")
_ROWS = (".jsonl", ".ndjson", ".csv", ".parquet", ".jsonl.gz", ".csv.gz")
_HOSTS = (
    (".sharepoint.com", "sharepoint"),
    (".service-now.com", "servicenow"),
    (".zendesk.com", "zendesk"),
    ("drive.google.com", "google_drive"),
)
"""How the names of hosts end that say what answers there."""

_NAMED_BY_PATH = ("filesystem", "git", "records", "sharepoint")
"""Connectors of which one host has many."""

_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_STORE_REFERENCE = re.compile(r"(?<!\$)\$\{[a-z][a-z0-9-]*:(?!-)[^}]*\}")
_CONFIG_DIR = "CONFIG_DIR"


class Starter(NamedTuple):
    """What the options of a connector are at first, from the place and the folder of the configuration."""

    options: Callable[[str, Path], dict[str, Any]]
    knows_access: bool
    """Whether its system says who may see a document."""


def guess_kind(place: str) -> str | None:
    """The connector that a place is for; None where it may be Confluence or Jira."""
    scheme = place.partition("://")[0] if "://" in place else ""
    if scheme in _STORES:
        return "filesystem"
    if scheme == "ssh" or place.endswith(".git") or re.match(r"[\w.-]+@[\w.-]+:", place):
        return "git"
    if scheme in ("http", "https"):
        return _kind_of_site(place)
    if place.lower().endswith(_ROWS):
        return "records"
    return "git" if (Path(place).expanduser() / ".git").exists() else "filesystem"


def _kind_of_site(address: str) -> str | None:
    parts = urlsplit(address)
    host = parts.hostname or ""
    if host.endswith(".atlassian.net"):
        first = parts.path.strip("/").partition("/")[0]
        return {"wiki": "confluence", "jira": "jira", "browse": "jira", "projects": "jira"}.get(first)
    if host in _FORGES:
        return "git"
    return next((kind for ending, kind in _HOSTS if host.endswith(ending)), "web")


def needed_extra(place: str) -> tuple[str, str] | None:
    """The extra that a place needs and the package that it brings, if it needs one."""
    return _STORES.get(place.partition("://")[0]) if "://" in place else None


def source_name(place: str, kind: str) -> str:
    """A name for the source, from the last part of its place that says anything."""
    if "://" in place:
        parts = urlsplit(place)
        host = (parts.hostname or "").removeprefix("www.")
        words = [parts.path.rstrip("/").rpartition("/")[2], host] if kind in _NAMED_BY_PATH else [host]
    else:
        words = [Path(place).expanduser().resolve().name]
    for word in (*words, kind):
        slug = re.sub(r"[^a-z0-9]+", "-", word.lower().partition(".")[0]).strip("-")
        if re.fullmatch(r"[a-z][a-z0-9-]{0,47}", slug):
            return slug
    return kind.replace("_", "-")


def _local(place: str, base: Path) -> str:
    """A path as the configuration has it: from its own folder where it lies below, else absolute."""
    path = Path(place).expanduser()
    if not path.exists():
        raise UsageError(
            f"there is no {path}; give a folder or a file that is there, or an address such as https://..."
        )
    absolute = Path(os.path.abspath(path))
    if absolute.is_relative_to(base):
        return f"${{{_CONFIG_DIR}}}/{_literal(absolute.relative_to(base).as_posix())}".removesuffix("/.")
    return _literal(str(absolute))


def _literal(text: str) -> str:
    return text.replace("$", "$$")


def _files(place: str, base: Path) -> dict[str, Any]:
    return {"root": _literal(place) if "://" in place else _local(place, base)}


def _git(place: str, base: Path) -> dict[str, Any]:
    if "://" in place:
        return {"repository": _literal(place), "token": "${GIT_TOKEN:-}"}
    return {"repository": _literal(place) if re.match(r"[\w.-]+@", place) else _local(place, base)}


def _records(place: str, base: Path) -> dict[str, Any]:
    where = _literal(place) if "://" in place else _local(place, base)
    return {"path": where, "id": "id", "text": ["text"], "metadata": "*"}


def _web(place: str, base: Path) -> dict[str, Any]:
    key = "sitemaps" if urlsplit(place).path.endswith((".xml", ".xml.gz")) else "start"
    return {key: [_literal(place)]}


def _atlassian(prefix: str) -> Callable[[str, Path], dict[str, Any]]:
    def options(place: str, base: Path) -> dict[str, Any]:
        parts = urlsplit(place)
        if (parts.hostname or "").endswith(".atlassian.net"):
            login = {"username": f"${{{prefix}_USERNAME}}", "api_token": f"${{{prefix}_API_TOKEN}}"}
            return {"url": f"https://{parts.netloc}", **login}
        return {"url": _literal(place), "personal_access_token": f"${{{prefix}_TOKEN}}"}

    return options


def _sharepoint(place: str, base: Path) -> dict[str, Any]:
    path = urlsplit(place).path.strip("/")
    app = {key: f"${{SHAREPOINT_{key.upper()}}}" for key in ("tenant_id", "client_id", "client_secret")}
    return {"sites": [_literal(place)], **app} if path else app


def _google_drive(place: str, base: Path) -> dict[str, Any]:
    folder = re.search(r"/folders/([\w-]+)", place)
    login = {"service_account_file": "${GOOGLE_SERVICE_ACCOUNT_FILE}", "subject": "${GOOGLE_SUBJECT:-}"}
    return {**({"folders": [folder[1]]} if folder else {}), **login}


def _instance(prefix: str, *secrets: str) -> Callable[[str, Path], dict[str, Any]]:
    """A site that is named by its host alone; `secrets` are options, and with the prefix variables."""

    def options(place: str, base: Path) -> dict[str, Any]:
        parts = urlsplit(place)
        login = {key: f"${{{prefix}_{key.upper()}}}" for key in secrets}
        return {"url": f"{parts.scheme}://{parts.netloc}", **login}

    return options


STARTERS: Mapping[str, Starter] = {
    "filesystem": Starter(_files, False),
    "git": Starter(_git, False),
    "records": Starter(_records, False),
    "web": Starter(_web, False),
    "confluence": Starter(_atlassian("CONFLUENCE"), True),
    "jira": Starter(_atlassian("JIRA"), True),
    "sharepoint": Starter(_sharepoint, True),
    "google_drive": Starter(_google_drive, True),
    "servicenow": Starter(_instance("SERVICENOW", "client_id", "client_secret"), True),
    "zendesk": Starter(_instance("ZENDESK", "email", "api_token"), True),
}
"""By connector."""


def configuration(name: str, kind: str, options: Mapping[str, Any], access: str | list[str] | None) -> str:
    """The text of a file with one source and one index over it."""
    source: dict[str, Any] = {"connector": kind, "options": dict(options)}
    if access is not None:
        source["access"] = access
    values = {"sources": {name: source}, "indexes": {INDEX: {"sources": [name]}}}
    who = (
        f"Who may see a document is what {kind} says of it."
        if STARTERS[kind].knows_access
        else "`access` says who may see the documents; public is everybody in the tenant."
    )
    head = f"# Begun by `rag-pipelines init`; `rag-pipelines config schema` describes every key.\n# {who}\n\n"
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000)


def variables(text: str) -> list[str]:
    """The variables of the environment that a configuration cannot be read without."""
    found = (name for name in _VARIABLE.findall(text) if name != _CONFIG_DIR)
    return list(dict.fromkeys(found))


def with_placeholders(text: str, env: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The text and the environment with something in the place of secrets that are not here yet, so that
    everything else of it can be checked."""
    text = _STORE_REFERENCE.sub("${_PLACEHOLDER}", text)
    return text, {**env, **{name: "placeholder" for name in variables(text) if not env.get(name)}}
