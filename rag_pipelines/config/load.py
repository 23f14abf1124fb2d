"""From a path to `Settings`: find the file, read it, validate it, check references between its parts.

What belongs here: the order of these steps and the checks that span sections. What does not: the
shape of the file and the wording of a single problem.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rag_pipelines.config.document import CONFIG_DIR, Document, read_document
from rag_pipelines.config.document import Path as Place
from rag_pipelines.config.execution import execution_problems
from rag_pipelines.config.settings import Settings
from rag_pipelines.config.suites import suite_problems
from rag_pipelines.errors import ConfigError

DEMO_CONFIG = Path(__file__).parent.parent / "demo" / "demo.yaml"
"""The packaged configuration, used where there is no other; its `data_dir` is relative to where one is."""

USUAL_CONFIG = Path("rag.yaml")
"""The configuration of the current folder, used where none is named."""


def config_path(path: Path | str | None = None, env: Mapping[str, str] = os.environ) -> Path:
    """The file in use: `path`, else ``RAG_CONFIG``, else ``rag.yaml`` here, else the demo's."""
    chosen = path or env.get("RAG_CONFIG")
    if chosen:
        return Path(chosen).expanduser()
    return USUAL_CONFIG if USUAL_CONFIG.exists() else DEMO_CONFIG


def load_config(path: Path | str | None = None, env: Mapping[str, str] = os.environ) -> Settings:
    """Read and validate the configuration.

    ``${NAME}`` in a value is replaced from `env`, ``${NAME:-default}`` where that is not set or empty,
    ``$$`` is a dollar sign; a value that comes out empty counts as left out. ``${CONFIG_DIR}`` is the
    folder of the file. ``${STORE:PLACE}`` is replaced by what a store of secrets holds there (`secrets`).

    Raises:
        ConfigError: with every problem that the file has, one a line.
        CredentialError: a store refuses our login.
        TransientError: a store cannot be reached.
    """
    file = config_path(path, env)
    base = Path.cwd() if file == DEMO_CONFIG else file.resolve().parent
    return validated(read_config(file, env), file, base)


def load_values(values: Mapping[str, Any], file: Path, env: Mapping[str, str] = os.environ) -> Settings:
    """The configuration that is a part of `file`, whose format is another one's, and has become `values`.

    References and relative paths are as in a file of our own. Raises as `load_config`.
    """
    folder = file.resolve().parent
    document = read_document(json.dumps(values, default=str), {**env, CONFIG_DIR: str(folder)}, str(file))
    document.lines.clear()
    return validated(document, file, folder)


def validated(document: Document, file: Path, base: Path) -> Settings:
    """The settings that a document says; `base` is what its relative paths are relative to.

    Raises:
        ConfigError: with every problem that it has, one a line; `file` is what they call it.
    """
    problems = list(document.problems)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(document.data, context={"base": base})
    except ValidationError as error:
        from rag_pipelines.config.problems import describe

        told = {place for place, _ in problems}
        problems += [problem for problem in describe(error, document) if problem[0] not in told]
    problems += cross_reference_problems(document.data)
    if problems or settings is None:
        raise _config_error(file, problems, document) from None
    return settings


