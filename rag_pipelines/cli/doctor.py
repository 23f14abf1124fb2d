"""``rag-pipelines doctor``: what this machine has and lacks for the configuration in use.

What belongs here: checks that need no ingest and change nothing; none of them starts a server or
loads a model. What does not: checks of documents, chunks or indexes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.checks import Check, run_check
from rag_pipelines.cli.invocation import ExitCode, Invocation, invocation
from rag_pipelines.cli.output import AsJson, age, print_findings, print_json
from rag_pipelines.errors import RagError, TransientError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from rag_pipelines.config import Settings
    from rag_pipelines.config.serving import ServingSettings
    from rag_pipelines.parsing.base import Ocr
    from rag_pipelines.store.address import Address

MIN_POSTGRES = 15
MIN_PGVECTOR = (0, 8)
LEFT_OUT = {"pymupdf": "PDFs, and what only it reads, end in quarantine"}
"""Required packages that a deployment may leave out, and what then happens."""
MIN_FREE_BYTES = 2 * 10**9
CONNECT_SECONDS = 10

_FORGETFUL = "that keeps no prepared statements, so that every search is planned anew"


def doctor(
    context: typer.Context,
    production: Annotated[
        bool,
        typer.Option("--production", help="Check also what a deployment that others rely on should have."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check this machine and the configuration; the exit code is 1 if any check fails."""
    chosen = invocation(context)
    checks = list(_checks(chosen))
    if production:
        checks = [_hardened(check) for check in checks]
        if not any(check.name == "configuration" and check.ok is False for check in checks):
            from rag_pipelines.cli.production import production_checks
            from rag_pipelines.config import config_path

            checks += production_checks(chosen.settings, config_path(chosen.config))
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        print_findings(checks)
    if any(check.ok is False for check in checks):
        raise typer.Exit(ExitCode.FAILED)


def _checks(chosen: Invocation) -> Iterator[Check]:
    yield _python()
    yield _packages()
    yield _runtime()
    yield _telemetry()
    try:
        settings = chosen.settings
    except RagError as error:
        yield Check("configuration", False, str(error))
        return
    yield Check("configuration", True, f"{len(settings.sources)} sources, {len(settings.indexes)} indexes")
    yield _disk(settings.data_dir)
    yield run_check("database", partial(_database, settings))
    yield run_check("switches", partial(_switches, settings))
    if settings.database.session_url is not None:
        yield run_check("database.session_url", partial(_sessions, settings.database.session_url))
    if settings.database.reader_url is not None:
        yield run_check("database.reader_url", partial(_reader, settings.database.reader_url))
    if settings.serving.has_login:
        yield _port(settings.serving)
    yield _build_memory(settings)
    for name, profile in settings.profiles.parsing.items():
        if profile.ocr.engine != "off":
            yield run_check(f"ocr of profile {name}", partial(_ocr, profile.ocr))
    for name in sorted({index.embedding for index in settings.indexes.values()}):
        yield run_check(f"model of profile {name}", partial(_model, settings, name))


def _hardened(check: Check) -> Check:
    """In production, telemetry that may be on is a failure."""
    return check._replace(ok=False) if check.name == "telemetry" and check.ok is None else check


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "python", (3, 11) <= sys.version_info[:2] <= (3, 13), f"{version}; 3.11 to 3.13 are supported"
    )


