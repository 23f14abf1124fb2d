"""Mends what a verification found, by running what would have made it right in the first place.

What belongs here: which run mends which drift. What does not: any write of its own; a repair reopens,
ingests, builds and promotes as people do, with the same guards and gates.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag_pipelines.errors import GateError
from rag_pipelines.gates.refresh import refresh_index
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime
from rag_pipelines.sync.engine import ingest
from rag_pipelines.sync.stages import source_run
from rag_pipelines.sync.worked_off import forget_worked_off
from rag_pipelines.verification.drift import Certificate, Remedy, kind_of, remedies
from rag_pipelines.verification.reopen import forget_cursor, reopen_damaged


def repair_source(
    runtime: Runtime,
    certificates: Sequence[Certificate],
    *,
    deep: bool = False,
    progress: Progress = no_progress,
) -> list[str]:
    """Mend the drift of one source as its certificates show it; returns what was done, in sentences.

    Verify again afterwards: deletions above the guard wait for a person, gates may refuse a version, and
    what fails again is in quarantine.

    Raises:
        UsageError: a run holds the source, or a build the index.
        CredentialError, TransientError, BudgetError: the source cannot be listed, or not within its budget.
    """
    if not certificates:
        return []
    source = certificates[0].source
    wanted = remedies(certificates)
    done: list[str] = []
    if wanted & {Remedy.INGEST, Remedy.REOPEN}:
        with source_run(runtime.database, runtime.settings, source, progress) as run:
            damaged = reopen_damaged(run, deep=deep) if Remedy.REOPEN in wanted else {}
            forget_cursor(run)
            forget_worked_off(run)
            reopened = [f"{n} with lost {what}" for what, n in damaged.items() if n]
            run.report.notes.append(f"a repair began; made pending again: {', '.join(reopened) or 'nothing'}")
        done += run.report.notes
        report = ingest(runtime, source, progress=progress)
        changed = ", ".join(f"{n} {change}" for change, n in report.changes.items())
        done += [f"ingested {source}: {changed or 'nothing listed'}", *report.notes]
    for name in runtime.settings.indexes_of(source):
        faults = {
            kind_of(drift).remedy
            for one in certificates
            for drift in one.drift
            if name in (one.index, *drift.samples[: drift.kind == "no_version"])
        }
        if done or faults:
            full = Remedy.REBUILD in faults
            done.append(_refresh(runtime, name, progress, full=full))
    return done


def _refresh(runtime: Runtime, name: str, progress: Progress, *, full: bool) -> str:
    try:
        version = refresh_index(runtime, name, full=full, progress=progress)
    except GateError as error:
        return str(error)
    if version is None:
        return f"index {name}: nothing has changed since the live version was built"
    return f"index {name}: version {version.version_id} is live, built {'in full' if full else 'anew'}"
