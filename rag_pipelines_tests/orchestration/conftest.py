"""Fixtures of the tests of the Dagster shell: two small sources, one index, an instance in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rag_pipelines.orchestration.build import build_definitions
from rag_pipelines.orchestration.names import INGEST_SOURCE
from rag_pipelines.orchestration.run_others import follow_ups
from rag_pipelines.quality.library import run_suite
from rag_pipelines_tests.integration.workspace import Workspace

CHAIN = ["raw_documents", "parsed_documents", "chunks", "embeddings"]
"""The assets of the ingest chain, in order."""

QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


class Shell:
    """The definitions of a workspace and an instance to run them on."""

    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        self.workspace = workspace
        self.instance = instance
        self._requested: set[str | None] = set()

    @property
    def definitions(self) -> dg.Definitions:
        """The definitions of the configuration as it stands."""
        return build_definitions(
            settings=self.workspace.settings,
            resource_overrides={"database": self.workspace.database, "quality": run_suite},
        )

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


@pytest.fixture
def shell(workspace: Workspace) -> Iterator[Shell]:
    """The shell over the workspace."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Shell(workspace, instance)
