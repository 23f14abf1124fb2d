"""Lineage as a receiver gets it: what events say, that they are valid, and that no run fails by them."""

from __future__ import annotations

import importlib
import json
import pkgutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attr
import jsonschema
import pytest
from openlineage.client import generated
from referencing import Registry, Resource
from typer.testing import Result

from rag_pipelines.monitoring.lineage_facts import VERSION_FACET, VERSION_SCHEMA
from rag_pipelines_tests.doubles.collector import Collector, collecting
from rag_pipelines_tests.integration.workspace import Workspace

Call = Callable[..., Result]
Event = dict[str, Any]

QUESTION = {"id": "q1", "query": "what waits", "expect": [{"path": "heron.md"}]}


@pytest.fixture
def told(workspace: Workspace) -> Callable[[], list[Event]]:
    """The events that were written to a file; the workspace has owners, a known source and a golden set."""
    workspace.document["telemetry"] = {"lineage": {"file": "events/lineage.ndjson"}}
    workspace.document["sources"]["docs"]["owner"] = "team:knowledge"
    workspace.document["indexes"]["main"]["owner"] = "team:search"
    workspace.write("heron.md", "# Herons\n\nThe grey heron waits.")
    file = workspace.folder / "events" / "lineage.ndjson"
    return lambda: [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def kinds(events: list[Event]) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events]


def test_a_run_over_a_source_leads_from_the_source_to_what_is_stored(
    workspace: Workspace, told: Callable[[], list[Event]], call: Call
):
    assert call("ingest").exit_code == 0

    began, ended = told()
    assert kinds([began, ended]) == [("ingest.docs", "START"), ("ingest.docs", "COMPLETE")]
    assert began["run"]["runId"] == ended["run"]["runId"]
    (source,), (stored,) = ended["inputs"], ended["outputs"]
    assert (source["namespace"], source["name"]) == ("filesystem://local", "docs")
    assert source["facets"]["ownership"]["owners"] == [{"name": "team:knowledge", "type": "OWNER"}]
    assert stored["namespace"].startswith("postgres://localhost:")
    assert stored["name"].endswith(".rag.document.docs")
    assert stored["outputFacets"]["outputStatistics"]["rowCount"] == 1
    assert stored["outputFacets"]["outputStatistics"]["size"] == (workspace.docs / "heron.md").stat().st_size


def test_a_build_leads_from_what_is_stored_to_a_version_and_its_gates(
    workspace: Workspace, told: Callable[[], list[Event]], call: Call
):
    golden = workspace.folder / "birds.jsonl"
    golden.write_text(json.dumps(QUESTION))
    workspace.document["indexes"]["main"]["golden"] = str(golden)
    assert call("ingest").exit_code == 0
    assert call("quality", "run", "docs").exit_code == 0
    assert call("index", "build", "main").exit_code == 0

    events = told()[2:]
    assert kinds(events) == [
        (job, kind) for job in ("build.main", "judge.main") for kind in ("START", "COMPLETE")
    ]
    build, judged = events[1], events[3]
    (stored,), (built,) = build["inputs"], build["outputs"]
    suites = {one["assertion"]: one for one in stored["inputFacets"]["dataQualityAssertions"]["assertions"]}
    assert all(one["success"] for one in suites.values())
    assert {name.partition(".")[0] for name in suites} == {"documents", "chunks", "vectors"}
    number = workspace.rows("SELECT version_id FROM rag.index_version")[0]["version_id"]
    assert built["name"].endswith(".rag.index.main")
    assert built["facets"]["version"]["datasetVersion"] == str(number)
    assert built["outputFacets"]["outputStatistics"]["rowCount"] == 1
    assert built["facets"]["ownership"]["owners"][0]["name"] == "team:search"
    columns = {one["name"]: one["type"] for one in built["facets"]["schema"]["fields"]}
    assert columns["embedding"].startswith("halfvec(")
    (version,) = judged["inputs"]
    gates = {one["assertion"]: one for one in version["inputFacets"]["dataQualityAssertions"]["assertions"]}
    assert gates.keys() >= {"row_parity", "recall", "access_proof", "quality"}
    assert gates["recall"]["expected"] == "0.5"
    facet = version["facets"][VERSION_FACET]
    assert (facet["state"], facet["version"], facet["documents"]) == ("validated", number, 1)
    assert facet["golden"]["name"] == "birds"
    assert facet["golden"]["figures"]["hybrid"]
    assert {one["name"] for one in facet["gates"]} == gates.keys()


