"""``rag-pipelines demo``: everything once, on the handbook of a fictional company.

What belongs here: the order of the tour and what is said on the way. What does not: any step of it; each is
what the command of its name does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from rag_pipelines.cli.invocation import Invocation, invocation, program
from rag_pipelines.cli.output import progress, stage_bars
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from rag_pipelines.config import Settings
    from rag_pipelines.sync.report import SyncReport

INDEX = "handbook"
HELP_CENTER = "help-center"
ADDRESS = "DEMO_HELP_CENTER"
"""The variable that the demo's configuration takes the address of its help center from."""
PASSAGES = 2


def demo(
    context: typer.Context,
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Only answer as the demo's help center, until Ctrl-C."),
    ] = False,
) -> None:
    """Ingest a demo corpus, build its index through the gates, and ask it some questions.

    Two sources are folders. The third is a Zendesk, for which a stand-in answers on this machine as long as
    the demo takes.
    """
    from rag_pipelines.config import DEMO_CONFIG

    chosen = replace(invocation(context), config=DEMO_CONFIG)
    if serve:
        _serve(chosen.settings)
        return
    with _help_center(chosen.settings) as url:
        _tour(replace(chosen, environment={**chosen.environment, ADDRESS: url}))


def _serve(settings: Settings) -> None:
    from rag_pipelines.demo.help_center import HelpCenter

    try:
        center = HelpCenter(_port(settings))
    except OSError as error:
        raise UsageError(
            f"the help center cannot answer at {_address(settings)}: {error.strerror}; name another "
            f"http://127.0.0.1:PORT as {ADDRESS} for this command and for those that read it"
        ) from None
    typer.echo(f"answers as the demo's help center at {center.url}, until Ctrl-C")
    center.serve()


@contextmanager
def _help_center(settings: Settings) -> Iterator[str]:
    """The address of a stand-in that answers meanwhile, whatever proxies the environment names.

    It is that of the configuration, or a free one where that is taken: by `demo --serve`, as a rule.
    """
    from rag_pipelines.demo.help_center import HOST, HelpCenter

    try:
        center = HelpCenter(_port(settings))
    except OSError:
        center = HelpCenter()
    before = os.environ.get("no_proxy")
    others = before or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = f"{others},{HOST}" if others else HOST
    try:
        with center:
            yield center.url
    finally:
        os.environ.pop("no_proxy")
        os.environ.update({} if before is None else {"no_proxy": before})


def _address(settings: Settings) -> str:
    return settings.connector_options(HELP_CENTER).url


def _port(settings: Settings) -> int:
    return urlsplit(_address(settings)).port or 0


def _tour(chosen: Invocation) -> None:
    began = time.perf_counter()
    try:
        _start(chosen)
        reports = _ingest(chosen)
        _show_quarantine(chosen)
        built = _build(chosen)
        _ask(chosen)
    finally:
        chosen.close()
    _say_what_next(time.perf_counter() - began, idle=not built and not any(r.touched for r in reports))


def _start(chosen: Invocation) -> None:
    """The database and the model, both made ready once and kept under the data folder."""
    _heading("Getting ready")
    settings = chosen.settings
    with progress() as bars:
        task = bars.add_task("starting Postgres", total=None)
        with chosen.database.connection() as connection:
            version = connection.info.server_version
        bars.update(task, description="preparing the model (once)")
        identity = chosen.embedders.of(settings.embedding_profile(INDEX)).identity
        bars.remove_task(task)
    where = "at RAG_DATABASE_URL" if settings.database.url else f"in {settings.postgres_dir}"
    typer.echo(f"Postgres {version // 10_000}.{version % 10_000} with pgvector runs {where}")
    size = f"{identity.dimensions} dimensions"
    typer.echo(f"model {identity.model}, {size}, run by {identity.runtime} in {identity.precision}")


