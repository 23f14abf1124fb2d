"""Emergency switches: in force for the next query of whatever reader, and gone with the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import Result as CliResult

from rag_pipelines.errors import SwitchedOffError, TransientError, UsageError
from rag_pipelines.index.build import build_index
from rag_pipelines.monitoring.catalogue import CatalogueMetrics
from rag_pipelines.query.asynchronous import AsyncSearcher
from rag_pipelines.query.explain_access import explain
from rag_pipelines.query.hits import Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.retention.purge import purge_document
from rag_pipelines.store.switches import Switch, in_force, turn_off, turn_on
from rag_pipelines_tests.integration.workspace import Workspace

QUESTION = "what is a quetzalcoatlus"


@pytest.fixture
def two(workspace: Workspace) -> Workspace:
    """Two sources in one index, with a reranker, neighbours and kept results."""
    text = "# Quetzalcoatlus\n\nA quetzalcoatlus is a pterosaur.\n\n# More\n\nIt flew."
    other = workspace.folder / "other"
    other.mkdir()
    (other / "other.md").write_text(text)
    source = {"connector": "filesystem", "options": {"root": str(other)}, "access": "public"}
    workspace.document["sources"]["other"] = source
    workspace.document["indexes"]["main"] |= {
        "sources": ["docs", "other"],
        "stages": {"neighbours": {"before": 1, "after": 1}},
    }
    workspace.document["query"] = {"cache": {"results": 10_000_000}}
    workspace.write("bird.md", "# Birds\n\nA quetzalcoatlus is no bird.")
    workspace.write("fish.md", "# Fish\n\nA herring is a fish.")
    workspace.ingest()
    workspace.ingest("other")
    workspace.refresh()
    return workspace


@pytest.fixture
def searcher(two: Workspace) -> Iterator[Searcher]:
    with Searcher(two.database, two.settings, "main") as made:
        yield made


def switch(workspace: Workspace, kind: str, target: str = "", **more: Any) -> Switch:
    return turn_on(workspace.database, workspace.settings, kind, target, reason="of a leak", **more)


def off(workspace: Workspace, kind: str, target: str = "") -> None:
    turn_off(workspace.database, workspace.settings, kind, target)


def asked(searcher: Searcher, **more: Any) -> Result:
    return searcher.search(QUESTION, tenant="default", **more)


def sources(result: Result) -> set[str]:
    return {hit.source for hit in result.hits}


def test_documents_of_a_source_that_is_off_are_in_no_answer_from_the_next_query_on(
    two: Workspace, searcher: Searcher
) -> None:
    before = asked(searcher)
    assert sources(before) == {"docs", "other"}

    switch(two, "source-off", "other")
    hidden = [asked(searcher, mode=mode) for mode in ("hybrid", "lexical", "dense")]
    hidden += [asked(searcher), asked(searcher, k=1), searcher.search('"quetzalcoatlus"', tenant="default")]

    assert {name for result in hidden for name in sources(result)} == {"docs"}
    assert all(result.hits for result in hidden)
    assert {result.notes for result in hidden} == {("nothing of source other because of a leak",)}
    off(two, "source-off", "other")
    after = asked(searcher)
    assert (sources(after), after.notes) == (sources(before), ())


def test_a_kept_result_is_not_given_under_other_switches(two: Workspace, searcher: Searcher) -> None:
    asked(searcher)
    assert asked(searcher).cached
    switch(two, "source-off", "other")
    assert not asked(searcher).cached
    assert asked(searcher).cached
    assert sources(asked(searcher)) == {"docs"}
    off(two, "source-off", "other")
    assert sources(asked(searcher)) == {"docs", "other"}


def test_a_switch_that_runs_out_ends_by_itself(two: Workspace, searcher: Searcher) -> None:
    switch(two, "source-off", "other", duration=timedelta(hours=1))
    assert sources(asked(searcher)) == {"docs"}
    with two.database.connection() as connection:
        connection.execute("UPDATE rag.switch SET until = now() - interval '1 second'")

    assert sources(asked(searcher)) == {"docs", "other"}
    with two.database.connection() as connection:
        assert in_force(connection) == []
    with pytest.raises(UsageError, match="is not on"):
        off(two, "source-off", "other")


def test_a_searcher_of_one_version_obeys_and_judging_one_does_not(two: Workspace) -> None:
    (version,) = two.rows("SELECT version_id FROM rag.index_version WHERE state = 'live'")
    switch(two, "source-off", "other")
    for purpose, shown in (("answer", {"docs"}), ("judge", {"docs", "other"})):
        with Searcher(
            two.database,
            two.settings,
            "main",
            version=version["version_id"],
            purpose=purpose,  # type: ignore[arg-type]
        ) as made:
            assert sources(asked(made)) == shown


def test_an_explanation_says_that_the_source_is_off(two: Workspace) -> None:
    switch(two, "source-off", "other")
    with two.database.connection() as connection:
        found = explain(connection, "other", "other.md")
        assert explain(connection, "docs", "bird.md").may_read

    assert not found.may_read
    assert "source other is switched off: of a leak" in found.reasons


def test_the_command_that_asks_and_the_asynchronous_searcher_obey(
    two: Workspace, call: Callable[..., CliResult]
) -> None:
    switch(two, "source-off", "other")

    async def ask() -> Result:
        with Searcher(two.database, two.settings, "main") as made:
            return await AsyncSearcher(made).search(QUESTION, tenant="default")

    done = call("query", QUESTION, "--index", "main", "--context", "500")
    assert "pterosaur" not in done.stdout
    assert "no bird" in done.stdout
    assert "nothing of source other because of a leak" in done.stderr
    assert sources(asyncio.run(ask())) == {"docs"}


def test_an_index_that_is_lexical_only_embeds_no_question(
    two: Workspace, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the endpoint of the model is down, which the switch is for."""
    asked(searcher)

    def down(*_: object) -> None:
        raise TransientError("the endpoint is down")

    monkeypatch.setattr(type(searcher._pin().embedder), "embed_query", down)
    with pytest.raises(TransientError):
        searcher.search("another question about a bird", tenant="default")
    switch(two, "lexical-only", "main")

    found = searcher.search("another question about a bird", tenant="default")

    assert (found.mode, found.notes) == ("lexical", ("lexical only because of a leak",))
    assert found.hits
    assert all(hit.scores.dense_rank is None for hit in found.hits)
    off(two, "lexical-only", "main")
    with pytest.raises(TransientError):
        searcher.search("a third question about a bird", tenant="default")


