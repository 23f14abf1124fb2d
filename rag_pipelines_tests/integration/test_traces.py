"""Traces as a collector gets them: what has a span, in which trace it is, and what no span may hold."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from rag_pipelines import otlp, tracing
from rag_pipelines.config.query import RerankSettings
from rag_pipelines.embedding.batch import embed_all
from rag_pipelines.embedding.openai import OpenAIEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import TransientError
from rag_pipelines.http.credentials import Anonymous
from rag_pipelines.http.session import HttpSession, Transport
from rag_pipelines.query.rerank import ServiceReranker
from rag_pipelines_tests.doubles.collector import Collector, Received, collecting
from rag_pipelines_tests.integration.serving import HR, served, two_tenants
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.unit.embedding import endpoint

Call = Callable[..., Result]

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""A trace that is kept, as in W3C's own example."""

UNKEPT = CALLER[:-1] + "0"

EMBEDDINGS = f"embeddings {EmbeddingProfile(provider='hash').model}"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """What is sent to it, with every statement, however brief."""
    for name in ("TRACEPARENT", "OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tracing, "BRIEF", 0.0)
    with collecting() as made:
        yield made


@pytest.fixture
def traced(workspace: Workspace, collector: Collector) -> Workspace:
    """A workspace whose traces go to the collector."""
    workspace.document["telemetry"] = {"traces": {"endpoint": collector.url}}
    return workspace


class Tree:
    """Spans by what they are inside of."""

    def __init__(self, spans: list[Received]) -> None:
        self._spans = spans
        self._by_number = {span.number: span for span in spans}

    def paths(self) -> set[str]:
        """Every span by the names from the outermost one to it."""
        return {self.path(span) for span in self._spans}

    def path(self, span: Received) -> str:
        above = self._by_number.get(span.inside)
        return span.name if above is None else f"{self.path(above)} > {span.name}"

    def one(self, path: str) -> Received:
        (found,) = (span for span in self._spans if self.path(span) == path)
        return found


def test_a_run_is_one_trace_from_the_command_to_the_documents_in_a_worker_process(
    traced: Workspace, collector: Collector, call: Call
):
    del traced.document["limits"]
    traced.write("heron.md", "# Herons\n\nThe grey heron waits.")

    assert call("ingest").exit_code == 0

    tree, run = Tree(collector.spans), "rag-pipelines ingest > run"
    working = f"{run} > parse, chunk and embed"
    assert tree.paths() >= {
        f"{run} > groups",
        f"{run} > list and load > list",
        f"{run} > list and load > load",
        f"{run} > list and load > commit > put_document",
        f"{working} > parse > parse document",
        f"{working} > parse > chunk document",
        f"{working} > embed > {EMBEDDINGS}",
        f"{working} > embed > commit",
        f"{working} > commit > finish_documents",
    }
    assert len({span.trace for span in collector.spans}) == 1
    ran = tree.one(run).attributes
    told = {
        name: ran[f"rag.{name}"] for name in ("source", "connector", "outcome", "listed", "added", "parsed")
    }
    assert told == {
        "source": "docs",
        "connector": "filesystem",
        "outcome": "complete",
        "listed": 1,
        "added": 1,
        "parsed": 1,
    }
    embedding = tree.one(f"{working} > embed > {EMBEDDINGS}").attributes
    assert (embedding["gen_ai.operation.name"], embedding["gen_ai.provider.name"]) == ("embeddings", "hash")
    assert embedding["gen_ai.usage.input_tokens"] > 0
    worked = tree.one(f"{working} > parse > parse document")
    assert 0 < worked.seconds < tree.one(working).seconds
    assert worked.attributes["rag.media_type"] == "text/markdown"
    resource = collector.resource
    assert resource["service.name"] == "rag-pipelines"
    assert resource["service.version"]


def test_a_span_says_how_much_of_its_time_is_in_none_inside_it(
    traced: Workspace, collector: Collector, call: Call
):
    traced.write("heron.md", "# Herons\n\nThe grey heron waits.")
    call("ingest")

    spans = collector.spans
    run = next(span for span in spans if span.name == "run")
    inside = sum(span.seconds for span in spans if span.inside == run.number)
    assert run.attributes["rag.unaccounted_ms"] == pytest.approx(1000 * (run.seconds - inside), abs=2)


def test_a_build_has_a_span_for_each_phase_and_each_gate(traced: Workspace, collector: Collector, call: Call):
    traced.write("heron.md", "# Herons\n\nThe grey heron waits.")
    call("ingest")
    collector.bodies.clear()

    assert call("index", "build", "main").exit_code == 0

    tree = Tree(collector.spans)
    build = "rag-pipelines index > build"
    assert tree.paths() >= {
        f"{build} > {phase}"
        for phase in (
            "look out",
            "loading words",
            "loading vectors",
            "settle",
            "turning words around",
            "building postings",
            "indexing words and vectors",
            "finish",
        )
    }
    assert f"{build} > indexing words and vectors > building the vector index" in tree.paths()
    assert {"rag-pipelines index > judge", "rag-pipelines index > promote"} <= tree.paths()
    built = tree.one(build).attributes
    assert (built["rag.index"], built["rag.build"], built["rag.rows"]) == ("main", "full", 1)
    gates = {span.attributes["rag.gate"]: span for span in collector.spans if span.name == "gate"}
    assert gates.keys() >= {"row_parity", "recall", "access_proof", "quality"}
    assert gates["row_parity"].attributes["rag.passed"] is True
    judged = {tree.path(span) for span in gates.values()}
    assert judged == {"rag-pipelines index > judge > gate"}


def test_a_search_over_http_is_in_the_trace_of_its_caller(
    tmp_path: Any, database_url: str, collector: Collector
):
    workspace = two_tenants(tmp_path, database_url)
    workspace.document["indexes"]["main"]["stages"] = {"per_document": 2}
    workspace.document["telemetry"] = {"traces": {"endpoint": collector.url}}
    with otlp.running(workspace.settings.telemetry.target), served(workspace) as client:
        answer = client.post(
            "/v1/search",
            json={"query": "harbour"},
            headers={"X-API-Key": HR, "traceparent": CALLER, "X-Request-ID": "from-the-caller"},
        )
        assert answer.status_code == 200
        assert client.get("/healthz").status_code == 200
    workspace.close()

    ours = [span for span in collector.spans if span.trace == CALLER.split("-")[1]]
    tree = Tree(ours)
    request = tree.one("POST /v1/search")
    assert request.inside == CALLER.split("-")[2]
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["rag.request_id"] == "from-the-caller"
    search = "POST /v1/search > search"
    assert tree.paths() >= {
        f"{search} > {EMBEDDINGS}",
        f"{search} > scope",
        f"{search} > search",
        f"{search} > words_asked",
        f"{search} > per_document",
    }
    asked = tree.one(search).attributes
    assert (asked["rag.index"], asked["rag.mode"], asked["rag.k"]) == ("main", "hybrid", 10)
    assert asked["rag.unaccounted_ms"] >= 0
    assert not [span for span in collector.spans if "healthz" in str(span)]


def test_no_span_holds_text_names_questions_or_principals(
    tmp_path: Any, database_url: str, collector: Collector, call: Call, workspace: Workspace
):
    """Searched as bytes, in everything that the collector was sent, failures included."""
    workspace.document["telemetry"] = {"traces": {"endpoint": collector.url}}
    workspace.document["sources"]["docs"]["options"]["root"] = str(workspace.docs)
    workspace.write("merger-plans/.access.yaml", "allow: [group:board]\n")
    workspace.write("merger-plans/kingfisher.md", "# Halcyon\n\nThe kestrel buys Wodehouse in spring.")
    workspace.write("merger-plans/locked-treaty.pdf", b"%PDF-1.4 this is no PDF that anybody could open")
    assert call("ingest").exit_code == 3
    assert call("index", "build", "main").exit_code == 0
    assert "Wodehouse in spring" in call("query", "who buys Wodehouse", "--as", "group:board").stdout
    assert call("query", " ").exit_code == 2
    running = otlp.running(workspace.settings.telemetry.target)
    with running, pytest.raises(RuntimeError), tracing.span("anything"):
        raise RuntimeError("kestrel in merger-plans/kingfisher.md")

    sent = b"".join(collector.bodies)
    names = {span.name for span in collector.spans}
    assert {"run", "build", "search", "gate", "anything", "parse document"} <= names
    for planted in (
        *(b"Halcyon", b"kestrel", b"Wodehouse", b"spring"),
        *(b"kingfisher", b"merger-plans", b"locked-treaty", str(workspace.docs).encode()),
        *(b"board", b"who buys"),
    ):
        assert planted not in sent
        assert planted.lower() not in sent.lower()


def test_the_page_of_traces_names_every_span_but_statements(
    traced: Workspace, collector: Collector, call: Call
):
    traced.document["telemetry"]["traces"]["statements"] = False
    traced.document["indexes"]["main"]["full_build_share"] = 1.0
    for number in range(4):
        traced.write(f"{number}.md", f"# Bird {number}\n\nIt sings.")
        call("ingest")
        call("index", "build", "main")
    call("index", "gc")
    call("query", "who sings")

    page = Path(__file__).parents[2] / "docs" / "operations" / "traces.md"
    table = page.read_text().partition("{ #spans }")[2].partition("Inside these")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    names = {span.name for span in collector.spans}
    assert {"catch up", "settle", "keep spare"} <= names
    known = {name for name in names if name in told or name.startswith(("rag-pipelines ", "embeddings "))}
    assert names == known


def test_a_failure_is_marked_by_its_kind(traced: Workspace, collector: Collector, call: Call):
    traced.document["sources"]["docs"]["options"]["root"] = str(traced.folder / "away")

    assert call("ingest").exit_code != 0

    (run,) = (span for span in collector.spans if span.name == "run")
    assert run.failed
    assert run.attributes["error.type"].endswith("Error")
    assert run.attributes["rag.outcome"] == "failed"


@pytest.mark.parametrize("answers", [None, 503])
def test_a_collector_that_is_down_costs_a_run_nothing_but_one_warning(
    answers: int | None, traced: Workspace, collector: Collector, call: Call
):
    if answers is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            traced.document["telemetry"]["traces"]["endpoint"] = f"http://127.0.0.1:{free.getsockname()[1]}"
    else:
        collector.answers = answers
    traced.write("heron.md", "# Herons\n\nThe grey heron waits.")

    result = call("--log-level", "warning", "ingest")

    assert result.exit_code == 0
    assert traced.stored() == {"heron.md"}
    assert result.stderr.count("traces cannot be sent") == 1
    assert len(result.stderr.splitlines()) == 1


def test_the_end_of_a_process_waits_so_long_for_a_collector_that_does_not_answer(
    traced: Workspace, collector: Collector, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(otlp, "DRAIN_SECONDS", 0.3)
    collector.silent.clear()
    otlp.start(traced.settings.telemetry.target)
    with tracing.span("work"):
        pass

    began = time.monotonic()
    otlp.stop()

    assert 0.3 <= time.monotonic() - began < 5


def test_the_end_of_a_process_does_not_wait_for_a_collector_that_refused(
    monkeypatch: pytest.MonkeyPatch, collector: Collector
):
    """It would be tried again, after longer and longer pauses, for a minute."""
    monkeypatch.setattr(otlp, "DRAIN_SECONDS", 60)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    collector.answers = 503
    otlp.start(otlp.Target(endpoint=collector.url))
    with tracing.span("work"):
        pass

    began = time.monotonic()
    otlp.stop()

    assert time.monotonic() - began < 20


def test_headers_of_the_configuration_go_to_the_collector_and_are_never_shown(
    traced: Workspace, collector: Collector, call: Call
):
    traced.document["telemetry"]["traces"]["headers"] = {"Authorization": "Bearer of-the-bank"}

    call("status")

    assert {sent["authorization"] for sent in collector.headers} == {"Bearer of-the-bank"}
    assert "of-the-bank" not in call("config", "show").stdout


def test_the_variables_of_opentelemetry_do_alone(
    workspace: Workspace, collector: Collector, call: Call, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ingest-of-the-bank")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=knowledge")

    call("status")

    assert collector.spans
    assert collector.resource["service.name"] == "ingest-of-the-bank"
    assert collector.resource["team"] == "knowledge"
    collector.bodies.clear()
    for name, value in (("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            call("status")
        assert not collector.bodies


def test_a_command_goes_on_the_trace_that_it_is_given(
    traced: Workspace, collector: Collector, call: Call, monkeypatch: pytest.MonkeyPatch
):
    call("--traceparent", CALLER, "status")
    monkeypatch.setenv("TRACEPARENT", CALLER)
    call("status")

    assert {span.trace for span in collector.spans} == {CALLER.split("-")[1]}
    assert {span.inside for span in collector.spans if span.name == "rag-pipelines status"} == {
        CALLER.split("-")[2]
    }


def test_what_is_not_kept_has_no_spans_at_all(traced: Workspace, collector: Collector, call: Call):
    traced.write("heron.md", "# Herons\n\nThe grey heron waits.")
    call("--traceparent", UNKEPT, "ingest")
    traced.document["telemetry"]["traces"]["sample"] = 0.0
    call("ingest")
    assert not collector.bodies

    call("--traceparent", CALLER, "ingest")

    assert collector.spans


def test_brief_statements_have_no_spans_and_their_time_is_accounted_for(
    traced: Workspace, collector: Collector, call: Call, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tracing, "BRIEF", 3600.0)
    traced.write("heron.md", "# Herons\n\nThe grey heron waits.")

    call("ingest")

    assert not [span for span in collector.spans if "db.system.name" in span.attributes]
    (commit, *_) = [span for span in collector.spans if span.name == "commit"]
    assert commit.attributes["rag.unaccounted_ms"] < 1000 * commit.seconds


def test_statements_can_be_left_out(traced: Workspace, collector: Collector, call: Call):
    traced.document["telemetry"]["traces"]["statements"] = False
    traced.write("heron.md", "# Herons\n\nThe grey heron waits.")

    call("ingest")

    assert "commit" in {span.name for span in collector.spans}
    assert not [span for span in collector.spans if "db.system.name" in span.attributes]


def test_a_source_is_told_the_trace(collector: Collector):
    target = otlp.Target(endpoint=collector.url)
    with collecting() as asked, otlp.running(target), tracing.span("run"):
        credential = Anonymous(asked.url)
        session = HttpSession(credential, Transport(credential))
        session.get_bytes(f"{asked.url}/page", 1000)
        told = asked.headers[0]["traceparent"]

    (span,) = collector.spans
    assert told.split("-")[1:3] == [span.trace, span.number]


def test_remote_models_are_told_the_trace_from_every_thread(collector: Collector):
    target = otlp.Target(endpoint=collector.url)
    rerank = {"provider": "tei", "url": f"{collector.url}/rerank"}
    with endpoint.serve() as model, otlp.running(target), tracing.span("run"):
        profile = EmbeddingProfile(
            provider="openai",
            model="small",
            base_url=model.url,
            dimensions=endpoint.DIMENSIONS,
            batch_size=1,
            concurrency=2,
        )
        embedder = OpenAIEmbedder(profile)
        list(embed_all(embedder, ["one", "two", "three"]))
        with pytest.raises(TransientError):
            ServiceReranker(RerankSettings.model_validate(rerank)).scores("q", ["p"], time.monotonic() + 30)
        told = [sent for sent in model.traces if sent is not None]
        reranked = collector.headers[0]["traceparent"]

    collector.bodies.pop(0)
    embeddings, run = collector.spans
    assert [one.split("-")[1:3] for one in told] == [[run.trace, embeddings.number]] * 3
    assert reranked.split("-")[1:3] == [run.trace, run.number]
    assert embeddings.attributes["gen_ai.request.model"] == "small"
    assert embeddings.attributes["gen_ai.usage.input_tokens"] == embedder.usage.tokens > 0


def test_without_a_place_to_send_them_neither_library_is_even_imported(workspace: Workspace):
    workspace.write("heron.md", "# Herons\n\nThe grey heron waits.")
    program = (
        "import sys\n"
        "from rag_pipelines.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print([name for name in sys.modules if name.startswith('open')])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "--config", str(workspace.config_file), "ingest"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_an_endpoint_with_a_login_in_it_is_refused(workspace: Workspace, call: Call):
    workspace.document["telemetry"] = {"traces": {"endpoint": "https://ann:secret@collector.example"}}

    result = call("config", "check")

    assert result.exit_code == 2
    assert "telemetry.traces.endpoint" in result.stderr
    assert "logins go into 'headers'" in result.stderr
