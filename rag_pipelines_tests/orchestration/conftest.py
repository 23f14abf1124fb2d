"""Fixtures of the tests of the Dagster shell: two small sources, one index, an instance in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.orchestration.build import build_definitions
from rag_pipelines.orchestration.names import INGEST_SOURCE
from rag_pipelines.orchestration.run_others import follow_ups
from rag_pipelines.quality.library import ExpectationResult, run_suite
from rag_pipelines.quality.runner import RunSuite
from rag_pipelines.quality.suites import Suite
from rag_pipelines_tests.integration.workspace import Workspace

CHAIN = ["raw_documents", "parsed_documents", "chunks", "embeddings"]
"""The assets of the ingest chain, in order."""

QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


_loaded: dict[str, dg.Definitions] = {}
"""Definitions by the configuration they are of, without the places in it."""

_given: dict[str, Any] = {}
"""The resources of the workspace that is in use."""


def every_expectation_holds(url: str, suite: Suite, params: Mapping[str, Any]) -> list[ExpectationResult]:
    """In place of `run_suite` where a test is not about quality: a suite is half of the work of a run."""
    return [ExpectationResult(suite.name, one.name, True, one.blocking, rows=1) for one in suite.expectations]


class Shell:
    """The definitions of a workspace and an instance to run them on.

    Expectations are computed by `quality`; a test that is about them asks for `real_suites`.
    """

    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        self.workspace = workspace
        self.instance = instance
        self.quality: RunSuite = every_expectation_holds
        self._requested: set[str | None] = set()

    @property
    def definitions(self) -> dg.Definitions:
        """The definitions of the configuration as it stands; their resources are now this workspace's.

        Workspaces that differ only in where they are share them, with the code versions of the first.
        """
        _given.update(self.resources)
        document = json.dumps(self.workspace.document)
        for place in (self.workspace.url, str(self.workspace.folder)):
            document = document.replace(place, "")
        if document not in _loaded:
            given = {name: _given_resource(name) for name in _given}
            _loaded[document] = build_definitions(settings=_given["settings"], resource_overrides=given)
        return _loaded[document]

    @property
    def resources(self) -> dict[str, Any]:
        """The resources of a run on the workspace as it stands."""
        settings = self.workspace.settings
        return {
            "settings": settings,
            "database": self.workspace.database,
            "embedders": Embedders(settings.data_dir),
            "quality": self.quality,
        }

    def run(
        self, job: str, partition: str | None = None, ops: Any = None, **options: Any
    ) -> dg.ExecuteInProcessResult:
        """Run a job in this process."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=partition,
            run_config={"ops": ops or {}, "loggers": QUIET},
            raise_on_error=False,
            **options,
        )

    def ingest(self, source: str = "docs", **listing: Any) -> dg.ExecuteInProcessResult:
        """Run the ingest chain of a source."""
        ops = {"rag__raw_documents": {"config": listing}} if listing else None
        return self.run(INGEST_SOURCE, source, ops)

    def follow_up(self) -> list[dg.ExecuteInProcessResult]:
        """Run what succeeded runs asked for, and what those ask for, as the sensor and the queue do."""
        results: list[dg.ExecuteInProcessResult] = []
        while requests := [
            (request.run_key, request)
            for run in self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
            for request in follow_ups(self.instance, run)
            if request.run_key not in self._requested
        ]:
            for key, request in dict(requests).items():
                self._requested.add(key)
                tags = request.tags
                results.append(self.run(request.job_name, request.partition_key, tags=tags))
        return results

    def metadata(self, result: dg.ExecuteInProcessResult, *key: str) -> dict[str, Any]:
        """What the materialization of an asset says, as plain values."""
        events = result.get_asset_materialization_events()
        (found,) = [
            event.materialization for event in events if event.asset_key == dg.AssetKey(["rag", *key])
        ]
        return {
            name: [dict(record.data) for record in value.records]
            if isinstance(value, dg.TableMetadataValue)
            else value.value
            for name, value in found.metadata.items()
        }


def _given_resource(name: str) -> dg.ResourceDefinition:
    return dg.ResourceDefinition(lambda _: _given[name])


def failed_checks(result: dg.ExecuteInProcessResult) -> set[str]:
    """The checks of a run that did not pass, as ``asset.check``."""
    return {
        f"{check.asset_key.path[-1]}.{check.check_name}"
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def materialized(result: dg.ExecuteInProcessResult) -> list[str]:
    """The last parts of the keys of what a run materialized, in order."""
    return [
        event.asset_key.path[-1] for event in result.get_asset_materialization_events() if event.asset_key
    ]


@pytest.fixture
def workspace(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    """Two sources, `docs` and `team-notes`, that feed the index `main`."""
    notes = tmp_path / "notes"
    notes.mkdir()
    made = Workspace(tmp_path, database_url)
    made.document["sources"]["docs"] |= {
        "schedule": "0 3 * * *",
        "owner": "team:knowledge",
        "freshness": "1h",
    }
    made.document["sources"]["team-notes"] = {
        "connector": "filesystem",
        "options": {"root": str(notes)},
        "access": "public",
    }
    made.document["indexes"]["main"] |= {"sources": "*", "owner": "team:search"}
    for number in range(6):
        made.write(
            f"guide-{number}.md", f"# Guide {number}\n\n" + f"Pump {number} needs oil every month. " * 20
        )
    (notes / "note.txt").write_text("The gate opens at seven in the morning.", encoding="utf-8")
    yield made
    made.close()


@pytest.fixture(scope="session")
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory, one a process; making its tables is a tenth of most tests."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def shell(workspace: Workspace, instance: dg.DagsterInstance) -> Shell:
    """The shell over the workspace, on an empty instance."""
    instance.wipe()
    return Shell(workspace, instance)


@pytest.fixture
def real_suites(shell: Shell) -> None:
    """The quality suites of runs are computed."""
    shell.quality = run_suite


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that other processes can reach."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture
def divided(workspace: Workspace) -> Workspace:
    """The source `docs` has 24 documents and is divided into three shards, as three batches are worth;
    `team-notes` has the same documents."""
    for number in range(6, 24):
        workspace.write(f"guide-{number}.md", f"# Guide {number}\n\n" + f"Valve {number} is green. " * 20)
    workspace.document["sources"]["team-notes"]["options"]["root"] = str(workspace.docs)
    workspace.document["limits"]["batch_documents"] = 8
    workspace.document["execution"] = {"shards": 3}
    return workspace


def contents(workspace: Workspace, source: str = "docs") -> list[dict[str, Any]]:
    """What is stored of each document of a source: its text, its chunks and how many vectors these have."""
    return workspace.rows(
        """
        SELECT d.external_id, d.status, encode(p.blocks_sha256, 'hex') AS blocks, p.title,
               array_agg(c.text ORDER BY c.ordinal) AS chunks, count(e.input_key) AS vectors
        FROM rag.source s JOIN rag.document d USING (source_id) LEFT JOIN rag.parse p USING (parse_id)
        LEFT JOIN rag.document_chunks dc USING (document_id) LEFT JOIN rag.chunk c USING (chunk_set_id)
        LEFT JOIN rag.embedding e USING (input_key)
        WHERE s.name = %s GROUP BY 1, 2, 3, 4 ORDER BY 1
        """,
        source,
    )