def _ingest(chosen: Invocation) -> list[SyncReport]:
    from rag_pipelines.cli.ingest import show_report
    from rag_pipelines.sync.engine import ingest

    _heading("Ingesting: list, load, parse, chunk, embed")
    reports: list[SyncReport] = []
    for name in chosen.settings.sources:
        began = time.perf_counter()
        with stage_bars(name) as listener:
            report = ingest(chosen.runtime, name, progress=listener)
        show_report(report, time.perf_counter() - began)
        reports.append(report)
    return reports


def _show_quarantine(chosen: Invocation) -> None:
    """What failed, which is what the corpus was made to fail with."""
    from rag_pipelines.cli.quarantine import entries, show_entries
    from rag_pipelines.demo import WITHOUT_TEXT

    _heading("In quarantine: what could not be read, and why")
    rows = entries(chosen)
    show_entries(rows)
    found = {f"{row['source']}/{row['external_id']}": row["status"] for row in rows}
    if any(WITHOUT_TEXT.get(document) != status for document, status in found.items()):
        typer.echo("more documents failed than the demo expects; see: rag-pipelines quarantine show ID")
    else:
        typer.echo("These are meant to fail: the corpus holds a scan, a locked file and a broken one.")


def _build(chosen: Invocation) -> bool:
    """Whether a new version was built and made live."""
    from rag_pipelines.cli.index import show_built, show_gates
    from rag_pipelines.gates.judge import validate_version
    from rag_pipelines.index.build import build_index
    from rag_pipelines.index.promotion import promote

    _heading("Building the index; its gates decide whether it goes live")
    database = chosen.database
    with stage_bars(INDEX) as listener:
        version = build_index(chosen.runtime, INDEX, if_changed=True, progress=listener)
    if version is None:
        typer.echo("nothing has changed since the live version was built")
        return False
    show_built(version)
    show_gates(validate_version(chosen.runtime, INDEX, version.version_id))
    promote(database, INDEX, version.version_id)
    typer.echo(f"version {version.version_id} of {INDEX} is live")
    return True


def _ask(chosen: Invocation) -> None:
    from rag_pipelines.cli.passages import show_hits
    from rag_pipelines.query.search import Searcher

    _heading("Asking")
    searcher = Searcher(chosen.database, chosen.settings, INDEX, chosen.embedders)
    for question in _questions():
        result = searcher.search(
            question["query"], tenant=question["tenant"], principals=question["as"], k=PASSAGES
        )
        typer.secho(f"{question['query']}", fg="green", bold=True)
        typer.secho(f"asked in tenant {question['tenant']} as {', '.join(question['as'])}", dim=True)
        show_hits(result.hits, question["query"])
    searcher.close()


def _questions() -> list[dict[str, Any]]:
    """The golden questions that are marked to be shown."""
    import yaml

    from rag_pipelines.demo import queries_path

    found = yaml.safe_load(queries_path().read_text(encoding="utf-8"))["queries"]
    return [question for question in found if question.get("show")]


def _say_what_next(seconds: float, *, idle: bool) -> None:
    _heading("Done" + (": nothing had changed, so nothing was parsed, embedded or built" if idle else ""))
    called = program()
    typer.echo(f"The demo took {seconds:.0f} s. Try next:")
    asked = "--tenant acme-sensors --as group:everyone-acme"
    denied = "--document help-center:article/942 --user j.thwaite@wyke-forecast.example"
    for words, command in (
        ("ask it yourself", f'{called} query "how do I reset a gateway?" {asked}'),
        ("search in a browser: http://127.0.0.1:8080, key demo-acme", f"{called} serve"),
        ("see sources, lag, live versions", f"{called} status"),
        ("why the customer does not see what the distributor sees", f"{called} access explain {denied}"),
        ("let the help center's stand-in answer on, for what lists sources", f"{called} demo --serve"),
        ("see what an ingest would do, in another terminal", f"{called} plan"),
        ("go back to an earlier version, once there are two", f"{called} index rollback {INDEX}"),
        ("open the Dagster UI", "make dev"),
        ("begin your own configuration", f"{called} init"),
        ("stop the database", f"{called} db stop"),
    ):
        typer.echo(f"  {words}:\n    {command}")


def _heading(text: str) -> None:
    typer.echo()
    typer.secho(f"── {text}", fg="blue", bold=True)