def read_config(file: Path, env: Mapping[str, str] = os.environ) -> Document:
    """The values of `file` with references resolved, not yet validated. Raises `ConfigError`."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError(
            f"cannot read the configuration {file}: {reason}; "
            "give an existing YAML file with --config or RAG_CONFIG, or neither for rag.yaml here or the demo"
        ) from None
    return read_document(text, {**env, CONFIG_DIR: str(file.resolve().parent)}, str(file))


def cross_reference_problems(data: Mapping[str, Any]) -> list[tuple[Place, str]]:
    """Names that are used but not defined, in data that need not be valid otherwise."""
    sources, indexes = _mapping(data.get("sources")), _mapping(data.get("indexes"))
    profiles = _mapping(data.get("profiles"))
    found: list[tuple[Place, str]] = []

    def check(place: Place, name: Any, known: Iterable[str], what: str) -> None:
        valid = list(known)
        if isinstance(name, str) and name not in valid:
            found.append(
                (
                    place,
                    f"received {name!r}; valid: the name of a {what} ({', '.join(valid) or 'there is none'})",
                )
            )

    def profile(section: str, owner: str, fields: Mapping[str, Any], stage: str) -> None:
        known = {**_ALWAYS_THERE.get(stage, {}), **_mapping(profiles.get(stage))}
        check((section, owner, stage), fields.get(stage), known, f"{stage} profile")

    for name, source in sources.items():
        profile("sources", name, _mapping(source), "parsing")
        profile("sources", name, _mapping(source), "privacy")
        policy = _mapping(_mapping(_mapping(source).get("labels")).get("policy"))
        for label, rule in policy.items():
            place = ("sources", name, "labels", "policy", label, "privacy")
            wanted = _mapping(rule).get("privacy")
            check(place, wanted, _mapping(profiles.get("privacy")), "privacy profile")
    for name, index in indexes.items():
        fields = _mapping(index)
        profile("indexes", name, fields, "chunking")
        profile("indexes", name, fields, "embedding")
        wanted = fields.get("sources")
        for position, source in enumerate(wanted if isinstance(wanted, list) else []):
            check(("indexes", name, "sources", position), source, sources, "source")
    lineage = _mapping(_mapping(data.get("telemetry")).get("lineage"))
    for name in _mapping(lineage.get("sources")):
        check(("telemetry", "lineage", "sources", name), name, sources, "source")
    for name, suite in _mapping(_mapping(data.get("quality")).get("suites")).items():
        wanted = _mapping(suite).get("sources")
        for position, source in enumerate(wanted if isinstance(wanted, list) else []):
            check(("quality", "suites", name, "sources", position), source, sources, "source")
    return [
        *found,
        *suite_problems(data),
        *engine_problems(profiles),
        *privacy_problems(profiles),
        *label_problems(sources, _mapping(profiles.get("privacy"))),
        *execution_problems(data),
    ]


_ALWAYS_THERE = {stage: {"default": None} for stage in ("parsing", "chunking", "embedding")}


def privacy_problems(profiles: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Privacy profiles whose packages are not installed."""
    for name, profile in _mapping(profiles.get("privacy")).items():
        if find_spec("stdnum") is None or find_spec("phonenumbers") is None:
            installed = "after pip install 'rag-pipelines[privacy]'"
            yield ("profiles", "privacy", name), f"received a profile; valid: one {installed}"
        elif _mapping(profile).get("engine") == "presidio" and find_spec("presidio_analyzer") is None:
            installed = "presidio after pip install 'rag-pipelines[presidio]'"
            yield (
                ("profiles", "privacy", name, "engine"),
                f"received 'presidio'; valid: native, or {installed}",
            )


def label_problems(sources: Mapping[str, Any], privacy: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Labels that mask where the whole source is masked, or by a profile that does not mask."""
    for name, source in sources.items():
        own = _mapping(source).get("privacy")
        for label, rule in _mapping(_mapping(_mapping(source).get("labels")).get("policy")).items():
            place, profile = ("sources", name, "labels", "policy", label), _mapping(rule).get("privacy")
            if not isinstance(profile, str) or profile not in privacy:
                continue
            if (mode := _mode(privacy, profile)) != "mask":
                valid = "a profile of mode mask; for others there are the actions restrict and drop"
                yield (*place, "privacy"), f"received {profile!r}, of mode {mode}; valid: {valid}"
            elif isinstance(own, str) and _mode(privacy, own) == "mask":
                yield (
                    (*place, "action"),
                    f"received 'mask', and profile {own!r} masks the whole source; valid: one of both",
                )


def _mode(profiles: Mapping[str, Any], name: str) -> str:
    return str(_mapping(profiles.get(name)).get("mode", "detect"))


def engine_problems(profiles: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Engines of parsing profiles whose package is not installed."""
    if find_spec("unstructured") is not None:
        return
    for name, profile in _mapping(profiles.get("parsing")).items():
        for kind, engine in _mapping(_mapping(profile).get("engines")).items():
            if engine == "unstructured":
                place = ("profiles", "parsing", name, "engines", kind)
                installed = "unstructured after pip install 'rag-pipelines[unstructured]'"
                yield place, f"received {engine!r}; valid: native, or {installed}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _config_error(file: Path, problems: list[tuple[Place, str]], document: Document) -> ConfigError:
    from rag_pipelines.config.problems import problem_line

    lines = list(dict.fromkeys(problem_line(place, words, document) for place, words in problems))
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return ConfigError(f"{file} has {count}:\n" + "\n".join(f"  {line}" for line in lines), lines)
