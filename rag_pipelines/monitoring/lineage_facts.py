"""Datasets as OpenLineage describes them: what sources, stored documents and index versions are.

What belongs here: names and facets, made of what the configuration and the catalogue say. What does not:
events and where they go (`lineage`). See https://openlineage.io/spec

Nothing here names a document, a caller or a question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attr
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    datasource_dataset,
    documentation_dataset,
    output_statistics_output_dataset,
    ownership_dataset,
    schema_dataset,
)
from psycopg.conninfo import conninfo_to_dict

from rag_pipelines.config.settings import Settings
from rag_pipelines.index.gate_results import GATE_MEANINGS, QUALITY, Gate
from rag_pipelines.index.storage import storage_of_version
from rag_pipelines.index.versions import Version
from rag_pipelines.quality.runner import newest_results
from rag_pipelines.store.database import Pg, query

VERSION_SCHEMA = Path(__file__).with_name("RagIndexVersionDatasetFacet.json")
"""The JSON schema of `RagIndexVersionDatasetFacet`."""

VERSION_FACET = "rag_indexVersion"

Facets = dict[str, DatasetFacet]


@attr.define
class RagIndexVersionDatasetFacet(DatasetFacet):
    """What a version of an index was built from, and how it was judged; null where it was not yet."""

    index: str
    version: int
    kind: str
    state: str
    model: str
    dimensions: int
    vectorIndex: str
    sources: list[str]
    documents: int | None = None
    chunks: int | None = None
    asOf: str | None = None
    gates: list[dict[str, Any]] | None = None
    golden: dict[str, Any] | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{_schema_id()}#/$defs/RagIndexVersionDatasetFacet"


@cache
def _schema_id() -> str:
    import json

    return str(json.loads(VERSION_SCHEMA.read_text(encoding="utf-8"))["$id"])


class Datasets:
    """The datasets of one deployment, by the names under which other systems know them."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self._settings = settings
        parts = conninfo_to_dict(database_url)
        host = str(parts.get("host") or "localhost").partition(",")[0]
        host = "localhost" if host.startswith("/") else host
        self._server = f"postgres://{host}:{parts.get('port') or 5432}"
        self._database = str(parts.get("dbname") or "postgres")

    def source(self, name: str) -> InputDataset:
        """What a source is outside: by `telemetry.lineage.sources`, else its connector, host and name."""
        source, given = self._settings.source(name), self._settings.telemetry.lineage.sources.get(name)
        facets: Facets = {
            "documentation": _documentation(
                f"The documents of source {name}, as connector {source.connector} lists them."
            )
        }
        facets |= _ownership(source.owner)
        if given is not None:
            return InputDataset(given.namespace, given.name, facets=facets)
        namespace = f"{source.connector}://{_host_of(source.options)}"
        facets["dataSource"] = datasource_dataset.DatasourceDatasetFacet(name=namespace, uri=namespace)
        return InputDataset(namespace, name, facets=facets)

    def documents(self, source: str, connection: Pg) -> InputDataset:
        """What is stored of a source, with what the suites found in it."""
        found = InputDataset(self._server, self._documents_name(source), facets=self._stored(source))
        assertions = [
            data_quality_assertions_dataset.Assertion(
                assertion=f"{one.suite}.{one.expectation}",
                success=one.passed,
                severity="error" if one.blocking else "warn",
                actual=None if one.unexpected is None else str(one.unexpected),
            )
            for one in newest_results(connection, source)
        ]
        return _asserted(found, assertions)

    def written_documents(self, source: str, connection: Pg) -> OutputDataset:
        """The same as a run left it, with how much it is."""
        found = OutputDataset(self._server, self._documents_name(source), facets=self._stored(source))
        known = query(connection, "source_by_name", {"name": source}).fetchone()
        totals = query(connection, "stage_totals", known).fetchone() if known else None
        if totals is not None:
            found.outputFacets = {
                "outputStatistics": _statistics(int(totals["documents"]), int(totals["bytes"]))
            }
        return found

    def version(self, version: Version, connection: Pg) -> OutputDataset:
        """A version of an index as its build left it."""
        facets = self._version_facets(version, connection, None)
        name = self._index_name(version.index_name)
        found = OutputDataset(self._server, name, facets=facets)
        found.outputFacets = {"outputStatistics": _statistics(version.row_count)}
        return found

    def judged_version(self, version: Version, gates: Iterable[Gate], connection: Pg) -> InputDataset:
        """A version of an index with what its gates found."""
        gates = list(gates)
        facets = self._version_facets(version, connection, gates)
        found = InputDataset(self._server, self._index_name(version.index_name), facets=facets)
        assertions = [
            data_quality_assertions_dataset.Assertion(
                assertion=gate.gate,
                success=gate.passed,
                severity="error",
                description=GATE_MEANINGS.get(gate.gate),
                expected=None if gate.threshold is None else str(gate.threshold),
                actual=None if gate.observed is None else str(gate.observed),
            )
            for gate in gates
        ]
        return _asserted(found, assertions)

    def _documents_name(self, source: str) -> str:
        return f"{self._database}.rag.document.{source}"

    def _index_name(self, index: str) -> str:
        return f"{self._database}.rag.index.{index}"

    def _stored(self, source: str) -> Facets:
        said = f"What is held of source {source}: raw bytes, blocks, chunks and vectors of its documents."
        return {
            **self._data_source,
            "documentation": _documentation(said),
            **_ownership(self._settings.source(source).owner),
        }

    def _version_facets(self, version: Version, connection: Pg, gates: list[Gate] | None) -> Facets:
        said = (
            f"Chunks of {', '.join(version.sources)} with vectors of {version.spec.model_name}, for search."
        )
        tables = storage_of_version(version).part_tables
        rows = query(connection, "table_columns", {"table": f"rag.{tables[0]}"})
        fields = [schema_dataset.SchemaDatasetFacetFields(row["name"], row["type"]) for row in rows]
        return {
            **self._data_source,
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(str(version.version_id)),
            "schema": schema_dataset.SchemaDatasetFacet(fields=fields),
            "documentation": _documentation(said),
            **_ownership(self._settings.index(version.index_name).owner),
            VERSION_FACET: _version_facet(version, gates),
        }

    @property
    def _data_source(self) -> Facets:
        uri = f"{self._server}/{self._database}"
        return {"dataSource": datasource_dataset.DatasourceDatasetFacet(name=uri, uri=uri)}


