"""The front door: one object from a configuration to a cited answer, which ends together and says so."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import rag_pipelines
from rag_pipelines.errors import ConfigError, GateError, UsageError
from rag_pipelines.index.promotion import Override
from rag_pipelines_tests.databases import database_of
from rag_pipelines_tests.integration.workspace import Workspace

TRAVEL = "# Travel policy\n\n## Meals\n\nWhoever stays away overnight may claim 38 pounds a day for meals.\n"


@pytest.fixture
def rag(workspace: Workspace) -> Iterator[rag_pipelines.Pipeline]:
    """The workspace with one document, opened as a program opens it."""
    workspace.write("travel.md", TRAVEL)
    with rag_pipelines.open(workspace.config_file) as opened:
        yield opened


def test_one_object_leads_from_a_folder_to_a_cited_answer(rag: rag_pipelines.Pipeline):
    report = rag.sources["docs"].ingest()
    version = rag.indexes["main"].refresh()
    result = rag.indexes["main"].search("how much for meals?", tenant="default", k=1)
    context = rag.indexes["main"].pack(result, max_tokens=200)

    assert (report.sound, report.changes) == (True, {"added": 1})
    assert version is not None
    assert (version.state, result.version) == ("live", version.version_id)
    assert result.hits[0].citation == "Travel policy"
    assert "38 pounds" in context.text


@pytest.mark.parametrize("form", [str, Path, rag_pipelines.open.__globals__["load_config"]])
def test_it_opens_a_path_a_text_and_settings(workspace: Workspace, form: Callable[[Path], Path]):
    with rag_pipelines.open(form(workspace.config_file)) as rag:
        assert rag.settings == workspace.settings
        assert (list(rag.sources), list(rag.indexes)) == (["docs"], ["main"])


def test_without_a_configuration_it_opens_what_the_environment_names(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAG_CONFIG", str(workspace.config_file))

    with rag_pipelines.open() as rag:
        assert rag.settings == workspace.settings


def test_a_wrong_configuration_is_told_when_it_is_opened(tmp_path: Path):
    (tmp_path / "rag.yaml").write_text("sources: {docs: {connector: nowhere}}\n")

    with pytest.raises(ConfigError, match="nowhere"):
        rag_pipelines.open(tmp_path / "rag.yaml")


def test_an_unknown_name_is_answered_with_those_that_there_are(rag: rag_pipelines.Pipeline):
    with pytest.raises(UsageError, match="there is no source 'doc'; valid: docs"):
        rag.sources["doc"]
    with pytest.raises(UsageError, match="there is no index 'mian'; valid: main"):
        rag.indexes["mian"]
    with pytest.raises(UsageError, match="there is no index 'mian'; valid: main"):
        rag.searcher("mian")
    assert "doc" not in rag.sources
    assert rag.sources.get("doc") is None


def test_a_refresh_does_nothing_where_nothing_changed_unless_it_is_to_be_full(rag: rag_pipelines.Pipeline):
    rag.sources["docs"].ingest()
    first = rag.indexes["main"].refresh()

    assert first is not None
    assert rag.indexes["main"].refresh() is None
    again = rag.indexes["main"].refresh(full=True)
    assert again is not None
    assert again.version_id > first.version_id


def test_a_refresh_that_a_gate_refuses_leaves_the_live_version_and_a_candidate(workspace: Workspace):
    workspace.document["indexes"]["main"]["gates"]["max_chunk_drop"] = 0.0
    workspace.write("travel.md", TRAVEL)
    workspace.write("old.md", "Parking costs 4 pounds a day.")
    with rag_pipelines.open(workspace.settings) as rag:
        docs, main = rag.sources["docs"], rag.indexes["main"]
        docs.ingest()
        live = main.refresh()
        assert live is not None
        (workspace.docs / "old.md").unlink()
        docs.ingest()

        with pytest.raises(GateError) as refused:
            main.refresh()

        assert len(refused.value.reasons) == 1
        assert "chunk_statistics" in refused.value.reasons[0]
        assert [(one.state, one.version_id == live.version_id) for one in main.versions()] == [
            ("built", False),
            ("spare", False),
            ("live", True),
        ]
        promoted = main.promote(override=Override(["chunk_statistics"], "Ann", "it was out of date"))
        assert promoted == main.live()


def test_versions_are_built_judged_promoted_and_rolled_back_one_by_one(
    rag: rag_pipelines.Pipeline, workspace: Workspace
):
    docs, main = rag.sources["docs"], rag.indexes["main"]
    docs.ingest()
    first = main.build()
    assert main.live() is None
    assert all(gate.passed for gate in main.judge())
    main.promote()
    workspace.write("travel.md", TRAVEL.replace("38", "42"))
    docs.ingest()
    second = main.build(full=True)
    main.judge(second.version_id)
    main.promote(second.version_id)

    assert main.rollback().version_id == first.version_id
    assert main.rollback(second.version_id) == main.live()
    assert [one.version_id for one in main.versions()] == [second.version_id, first.version_id]


def test_a_plan_is_looked_at_and_then_applied_as_it_is(rag: rag_pipelines.Pipeline):
    docs = rag.sources["docs"]
    plan = docs.plan()

    assert (plan.changes, plan.chunks) == ({"added": 1}, 1)
    assert docs.apply(plan).changes == {"added": 1}
    assert docs.plan(rag_pipelines.Scope(full=True)).changes == {"unchanged": 1}


def test_a_plan_of_another_source_is_refused(workspace: Workspace):
    other = {**workspace.document["sources"]["docs"]}
    workspace.document["sources"]["other"] = other
    with rag_pipelines.open(workspace.settings) as rag:
        plan = rag.sources["other"].plan()

        with pytest.raises(UsageError, match="valid: what plan\\(\\) of source 'docs' gave"):
            rag.sources["docs"].apply(plan)


def test_freshness_and_completeness_come_from_the_data(rag: rag_pipelines.Pipeline, workspace: Workspace):
    docs, main = rag.sources["docs"], rag.indexes["main"]
    assert docs.freshness().listed_at is None
    docs.ingest()
    main.refresh()

    assert docs.freshness().listed_at is not None
    assert [one.complete for one in docs.verify()] == [True, True]
    assert main.freshness().behind == 0
    workspace.write("new.md", "Parking costs 4 pounds a day.")
    docs.ingest()
    assert main.freshness().behind == 1


def test_a_searcher_of_ones_own_ends_alone_and_says_so(rag: rag_pipelines.Pipeline):
    rag.sources["docs"].ingest()
    rag.indexes["main"].refresh()

    with rag.searcher("main") as searcher:
        result = searcher.search("meals", tenant="default")

    assert len(result.hits) == 1
    for use in (
        lambda: searcher.search("meals", tenant="default"),
        lambda: searcher.pack(result, 100),
        searcher.prepare,
    ):
        with pytest.raises(UsageError, match="this searcher of index 'main' is closed"):
            use()
    assert rag.indexes["main"].search("meals", tenant="default").hits == result.hits


def test_a_searcher_may_read_a_candidate(rag: rag_pipelines.Pipeline):
    rag.sources["docs"].ingest()
    candidate = rag.indexes["main"].build()

    with rag.searcher("main", version=candidate.version_id) as searcher:
        assert searcher.search("meals", tenant="default").version == candidate.version_id


def test_closing_gives_every_connection_back_and_what_comes_after_is_a_clear_error(
    rag: rag_pipelines.Pipeline, workspace: Workspace
):
    docs, main = rag.sources["docs"], rag.indexes["main"]
    docs.ingest()
    main.refresh()
    searcher = rag.searcher("main")
    for search in (main.search, searcher.search):
        assert search("meals", tenant="default").hits

    assert _connections(workspace)
    rag.close()
    rag.close()

    assert _connections(workspace) == []
    for use in (docs.ingest, docs.plan, docs.verify, docs.freshness):
        with pytest.raises(UsageError, match="this pipeline is closed; open it again"):
            use()
    for use in (main.refresh, main.build, main.judge, main.promote, main.rollback, main.versions, main.live):
        with pytest.raises(UsageError, match="this pipeline is closed; open it again"):
            use()
    with pytest.raises(UsageError, match="this pipeline is closed; open it again"):
        rag.searcher("main")
    for search in (main.search, searcher.search):
        with pytest.raises(UsageError, match="this searcher of index 'main' is closed"):
            search("meals", tenant="default")


def test_importing_the_package_imports_nothing_else_of_it():
    loaded = _loaded_by("import rag_pipelines; rag_pipelines.__version__; dir(rag_pipelines)")

    assert {name for name in loaded if name.startswith("rag_pipelines")} == {"rag_pipelines"}
    assert not {"typing", "pydantic", "psycopg", "msgspec", "numpy"} & loaded


def test_the_front_door_loads_neither_an_orchestrator_nor_a_model_runtime():
    heavy = {"dagster", "torch", "transformers", "openvino", "great_expectations", "scipy", "rich", "typer"}

    assert not heavy & _loaded_by("import rag_pipelines; rag_pipelines.open")


def test_every_name_of_the_package_is_there_and_no_other():
    assert all(hasattr(rag_pipelines, name) for name in rag_pipelines.__all__)
    assert set(rag_pipelines.__all__) < set(dir(rag_pipelines))
    with pytest.raises(AttributeError, match="module 'rag_pipelines' has no attribute 'opne'"):
        rag_pipelines.opne  # noqa: B018


def _connections(workspace: Workspace) -> list[psycopg.Connection]:
    """What this process has open to the database of the test."""
    name = database_of(workspace.url)
    every = (one for one in gc.get_objects() if isinstance(one, psycopg.Connection))
    return [one for one in every if not one.closed and one.info.dbname == name]


def _loaded_by(code: str) -> set[str]:
    """The modules that a new process has after running `code`."""
    told = f"import sys; {code}; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", told], capture_output=True, text=True, check=True
        ).stdout.split()
    )
