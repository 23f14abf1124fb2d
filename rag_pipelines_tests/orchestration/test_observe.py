"""What was done outside Dagster is shown by it: as the catalogue has it, once, for the right partition."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus

from rag_pipelines.connectors.file_trees import LocalTree
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import FetchError
from rag_pipelines.index.promotion import rollback
from rag_pipelines.orchestration.observe import catalogue_sensor, list_unrecorded
from rag_pipelines.quality.runner import check_source
from rag_pipelines.runtime import Runtime
from rag_pipelines.verification.verify import verify_source
from rag_pipelines_tests.orchestration.conftest import CHAIN, Shell, failed_checks


def looked(shell: Shell) -> Any:
    """What one evaluation of the sensor gives."""
    resources = {"settings": shell.workspace.settings, "database": shell.workspace.database}
    with dg.build_sensor_context(
        instance=shell.instance, resources=resources, definitions=shell.definitions
    ) as context:
        return catalogue_sensor(context)


def recorded(shell: Shell) -> list[str]:
    """What one run of the job records, as words."""
    result = shell.run("observe_catalogue")
    assert result.success
    return [
        f"{event.materialization.asset_key.path[-1]} {event.partition or ''}".strip()
        if event.is_step_materialization
        else f"{evaluated.asset_key.path[-1]}.{evaluated.check_name} {evaluated.partition or ''} "
        f"{'passed' if evaluated.passed else 'failed'}"
        for event in result.all_events
        if event.is_step_materialization or event.event_type_value == "ASSET_CHECK_EVALUATION"
        for evaluated in [event.event_specific_data]
    ]


def shown(shell: Shell, asset: str, partition: str | None, *names: str) -> list[Any]:
    """Figures of the newest materialization of an asset."""
    wanted = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey(["rag", *asset.split("/")]), asset_partitions=[partition] if partition else None
    )
    (record,) = shell.instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    return [record.asset_materialization.metadata[name].value for name in names]


def failing(shell: Shell, asset: str, check: str) -> set[str]:
    """The partitions for which Dagster shows that a check failed."""
    key = dg.AssetCheckKey(dg.AssetKey(["rag", *asset.split("/")]), check)
    partitions = shell.definitions.get_repository_def().asset_graph.get(key).partitions_def
    state = shell.instance.event_log_storage.get_asset_check_state([(key, partitions)])[key]
    subset = state.subsets[AssetCheckExecutionResolvedStatus.FAILED]
    return set(subset.value.get_partition_keys()) if partitions else {"all"} if subset.size else set()


def publish(shell: Shell) -> None:
    shell.workspace.ingest("docs")
    shell.workspace.ingest("team-notes")
    shell.workspace.publish()


def test_an_ingest_of_the_command_line_is_materializations_of_its_source(shell: Shell):
    shell.workspace.ingest("docs")

    assert isinstance(looked(shell), dg.RunRequest)
    assert recorded(shell) == [
        *(f"{asset} docs" for asset in CHAIN),
        "raw_documents.listing_complete docs passed",
        "raw_documents.deletions_decided docs passed",
        "raw_documents.fresh docs passed",
    ]
    assert shown(shell, "raw_documents", "docs", "documents_listed", "documents_added") == [6, 6]
    assert shown(shell, "embeddings", "docs", "dagster/partition_row_count")[0] >= 6
    assert recorded(shell) == []
    assert "shows what the catalogue holds" in looked(shell).skip_message


def test_a_version_of_the_command_line_is_a_candidate_with_its_gates_and_a_live_index(shell: Shell):
    publish(shell)
    said = recorded(shell)

    assert {"index_candidate", "live_index", "live_index.fresh  passed"} <= set(said)
    assert "index_candidate.row_parity  passed" in said
    assert shown(shell, "main/live_index", None, "version", "state") == [1, "live"]
    assert shown(shell, "main/index_candidate", None, "gate_recall")[0] >= 0.5
    assert recorded(shell) == []

    shell.workspace.write("more.md", "# More\n\nOf the same.")
    shell.workspace.refresh()
    rollback(shell.workspace.database, "main")
    recorded(shell)
    assert shown(shell, "main/index_candidate", None, "version") == [1], "the candidate was never seen"
    assert shown(shell, "main/live_index", None, "version") == [1]


def test_a_rollback_is_a_new_live_version(shell: Shell):
    publish(shell)
    shell.workspace.write("more.md", "# More\n\nOf the same.")
    shell.workspace.refresh()
    recorded(shell)
    assert shown(shell, "main/live_index", None, "version") == [2]

    rollback(shell.workspace.database, "main")

    assert recorded(shell)[0] == "live_index"
    assert shown(shell, "main/live_index", None, "version") == [1]


def test_what_runs_of_dagster_did_is_not_told_twice(shell: Shell):
    shell.ingest("docs")
    shell.ingest("team-notes")
    shell.run("build_index")
    shell.run("verify_source", "docs")

    assert list(list_unrecorded(shell.instance, shell.workspace.database, shell.workspace.settings)) == []


def test_a_verification_is_a_certificate_and_its_checks(shell: Shell):
    publish(shell)
    recorded(shell)
    (shell.workspace.docs / "guide-0.md").unlink()
    workspace = shell.workspace
    embedders = Embedders(workspace.settings.data_dir)
    verify_source(Runtime(workspace.database, workspace.settings, embedders), "docs")

    said = recorded(shell)

    assert said[0] == "completeness docs"
    assert "completeness.listed_is_stored docs failed" in said
    assert failing(shell, "completeness", "listed_is_stored") == {"docs"}
    assert recorded(shell) == []


def test_suites_that_were_run_outside_are_checks_of_what_the_newest_run_left(shell: Shell):
    publish(shell)
    recorded(shell)
    workspace = shell.workspace
    with workspace.database.connection() as connection:
        connection.execute("UPDATE rag.chunk SET tokens = 0")
    embedders = Embedders(workspace.settings.data_dir)
    check_source(Runtime(workspace.database, workspace.settings, embedders), "docs", names=["chunks"])

    said = recorded(shell)

    assert "chunks.has_tokens docs failed" in said
    assert failing(shell, "chunks", "has_tokens") == {"docs"}
    assert recorded(shell) == []
    workspace.ingest("docs")
    assert not any("has_tokens" in line for line in recorded(shell)), "it is not about the new run"


def test_a_run_that_failed_outside_is_a_failed_check_of_its_source_alone(shell: Shell):
    publish(shell)
    recorded(shell)
    for file in shell.workspace.docs.iterdir():
        file.unlink()
    with pytest.raises(Exception, match="listed nothing"):
        shell.workspace.ingest("docs")

    said = recorded(shell)

    assert said == ["raw_documents.listing_complete docs failed"]
    assert failing(shell, "raw_documents", "listing_complete") == {"docs"}


def test_a_stage_that_a_run_of_dagster_did_alone_is_no_listing(shell: Shell):
    publish(shell)
    recorded(shell)
    for file in shell.workspace.docs.iterdir():
        file.unlink()
    with pytest.raises(Exception, match="listed nothing"):
        shell.workspace.ingest("docs")
    recorded(shell)

    alone = shell.run("ingest_source", "docs", asset_selection=[dg.AssetKey(["rag", "chunks"])])

    assert alone.success
    assert "raw_documents docs" not in recorded(shell)
    assert failing(shell, "raw_documents", "listing_complete") == {"docs"}


def test_a_source_that_becomes_late_is_a_failed_check_and_the_next_listing_a_passed_one(shell: Shell):
    publish(shell)
    recorded(shell)
    with shell.workspace.database.connection() as connection:
        connection.execute("UPDATE rag.source SET listed_at = listed_at - interval '2 hours'")

    assert recorded(shell) == ["raw_documents.fresh docs failed", "raw_documents.fresh team-notes passed"]
    assert failing(shell, "raw_documents", "fresh") == {"docs"}

    shell.workspace.ingest("docs")
    assert "raw_documents.fresh docs passed" in recorded(shell)
    assert failing(shell, "raw_documents", "fresh") == set()


def test_an_index_is_late_when_a_change_waits_too_long_and_not_on_a_quiet_day(shell: Shell):
    publish(shell)
    with shell.workspace.database.connection() as connection:
        connection.execute("UPDATE rag.document SET updated_at = updated_at - interval '3 days'")
        connection.execute("UPDATE rag.index_version SET promoted_at = promoted_at - interval '3 days'")
    recorded(shell)
    assert failing(shell, "main/live_index", "fresh") == set(), "nothing changed for three days"

    shell.workspace.write("new.md", "# New\n\nA change.")
    shell.workspace.ingest("docs")
    recorded(shell)
    assert failing(shell, "main/live_index", "fresh") == set(), "it may wait for a day"

    with shell.workspace.database.connection() as connection:
        connection.execute("UPDATE rag.document SET updated_at = updated_at - interval '2 days'")
    assert "live_index.fresh  failed" in recorded(shell)
    shell.run("build_index", asset_selection=[dg.AssetKey(["rag", "main", "index_candidate"])])
    assert failing(shell, "main/live_index", "fresh") == {"all"}, "a build that nobody reads helps nobody"

    shell.run("build_index")
    assert failing(shell, "main/live_index", "fresh") == set()


def test_a_source_that_a_run_works_on_is_left_to_that_run(shell: Shell):
    shell.workspace.ingest("docs")
    job = shell.definitions.resolve_job_def("ingest_source")
    shell.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "docs"}
    )

    assert recorded(shell) == []


@pytest.fixture
def shut(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of `docs` that cannot be read; closing it would not keep root out."""
    shell.workspace.write("legal/terms.md", "# Terms\n\nOf delivery.")
    listed = LocalTree.list

    def refusing(tree: LocalTree, folder: str) -> Any:
        if folder == "legal":
            raise FetchError("permission denied")
        return listed(tree, folder)

    monkeypatch.setattr(LocalTree, "list", refusing)
    return "legal could not be listed: permission denied"


