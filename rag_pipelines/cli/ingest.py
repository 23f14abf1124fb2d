"""``rag-pipelines ingest``: bring what is held of sources in line with them.

This command must be quick where there is nothing to do: Rich is imported only once there is something to
show, and no model, parser or orchestrator is imported before one is needed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from rag_pipelines.cli.invocation import Invocation, invocation
from rag_pipelines.cli.options import (
    AllowDeletes,
    Full,
    Hinted,
    ListAll,
    ListOnly,
    Since,
    SourceNames,
    Until,
    window,
)
from rag_pipelines.cli.output import AsJson, number, print_facts, print_json, say, stage_bars
from rag_pipelines.cli.reparse import format_reparsed
from rag_pipelines.cli.sources import end, say_deletion
from rag_pipelines.errors import RagError, ThrottledError

if TYPE_CHECKING:
    from rag_pipelines.sync.report import SyncReport
    from rag_pipelines.sync.scope import Scope

PATIENCE_SECONDS = 60.0
"""The longest wait for a source that asked to slow down, once the others are done."""


def ingest(
    context: typer.Context,
    sources: SourceNames = None,
    since: Since = None,
    until: Until = None,
    full: Full = False,
    list_all: ListAll = False,
    allow_deletes: AllowDeletes = False,
    hinted: Hinted = False,
    list_only: ListOnly = False,
    as_json: AsJson = False,
) -> None:
    """List sources, load what changed, parse, chunk and embed it.

    A failing source does not stop the others, and one that asks to slow down is tried once more after them.
    Sources that left the configuration are noticed when no source is named. With --hinted, queues are drained
    first, and only those sources are run that a queue or a notification said something changed in; where it
    named objects of a store, only these are looked at. The exit code is 3 when documents failed or could not
    all be listed. With --list-only, content is loaded by `work`, but for sources that can only load it while
    they list.
    """
    from rag_pipelines.sync.engine import check_names
    from rag_pipelines.sync.scope import Scope

    chosen = invocation(context)
    scope = Scope(full, window(since, until), allow_deletes, list_all, hinted)
    names = check_names(chosen.settings, sources or [])
    unread: dict[str, RagError] = {}
    if hinted:
        names, unread = _hinted(chosen, names)
    reports, errors = ingest_sources(chosen, names, scope, list_only=list_only, as_json=as_json)
    if not (sources or hinted):
        say_removed(chosen)
    errors |= unread
    if as_json:
        print_json(as_object(reports, errors))
    end(errors, sound=all(report.sound for report in reports))


def ingest_sources(
    chosen: Invocation,
    names: Iterable[str],
    scope: Scope | None = None,
    *,
    list_only: bool = False,
    as_json: bool = False,
) -> tuple[list[SyncReport], dict[str, RagError]]:
    """Run each source, and once more those that asked to slow down; what was done, and what went wrong."""
    from rag_pipelines.sync.engine import ingest as run
    from rag_pipelines.sync.scope import Scope

    reports: list[SyncReport] = []
    errors: dict[str, RagError] = {}

    def attempt(name: str) -> None:
        errors.pop(name, None)
        began = time.perf_counter()
        with stage_bars(name, shown=not as_json, after=0.4) as progress:
            try:
                with chosen.lineage.ingest(name):
                    report = run(
                        chosen.runtime, name, scope or Scope(), progress=progress, list_only=list_only
                    )
            except RagError as error:
                errors[name] = error
                return
        reports.append(report)
        if not as_json:
            show_report(report, time.perf_counter() - began)

    for name in names:
        attempt(name)
    for name, error in list(errors.items()):
        if isinstance(error, ThrottledError) and (error.retry_after or 0) <= PATIENCE_SECONDS:
            time.sleep(error.retry_after or 0)
            attempt(name)
    return reports, errors


def say_removed(chosen: Invocation) -> None:
    """Note which sources left the configuration, and say that their deletion waits for a person."""
    from rag_pipelines.sync.deletions import park_removed_sources

    for one in park_removed_sources(chosen.database, chosen.settings):
        say_deletion(one)


def as_object(reports: list[SyncReport], errors: Mapping[str, RagError]) -> dict[str, Any]:
    """What was done and what went wrong, for a program."""
    return {"sources": reports, "errors": {name: str(reason) for name, reason in errors.items()}}


def _hinted(chosen: Invocation, names: Collection[str]) -> tuple[list[str], dict[str, RagError]]:
    """Those of `names` that have hints once their queues are drained, and why a queue was not."""
    from rag_pipelines.store.hints import pending_hints
    from rag_pipelines.triggers.drain import drain_queues

    unread = drain_queues(chosen.database, chosen.settings, names)
    with chosen.database.connection() as connection:
        hinted = pending_hints(connection, names)
    if not hinted:
        say("note: no source was hinted at")
    return list(hinted), {f"queue of {name}": error for name, error in unread.items()}


def show_report(report: SyncReport, seconds: float, *, shard: str = "") -> None:
    """What one run did, or one shard, as lines of facts; where nothing was to be done it is one line."""
    did = (
        f"{number(report.touched, 'document')} loaded"
        if shard
        else f"{number(report.listed, 'document')} listed"
    )
    listed = f"{report.source}{shard and ' ' + shard}: {did} in {seconds:.2f} s"
    if not (report.touched or report.bytes_loaded or report.statuses or report.embedded or report.wanted):
        open_ends = ["incomplete"] * report.incomplete
        if report.waiting_deletes:
            open_ends.append(f"{number(report.waiting_deletes, 'deletion')} to decide on")
        typer.echo(f"{listed}, {', '.join(open_ends) or 'nothing to do'}")
    else:
        vectors = f"{report.embedded:,} embedded, {report.vectors_reused:,} reused"
        cost = f", cost {report.cost:,.4f}" if report.cost else ""
        facts = [
            ("changes", format_counts(report.changes)),
            ("access", _access(report)),
            (
                "to load",
                f"{report.wanted:,}, by `rag-pipelines work {report.source}`" if report.wanted else "",
            ),
            ("statuses", format_counts(report.statuses)),
            (
                "loaded",
                f"{report.bytes_loaded:,} bytes; {report.parsed:,} parsed, {report.parse_reused:,} reused",
            ),
            ("parsed again", format_reparsed(report.reparsed, report.reparsed_equal)),
            ("chunks", f"{report.chunks:,}"),
            ("vectors", f"{vectors}; {report.tokens:,} tokens{cost}"),
            ("seconds", ", ".join(f"{stage} {spent:.2f}" for stage, spent in report.seconds.items())),
        ]
        print_facts(listed, facts)
    say_notes(report)


def say_notes(report: SyncReport) -> None:
    """What a person should know of a run: its notes, and that documents failed."""
    for note in report.notes:
        say(f"note: {report.source}: {note}")
    if report.failed:
        failed = number(report.failed, "document")
        say(f"{failed} failed; see: rag-pipelines quarantine list --source {report.source}")


def _access(report: SyncReport) -> str:
    closed = f"{number(report.access_closed, 'document')} that nobody may see"
    read = f"{number(report.groups, 'group')} with {number(report.memberships, 'member')} read"
    return ", ".join([closed] * bool(report.access_closed) + [read] * bool(report.groups))


def format_counts(counts: Mapping[str, int]) -> str:
    """``3 added, 1 moved``."""
    return ", ".join(f"{count:,} {word.replace('_', ' ')}" for word, count in counts.items())
