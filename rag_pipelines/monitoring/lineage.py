"""Tells other systems where data came from: OpenLineage events of runs over sources, builds and judgements.

What belongs here: when an event is sent, and sending it. What does not: what datasets are (`lineage_facts`),
and the work that events are about.

Each event says what it knows; a receiver that is away costs `PATIENCE_SECONDS` at most, and no run its
success. Without a place to send them nothing is done, and the library is not imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from rag_pipelines import __version__, logs
from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import UsageError
from rag_pipelines.store.database import Database, Pg

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.transport import Transport

    from rag_pipelines.index.gate_results import Gate
    from rag_pipelines.index.versions import Version
    from rag_pipelines.monitoring.lineage_facts import Datasets

log = logs.get(__name__)

PATIENCE_SECONDS = 2.0
"""How long a receiver has for one event."""

PRODUCER = f"https://pypi.org/project/rag-pipelines/{__version__}"


class Lineage:
    """The events of one deployment. It does nothing where `telemetry.lineage` names no place.

    Raises:
        UsageError: it names one, and the library is not installed.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._settings = settings
        self._namespace = settings.telemetry.lineage.namespace
        self._datasets: Datasets | None = None
        self._transport: Transport | None = None
        if not settings.telemetry.lineage.is_on:
            return
        try:
            from rag_pipelines.monitoring.lineage_facts import Datasets
        except ImportError as error:
            raise UsageError(f"{error}; install it with: pip install 'rag-pipelines[telemetry]'") from error
        self._datasets = Datasets(settings, database.session_url)

    @contextmanager
    def ingest(
        self, source: str, run: str | None = None, *, begins: bool = True, ends: bool = True
    ) -> Iterator[None]:
        """The block is a run over a source, or a part of one whose parts are all given the same `run`.

        Args:
            begins: it is the first part.
            ends: it is the last one. Of the others it is told where they fail.
        """
        datasets = self._datasets
        if datasets is None:
            yield
            return

        def written(connection: Pg) -> list[OutputDataset]:
            return [datasets.written_documents(source, connection)]

        number = uuid4() if run is None else uuid5(NAMESPACE_URL, f"{run}/{source}")
        with self._told(
            f"ingest.{source}", number, lambda _: [datasets.source(source)], written, begins, ends
        ):
            yield

    @contextmanager
    def build(self, index: str) -> Iterator[list[Version | None]]:
        """The block is a build of an index, and puts what it built into the list that it is given."""
        datasets = self._datasets
        built: list[Version | None] = []
        if datasets is None:
            yield built
            return
        sources = list(self._settings.sources_of(index))

        def members(connection: Pg) -> list[InputDataset]:
            return [datasets.documents(source, connection) for source in sources]

        def versions(connection: Pg) -> list[OutputDataset]:
            return [datasets.version(version, connection) for version in built if version is not None]

        with self._told(f"build.{index}", uuid4(), members, versions):
            yield built

    def judgement(self, version: Version, gates: Iterable[Gate]) -> None:
        """The gates of a version were run."""
        datasets, gates = self._datasets, list(gates)
        if datasets is None:
            return
        from rag_pipelines.index.versions import version_by_id

        def judged(connection: Pg) -> list[InputDataset]:
            return [datasets.judged_version(version_by_id(connection, version.version_id), gates, connection)]

        with self._told(f"judge.{version.index_name}", uuid4(), judged, lambda _: []):
            pass

    @contextmanager
    def _told(
        self,
        job: str,
        number: UUID,
        inputs: Callable[[Pg], Sequence[InputDataset]],
        outputs: Callable[[Pg], Sequence[OutputDataset]],
        begins: bool = True,
        ends: bool = True,
    ) -> Iterator[None]:
        if begins:
            self._send("START", job, number, inputs, lambda _: [])
        try:
            yield
        except BaseException as error:
            self._send("FAIL", job, number, inputs, lambda _: [], type(error))
            raise
        if ends:
            self._send("COMPLETE", job, number, inputs, outputs)

    def _send(
        self,
        kind: str,
        job: str,
        number: UUID,
        inputs: Callable[[Pg], Sequence[InputDataset]],
        outputs: Callable[[Pg], Sequence[OutputDataset]],
        error: type[BaseException] | None = None,
    ) -> None:
        """Send one event; whatever stands in the way is a warning."""
        try:
            with self._database.connection() as connection:
                event = _event(
                    kind, self._namespace, job, number, inputs(connection), outputs(connection), error
                )
            self._transport = self._transport or _transport(self._settings)
            self._transport.emit(event)
        except Exception as fault:
            log.warning(
                "lineage not sent", job=job, event=kind, error=type(fault).__name__, reason=str(fault)
            )


def _event(
    kind: str,
    namespace: str,
    job: str,
    number: UUID,
    inputs: Sequence[InputDataset],
    outputs: Sequence[OutputDataset],
    error: type[BaseException] | None,
) -> Any:
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState, set_producer
    from openlineage.client.facet_v2 import error_message_run, job_type_job, processing_engine_run

    set_producer(PRODUCER)
    engine = processing_engine_run.ProcessingEngineRunFacet(version=__version__, name="rag_pipelines")
    facets: dict[str, Any] = {"processing_engine": engine}
    if error is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(_said(error), "PYTHON")
    batch = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="RAG_PIPELINES", jobType="JOB")
    return RunEvent(
        eventType=RunState(kind),
        eventTime=datetime.now(UTC).isoformat(),
        run=Run(str(number), facets),
        job=Job(namespace, job, {"jobType": batch}),
        inputs=list(inputs),
        outputs=list(outputs),
        producer=PRODUCER,
    )


def _said(error: type[BaseException]) -> str:
    """What kind of error it was; its own message may name documents, and is in the log."""
    meaning = (error.__doc__ or "").strip().partition("\n")[0]
    return f"{error.__name__}: {meaning} The log of the run says more."


def _transport(settings: Settings) -> Transport:
    from openlineage.client.transport.file import FileConfig, FileTransport
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    chosen = settings.telemetry.lineage
    if chosen.file is not None:
        chosen.file.parent.mkdir(parents=True, exist_ok=True)
        return FileTransport(FileConfig(str(chosen.file), append=True))
    assert chosen.url is not None
    headers = {name: value.get_secret_value() for name, value in chosen.headers.items()}
    return HttpTransport(
        HttpConfig(
            url=f"{chosen.url.rstrip('/')}/",
            endpoint=chosen.endpoint.lstrip("/"),
            timeout=PATIENCE_SECONDS,
            custom_headers=headers,
            retry={"total": 0},
        )
    )