def test_a_listing_that_could_not_see_a_folder_is_a_failed_check_that_names_it(shell: Shell, shut: str):
    result = shell.ingest("docs")
    other = shell.ingest("team-notes")

    assert result.success, "what was listed goes on"
    assert "raw_documents.listing_complete" in failed_checks(result)
    assert failed_checks(other) == set()
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "listing_complete"]
    assert shut in (check.description or "")
    assert failing(shell, "raw_documents", "listing_complete") == {"docs"}


def test_an_ingest_outside_that_could_not_see_a_folder_is_a_failed_check_until_it_can(
    shell: Shell, shut: str, monkeypatch: pytest.MonkeyPatch
):
    shell.workspace.ingest("docs")
    assert "raw_documents.listing_complete docs failed" in recorded(shell)

    monkeypatch.undo()
    shell.workspace.ingest("docs")

    assert "raw_documents.listing_complete docs passed" in recorded(shell)
    assert failing(shell, "raw_documents", "listing_complete") == set()


def test_a_source_whose_root_is_gone_fails_its_run_and_its_check_with_the_path(shell: Shell):
    shell.ingest("docs")
    root = shell.workspace.docs
    root.rename(root.with_name("unmounted"))

    result = shell.ingest("docs")

    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert str(root) in failure.step_failure_data.user_failure_data.description
    assert "raw_documents.listing_complete docs failed" in recorded(shell)
    assert failing(shell, "raw_documents", "listing_complete") == {"docs"}
