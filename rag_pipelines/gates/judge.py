"""Runs every gate of a built version and stores what they found.

What belongs here: which gates there are, and their order. What does not: the gates themselves (`checks`,
`access_proof`, `quality`), the stored results (`index.gate_results`), the decision (`index.promotion`
re-reads the results in its own transaction).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from rag_pipelines import logs, tracing
from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import UsageError
from rag_pipelines.gates.access_proof import access_proof
from rag_pipelines.gates.checks import (
    chunk_statistics,
    dimension_and_norm,
    no_orphans,
    recall,
    row_parity,
    source_quality,
    vector_index_valid,
)
from rag_pipelines.gates.completeness import completeness
from rag_pipelines.gates.personal_data import personal_data
from rag_pipelines.gates.quality import quality_gate
from rag_pipelines.gates.subject import Subject
from rag_pipelines.index.gate_results import INTEGRITY, Gate, store_gate
from rag_pipelines.index.storage import storage_of_version
from rag_pipelines.index.versions import Version, version_by_id
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import query
from rag_pipelines.sync.targets import masked_by

log = logs.get(__name__)

GATES: tuple[Callable[[Subject], Gate], ...] = (
    row_parity,
    completeness,
    no_orphans,
    dimension_and_norm,
    vector_index_valid,
    recall,
    chunk_statistics,
    source_quality,
    access_proof,
    personal_data,
)


@tracing.spanned("judge")
def validate_version(
    runtime: Runtime,
    name: str,
    version_id: int,
) -> list[Gate]:
    """Run and store every gate of a built version of the index `name`: ``validated`` if all passed.

    They are those that the version asked for when it was built: a later release may judge by more.
    Quality is judged last, and not of a version that is broken: it may not even bear a search.

    Raises:
        UsageError: the version is not a candidate, or the golden set does not fit the index.
        ConfigError: the golden set cannot be read.
    """
    with runtime.database.connect() as connection:
        version = version_by_id(connection, version_id)
        if version.state not in ("built", "validated"):
            raise UsageError(
                f"version {version_id} is {version.state}; gates are for versions that are built or validated"
            )
        settings, masks = runtime.settings, _masks(runtime.settings, version)
        subject = Subject(connection, version, settings.index(name), storage_of_version(version), masks)
        wanted = [gate for gate in GATES if gate.__name__ in version.required_gates]
        with logs.context(index=name, version=version_id):
            results = [_log_result(partial(gate, subject)) for gate in wanted]
            if all(gate.passed for gate in results if gate.gate in INTEGRITY):
                results.append(_log_result(partial(_quality, runtime, name, version_id)))
        with connection.transaction():
            for gate in results:
                store_gate(connection, version_id, gate)
            passed = {gate.gate for gate in results if gate.passed} >= set(version.required_gates)
            query(
                connection,
                "set_state",
                {"version_id": version_id, "state": "validated" if passed else "built"},
            )
    return results


def _masks(settings: Settings, version: Version) -> dict[str, str | None]:
    """What stands for the masks of those sources of a version that mask, as they are configured now; None for
    those of which only some documents are masked, by their label."""
    keys = {name: masked_by(settings, name) for name in version.sources if name in settings.sources}
    return {name: key for name, key in keys.items() if key is not None or settings.label_privacy(name)}


def _log_result(judge: Callable[[], Gate]) -> Gate:
    """The gate's result, with its numbers in the log."""
    began = time.perf_counter()
    with tracing.span("gate") as span:
        gate = judge()
        span.set(gate=gate.gate, passed=gate.passed, observed=gate.observed, threshold=gate.threshold)
    log.log(
        logging.INFO if gate.passed else logging.WARNING,
        "gate passed" if gate.passed else "gate failed",
        gate=gate.gate,
        observed=gate.observed,
        threshold=gate.threshold,
        seconds=logs.seconds_since(began),
    )
    return gate


def _quality(
    runtime: Runtime,
    name: str,
    version_id: int,
) -> Gate:
    index = runtime.settings.index(name)
    return quality_gate(runtime, name, version_id, golden=index.golden, bounds=index.gates.quality)
