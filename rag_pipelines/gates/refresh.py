"""Brings an index up to date in one go: build what changed, judge it, make it live, keep a spare.

What belongs here: the order of these. What does not: any of them.
"""

from __future__ import annotations

from rag_pipelines import tracing
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.spare import keep_spare
from rag_pipelines.index.versions import Version
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime


@tracing.spanned("refresh")
def refresh_index(
    runtime: Runtime, name: str, *, full: bool = False, progress: Progress = no_progress
) -> Version | None:
    """The new live version of the index `name`; None where nothing has changed since the live one was built.

    Args:
        full: build in full, also where nothing has changed.

    Raises:
        UsageError: another build of the index is running, or its sources hold nothing to index.
        ConfigError: the golden set cannot be read.
        GateError: the version may not go live; it stays a candidate, and the message lists every reason.
    """
    version = build_index(runtime, name, full=full, if_changed=not full, progress=progress)
    if version is None:
        return None
    validate_version(runtime, name, version.version_id)
    live = promote(runtime.database, name, version.version_id)
    keep_spare(runtime, name, progress)
    return live