def test_every_facet_is_what_its_class_in_the_package_takes(
    workspace: Workspace, told: Callable[[], list[Event]], call: Call
):
    """The package has a class for each of OpenLineage's schemas, made from it."""
    for event in every_kind(workspace, told, call):
        for name, facet in facets_of(event):
            if name == VERSION_FACET:
                continue
            fields = {field.name: field for field in attr.fields(class_of(facet))}
            needed = {field for field, one in fields.items() if one.default is attr.NOTHING}
            assert needed <= facet.keys() <= fields.keys()


def test_the_facet_of_a_version_is_valid_by_the_schema_that_is_shipped(
    workspace: Workspace, told: Callable[[], list[Event]], call: Call
):
    schema = json.loads(VERSION_SCHEMA.read_text())
    base, own = schema["$defs"]["RagIndexVersionDatasetFacet"]["allOf"]
    assert base["$ref"].startswith("https://openlineage.io/spec/")
    events = every_kind(workspace, told, call)
    versions = [facet for event in events for name, facet in facets_of(event) if name == VERSION_FACET]

    assert len(versions) == 3
    for facet in versions:
        assert facet["_schemaURL"] == f"{schema['$id']}#/$defs/RagIndexVersionDatasetFacet"
        jsonschema.validate(facet, own)
    with pytest.raises(jsonschema.ValidationError, match="'one' is not of type 'integer'"):
        jsonschema.validate({**versions[0], "version": "one"}, own)


def test_every_event_is_valid_by_the_schemas_of_openlineage(
    workspace: Workspace, told: Callable[[], list[Event]], call: Call, data_set: Callable[[str], Path]
):
    """Its folder `spec` is in no package."""
    files = [*data_set("openlineage-spec").rglob("*.json"), VERSION_SCHEMA]
    schemas = [json.loads(file.read_text()) for file in files]
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas
    )
    for event in every_kind(workspace, told, call):
        for part in (event["schemaURL"], *(facet["_schemaURL"] for _, facet in facets_of(event))):
            assert part.partition("#")[0] in registry
        said = [(event["schemaURL"], event), *((facet["_schemaURL"], facet) for _, facet in facets_of(event))]
        for reference, value in said:
            jsonschema.Draft202012Validator(
                {"$ref": reference}, registry=registry, format_checker=jsonschema.FormatChecker()
            ).validate(value)


def every_kind(workspace: Workspace, told: Callable[[], list[Event]], call: Call) -> list[Event]:
    """Events of each job that went well, and of one that failed."""
    call("ingest")
    call("quality", "run", "docs")
    call("index", "build", "main")
    workspace.document["sources"]["docs"]["options"]["root"] = str(workspace.folder / "away")
    call("ingest")
    events = told()
    assert {kind for _, kind in kinds(events)} == {"START", "COMPLETE", "FAIL"}
    assert len(events) == 8
    return events


def class_of(facet: Any) -> Any:
    """The class of the package for the schema of a facet."""
    name = facet["_schemaURL"].rpartition("/")[2]
    modules = [one.name for one in pkgutil.iter_modules(generated.__path__, "openlineage.client.generated.")]
    (found,) = (
        value
        for module in modules
        if (value := vars(importlib.import_module(module)).get(name)) and value.__module__ == module
    )
    return found


def facets_of(event: Event) -> Iterator[tuple[str, Any]]:
    """Every facet by its name."""
    for part in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        for kind in ("facets", "inputFacets", "outputFacets"):
            yield from part.get(kind, {}).items()