def _version_facet(version: Version, gates: list[Gate] | None) -> RagIndexVersionDatasetFacet:
    return RagIndexVersionDatasetFacet(
        index=version.index_name,
        version=version.version_id,
        kind=version.kind,
        state=version.state,
        model=version.spec.model_name,
        dimensions=version.spec.dimensions,
        vectorIndex=version.spec.index.vector.index,
        sources=version.sources,
        documents=version.document_count,
        chunks=version.row_count,
        asOf=version.as_of.isoformat() if version.as_of else None,
        gates=None
        if gates is None
        else [
            {"name": one.gate, "passed": one.passed, "observed": one.observed, "threshold": one.threshold}
            for one in gates
        ],
        golden=next((_golden(one.detail) for one in gates or () if one.gate == QUALITY), None),
    )


def _golden(detail: Mapping[str, Any]) -> dict[str, Any] | None:
    """The golden set's name and the mean of each measure by mode; None without a set."""
    if detail.get("golden") is None:
        return None
    figures = {mode: found["means"] for mode, found in detail.get("figures", {}).items()}
    return {"name": detail["golden"], "questions": detail["questions"], "figures": figures}


def _asserted(
    dataset: InputDataset, assertions: list[data_quality_assertions_dataset.Assertion]
) -> InputDataset:
    if assertions:
        facet = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions)
        dataset.inputFacets = {"dataQualityAssertions": facet}
    return dataset


def _documentation(text: str) -> DatasetFacet:
    return documentation_dataset.DocumentationDatasetFacet(description=text)


def _ownership(owner: str | None) -> Facets:
    if owner is None:
        return {}
    return {"ownership": ownership_dataset.OwnershipDatasetFacet([ownership_dataset.Owner(owner, "OWNER")])}


def _statistics(rows: int | None, size: int | None = None) -> Any:
    return output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size)


def _host_of(options: Any) -> str:
    """The host that a connector's options name; ``local`` where they name none."""
    for field in ("url", "root", "repository"):
        host = urlsplit(str(getattr(options, field, None) or "")).hostname
        if host:
            return host
    return "local"