def test_a_reranker_that_is_off_is_not_asked(two: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from rag_pipelines.query.rerank import Rerank

    two.document["indexes"]["main"]["stages"]["rerank"] = {"provider": "tei", "url": "http://127.0.0.1:9"}

    def asked_all_the_same(*_: object) -> None:
        raise AssertionError("the reranker was asked")

    monkeypatch.setattr(Rerank, "apply", asked_all_the_same)
    switch(two, "reranker-off", "main")
    with Searcher(two.database, two.settings, "main") as made:
        found = asked(made)

    assert found.notes == ("not reranked because of a leak",)
    assert "left out because of a leak" in {step.note for step in found.steps if step.stage == "rerank"}
    assert sources(found) == {"docs", "other"}


def test_where_ingest_is_read_only_nothing_is_written_and_searches_go_on(
    two: Workspace, searcher: Searcher
) -> None:
    two.write("new.md", "# New")
    switch(two, "read-only")
    writers: dict[str, Callable[[], object]] = {
        "a run over source 'docs'": two.ingest,
        "a build of index 'main'": lambda: build_index(two.runtime, "main"),
        "the purge of docs:fish.md": lambda: purge_document(
            two.database, two.settings, "docs", "fish.md", even_if_present=True
        ),
        "collecting garbage": lambda: collect_garbage(two.database, two.settings),
    }

    for what, write in writers.items():
        with pytest.raises(SwitchedOffError, match=f"{what} is refused: read-only since .* of a leak"):
            write()

    assert asked(searcher).hits
    off(two, "read-only")
    two.ingest()
    assert two.rows("SELECT 1 FROM rag.document WHERE external_id = 'new.md'")


def test_a_run_that_is_under_way_writes_no_further_batch(two: Workspace) -> None:
    for number in range(30):
        two.write(f"new{number}.md", f"# New {number}")
    seen = []

    def turn_on_meanwhile(stage: str, done: int, total: int | None) -> None:
        if not seen:
            seen.append(stage)
            switch(two, "read-only")

    with pytest.raises(SwitchedOffError, match="writing of source 'docs' is refused"):
        two.ingest(progress=turn_on_meanwhile)


def test_switches_are_audited_with_who_and_why(two: Workspace) -> None:
    switch(two, "lexical-only", "main", actor="ann", duration=timedelta(hours=2))
    turn_on(two.database, two.settings, "lexical-only", "main", reason="still down", actor="bob")
    off(two, "lexical-only", "main")

    rows = two.rows(
        "SELECT actor, action, subject, detail ->> 'reason' AS reason FROM rag.audit"
        " WHERE action LIKE 'switch%%' ORDER BY audit_id"
    )
    assert [(row["action"], row["subject"]) for row in rows] == [
        ("switch on", "lexical-only main"),
        ("switch on", "lexical-only main"),
        ("switch off", "lexical-only main"),
    ]
    assert [row["actor"] for row in rows[:2]] == ["ann", "bob"]
    assert [row["reason"] for row in rows[:2]] == ["of a leak", "still down"]


@pytest.mark.parametrize(
    ("kind", "target", "says"),
    [
        ("source_off", "docs", "valid: source-off, lexical-only, reranker-off, canary-off, read-only"),
        ("source-off", "nothing", "there is no source 'nothing'; valid: docs"),
        ("lexical-only", "docs", "there is no index 'docs'; valid: main"),
        ("lexical-only", "", "needs the name of its index; valid: main"),
        ("read-only", "main", "leave 'main' out"),
    ],
)
def test_a_wrong_switch_is_refused_with_what_is_valid(
    workspace: Workspace, kind: str, target: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        switch(workspace, kind, target)


def test_a_switch_needs_a_reason(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="reason"):
        turn_on(workspace.database, workspace.settings, "read-only", reason=" ")


def test_status_doctor_and_metrics_name_what_is_on(two: Workspace, call: Callable[..., CliResult]) -> None:
    assert (
        call(
            "switch", "on", "source-off", "other", "--reason", "a leak", "--for", "2h", "--by", "ann"
        ).exit_code
        == 0
    )

    assert "switched: source-off other since" in call("status").stderr
    assert "source-off other since" in call("doctor").stdout
    assert "source-off other" in call("switch", "list").stdout
    (age,) = [
        m
        for m in CatalogueMetrics(two.database, two.settings).collect()
        if m.name == "rag_switch_age_seconds"
    ]
    assert [sample.labels for sample in age.samples] == [{"switch": "source-off", "target": "other"}]
    assert call("switch", "off", "source-off", "other").exit_code == 0
    assert "no switch is on" in call("switch", "list").stdout
    assert "ann" in call("switch", "list", "--all").stdout