def _packages() -> Check:
    """Whether every package that this one requires is installed in a version that it accepts."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    try:
        required = [Requirement(text) for text in requires("rag-pipelines") or []]
    except PackageNotFoundError:
        return Check(
            "packages", None, "rag-pipelines runs from its source folder; install it with: pip install -e ."
        )
    wrong: list[str] = []
    left_out: list[str] = []
    needed = [r for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in needed:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            if requirement.name in LEFT_OUT:
                left_out.append(f"{requirement.name} is left out: {LEFT_OUT[requirement.name]}")
            else:
                wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} is {found}, needed {requirement.specifier}")
    ok = None if left_out and not wrong else not wrong
    return Check(
        "packages", ok, "; ".join(wrong + left_out) or f"{len(needed)} required packages are installed"
    )


def _runtime() -> Check:
    from importlib.util import find_spec

    if find_spec("openvino") is None:
        return Check(
            "openvino", None, "not installed, torch runs the models; pip install 'rag-pipelines[openvino]'"
        )
    return Check("openvino", True, f"installed; {_processor()}")


def _ocr(options: Ocr) -> Check:
    from rag_pipelines.parsing.ocr import identity

    return Check("ocr", True, identity(options))


def _processor() -> str:
    try:
        flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split())
    except OSError:
        return "the processor's features are unknown here"
    fast = sorted(flags & {"amx_bf16", "avx512_bf16"})
    return (
        f"the processor has bf16 ({', '.join(fast)})"
        if fast
        else "the processor has no bf16, models run in fp32"
    )


def _telemetry() -> Check:
    import yaml

    if os.environ.get("DAGSTER_DISABLE_TELEMETRY"):
        return Check("telemetry", True, "Dagster's is off by DAGSTER_DISABLE_TELEMETRY")
    file = Path(os.environ.get("DAGSTER_HOME") or Path.cwd()) / "dagster.yaml"
    try:
        instance = yaml.safe_load(file.read_text()) or {}
    except (OSError, yaml.YAMLError):
        return Check(
            "telemetry", None, f"Dagster's may be on: there is no {file}; set DAGSTER_HOME to its folder"
        )
    off = instance.get("telemetry", {}).get("enabled") is False
    return Check(
        "telemetry", off, f"Dagster's is {'off' if off else 'on; set telemetry.enabled: false'} in {file}"
    )


def _disk(folder: Path) -> Check:
    import shutil

    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir():
        return Check("data folder", False, f"{existing} is a file, so {folder} cannot be made; set data_dir")
    usage = shutil.disk_usage(existing)
    if not (os.access(existing, os.W_OK) and usage.total):
        return Check("data folder", False, f"{existing} cannot be written to; set data_dir")
    free = usage.free
    return Check("data folder", free >= MIN_FREE_BYTES or None, f"{free / 1e9:.1f} GB free in {folder}")


def _port(serving: ServingSettings) -> Check:
    """Whether the HTTP service could start now; a port that is taken may be by the service itself."""
    from rag_pipelines.cli.ports import why_not

    where, reason = f"{serving.host}:{serving.port}", why_not(serving.host, serving.port)
    if reason is None:
        return Check("serving.port", True, f"{where} is free")
    return Check("serving.port", None, f"{where}: {reason}; unless `serve` runs there, set another")


def _server(settings: Settings) -> tuple[Address, str] | None:
    """Where Postgres is, and whether it is embedded or your own; None for an embedded one that is down."""
    from rag_pipelines.store.embedded import EmbeddedServer, require_server

    if settings.database.url is not None:
        return _address(settings.database.url.get_secret_value(), "database.url"), "own"
    require_server()
    found = EmbeddedServer(settings.postgres_dir).status()
    return (_address(found.url, "database.url"), "embedded") if found.running and found.url else None


def _switches(settings: Settings) -> Check:
    """Whether an emergency switch is on."""
    import psycopg

    from rag_pipelines.store.database import mapped_errors
    from rag_pipelines.store.switches import in_force

    server = _server(settings)
    if server is None:
        return Check("switches", None, "embedded Postgres is not running")
    try:
        with mapped_errors(), closing(server[0].connect()) as connection:
            on = in_force(connection)
    except RagError as error:
        if isinstance(error.__cause__, psycopg.errors.UndefinedTable):
            return Check("switches", True, "none is on; the schema is not there yet")
        raise
    return Check("switches", None if on else True, "; ".join(one.sentence for one in on) or "none is on")


def _database(settings: Settings) -> Check:
    """Postgres and pgvector by version. An embedded server that is down is only looked at."""
    from rag_pipelines.store.database import mapped_errors, query

    server = _server(settings)
    if server is None:
        return Check("database", None, "embedded Postgres is not running; it starts by itself when needed")
    address, kind = server
    alone = settings.database.session_url is None
    try:
        with mapped_errors(), closing(address.open_session() if alone else address.connect()) as connection:
            number = connection.info.server_version
            row = query(connection, "available_vector").fetchone()
    except TransientError as error:
        return Check("database", False, f"{kind} Postgres does not answer; check database.url: {error}")
    vector = row["version"] if row else None
    detail = (
        f"{kind} Postgres {number // 10_000}.{number % 10_000}, pgvector {vector or 'is not installed there'}"
    )
    if address.is_pooled:
        detail += f", through a pooler{'' if address.keeps_statements else ' ' + _FORGETFUL}"
    new_enough = vector is not None and tuple(map(int, vector.split(".")[:2])) >= MIN_PGVECTOR
    return Check(
        "database", number // 10_000 >= MIN_POSTGRES and new_enough, f"{detail}; needed are 15 and 0.8"
    )


def _sessions(url: SecretStr) -> Check:
    """Whether runs and builds get sessions of their own."""
    from rag_pipelines.store.database import mapped_errors

    with mapped_errors(), closing(_address(url.get_secret_value(), "database.session_url").open_session()):
        return Check("database.session_url", True, "gives every connection a session of its own")


def _reader(url: SecretStr) -> Check:
    """Whether the login for searches reads no more than its callers, and how old what it sees is."""
    from rag_pipelines.store.database import mapped_errors, query
    from rag_pipelines.store.reader import prove_reader

    address = _address(url.get_secret_value(), "database.reader_url")
    with mapped_errors(), closing(address.connect()) as connection:
        prove_reader(connection)
        state = query(connection, "replication_state").fetchone()
    assert state is not None
    detail = f"searches log in as {state['login']}"
    if address.is_pooled:
        detail += f", through a pooler{'' if address.keeps_statements else ' ' + _FORGETFUL}"
    if state["replica"]:
        newest = "none yet" if state["behind"] is None else f"{age(state['behind'])} old"
        detail += f", at a replica; the newest change that it shows is {newest}"
    return Check("database.reader_url", True, detail)


def _address(url: str, setting: str) -> Address:
    from psycopg.conninfo import make_conninfo

    from rag_pipelines.store.address import Address

    return Address(make_conninfo(url, connect_timeout=CONNECT_SECONDS), setting)


def _build_memory(settings: Settings) -> Check:
    """What the graph of a vector index may take while it is built, and how many rows that is."""
    from rag_pipelines.index.memory import RESERVE, build_memory, gigabytes, graph_row_bytes

    allowed = build_memory(settings)
    vectors = [index.vector for index in settings.indexes.values() if index.vector.index != "exact"]
    kinds = sorted({("bit" if one.index == "hnsw_binary" else one.type, one.m) for one in vectors})
    held = [
        f"{(allowed - RESERVE) / graph_row_bytes(dimensions, type, m) / 1e6:,.1f} million rows "
        f"of {dimensions} dimensions ({type}, m {m})"
        for type, m in kinds
        for dimensions in (384, 1024)
    ]
    return Check("build memory", True, f"{gigabytes(allowed)}, enough for {', '.join(held) or 'no graph'}")


def _model(settings: Settings, profile: str) -> Check:
    """Whether the model's files are here; a model behind an endpoint is only named."""
    from rag_pipelines.embedding.model_files import find_model

    name, chosen = f"model of profile {profile}", settings.profiles.embedding[profile]
    if chosen.provider == "sentence-transformers":
        folder = find_model(chosen.model, allow_download=False)
        return Check(name, True, f"{chosen.model} found in {folder}")
    if chosen.provider == "openai":
        return Check(name, None, f"{chosen.model} at {chosen.base_url}; not asked")
    return Check(name, True, f"{chosen.provider} needs no files")