def test_a_failed_run_says_what_kind_of_failure_it_was_and_names_nothing(
    workspace: Workspace, told: Callable[[], list[Event]], call: Call
):
    workspace.document["sources"]["docs"]["options"]["root"] = str(workspace.folder / "merger-plans")

    assert call("ingest").exit_code != 0

    began, failed = told()
    assert kinds([began, failed]) == [("ingest.docs", "START"), ("ingest.docs", "FAIL")]
    assert began["run"]["runId"] == failed["run"]["runId"]
    message = failed["run"]["facets"]["errorMessage"]["message"]
    assert message.startswith("UnlistableError: ")
    assert "merger-plans" not in json.dumps([began, failed])


def test_events_hold_no_documents_callers_or_questions(
    workspace: Workspace, told: Callable[[], list[Event]], call: Call
):
    workspace.write("merger-plans/.access.yaml", "allow: [group:board]\n")
    workspace.write("merger-plans/kingfisher.md", "# Halcyon\n\nThe kestrel buys Wodehouse.")
    workspace.write("merger-plans/locked-treaty.pdf", b"%PDF-1.4 this is no PDF that anybody could open")
    call("ingest")
    call("quality", "run", "docs")
    call("index", "build", "main")

    sent = json.dumps(told()).lower()
    assert "judge.main" in sent
    for planted in (
        "halcyon",
        "wodehouse",
        "kingfisher",
        "merger",
        "treaty",
        "board",
        str(workspace.docs).lower(),
    ):
        assert planted not in sent


def test_events_go_by_http_with_their_login(
    workspace: Workspace, told: Callable[[], list[Event]], call: Call, collector: Collector
):
    workspace.document["telemetry"]["lineage"] = {
        "url": f"{collector.url}/gateway",
        "headers": {"Authorization": "Bearer of-the-bank"},
        "namespace": "knowledge",
        "sources": {"docs": {"namespace": "s3://handbook", "name": "docs"}},
    }

    assert call("ingest").exit_code == 0

    assert kinds(collector.events) == [("ingest.docs", "START"), ("ingest.docs", "COMPLETE")]
    assert {event["job"]["namespace"] for event in collector.events} == {"knowledge"}
    assert collector.paths == ["/gateway/api/v1/lineage"] * 2
    assert {sent["authorization"] for sent in collector.headers} == {"Bearer of-the-bank"}
    (source,) = collector.events[0]["inputs"]
    assert (source["namespace"], source["name"]) == ("s3://handbook", "docs")
    assert "of-the-bank" not in call("config", "show").stdout


@pytest.mark.parametrize(
    "fault", ["refused", "unavailable", "a file that cannot be written", "a folder that cannot be made"]
)
def test_a_receiver_that_is_down_fails_no_run(
    fault: str, workspace: Workspace, told: Callable[[], list[Event]], call: Call, collector: Collector
):
    lineage = workspace.document["telemetry"]["lineage"] = {"url": collector.url}
    if fault == "refused":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            lineage["url"] = f"http://127.0.0.1:{free.getsockname()[1]}"
    elif fault == "unavailable":
        collector.answers = 503
    else:
        name = "." if fault.startswith("a file") else "rag.yaml/lineage.ndjson"
        workspace.document["telemetry"]["lineage"] = {"file": name}

    result = call("--log-level", "warning", "ingest")

    assert result.exit_code == 0
    assert workspace.stored() == {"heron.md"}
    assert result.stderr.count("lineage not sent") == 2


def test_a_file_and_a_url_at_once_and_an_unknown_source_are_refused(workspace: Workspace, call: Call):
    workspace.document["telemetry"] = {
        "lineage": {
            "file": "lineage.ndjson",
            "url": "https://marquez.example",
            "sources": {"dcos": {"namespace": "s3://handbook", "name": "docs"}},
        }
    }

    result = call("config", "check")

    assert result.exit_code == 2
    assert "either 'file' or 'url'" in result.stderr
    assert "received 'dcos'; valid: the name of a source (docs)" in result.stderr


def test_a_build_that_found_nothing_to_do_names_no_version(
    workspace: Workspace, told: Callable[[], list[Event]], call: Call
):
    call("ingest")
    call("index", "build", "main")
    before = len(told())

    call("index", "build", "main", "--if-changed")

    began, ended = told()[before:]
    assert kinds([began, ended]) == [("build.main", "START"), ("build.main", "COMPLETE")]
    assert ended["outputs"] == []
