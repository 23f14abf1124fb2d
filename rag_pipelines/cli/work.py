"""``rag-pipelines work``: load, parse, chunk and embed one part of a source, beside other processes.

What belongs here: one shard, as a process of a Kubernetes Job or of a person runs it. What does not: listing
(`ingest --list-only`), and a shard's lease and work (`sync.shards`).
"""

from __future__ import annotations

import time
from typing import Annotated

import typer

from rag_pipelines.cli.ingest import show_report
from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, print_json, stage_bars
from rag_pipelines.cli.sources import end


def work(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source.")],
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Part I, counted from 0, of the source's documents divided into N parts (at most 64).",
        ),
    ] = "0/1",
    as_json: AsJson = False,
) -> None:
    """Bring one part of a source's listed documents forward, beside other processes.

    Loads what `ingest --list-only` left, parses, chunks and embeds it, and ends when nothing of this part is
    left to do. Parts exclude each other where they share documents, and `ingest` without --list-only excludes
    them all: then the exit code is 2, and nothing was changed. A process that is killed has lost what it was
    doing with its last batch; the same command goes on. The exit code is 3 when documents failed.
    """
    from rag_pipelines.store.shards import read_shard
    from rag_pipelines.sync.shards import record_shards, work_shard

    chosen = invocation(context)
    part = read_shard(shard)
    began = time.perf_counter()
    with stage_bars(f"{source} {part}", shown=not as_json, after=0.4) as progress:
        report = work_shard(chosen.runtime, source, part, progress=progress)
    record_shards(chosen.database, source, [report])
    if as_json:
        print_json({"source": source, "shard": str(part), "report": report})
    else:
        show_report(report, time.perf_counter() - began, shard=str(part))
    end({}, sound=report.sound)
