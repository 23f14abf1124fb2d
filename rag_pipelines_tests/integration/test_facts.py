"""The views for warehouses: what they hold, that no text and no right is in them, and Parquet files."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from rag_pipelines.cli.main import app
from rag_pipelines.monitoring.facts import TYPES, fact_names
from rag_pipelines_tests.integration.workspace import Workspace


def facts(workspace: Workspace, *options: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(workspace.config_file), "facts", *options])


def test_each_view_becomes_a_file_with_its_rows_as_they_were(workspace: Workspace, tmp_path: Path) -> None:
    for name in "abc":
        workspace.write(f"{name}.md", f"# {name}\n\nThe ferry {name} leaves at nine.\n")
    workspace.ingest()
    workspace.publish()
    out = tmp_path / "warehouse"
    assert facts(workspace, "--to", str(out)).exit_code == 0
    assert {file.stem for file in out.iterdir()} == set(fact_names(workspace.database))

    documents = parquet.read_table(out / "documents.parquet").to_pylist()
    assert {(one["source"], one["external_id"], one["media_type"]) for one in documents} == {
        ("docs", f"{name}.md", "text/markdown") for name in "abc"
    }
    (run,) = parquet.read_table(out / "runs.parquet").to_pylist()
    assert (run["outcome"], run["documents_added"], run["embedded"]) == ("complete", 3, 3)
    (version,) = parquet.read_table(out / "versions.parquet").to_pylist()
    assert (version["index"], version["state"], version["passages"], version["provider"]) == (
        "main",
        "live",
        3,
        "hash",
    )
    (cost,) = parquet.read_table(out / "costs.parquet").to_pylist()
    assert cost["indexes"] == ["main"]
    everything = b"".join(file.read_bytes() for file in out.iterdir())
    assert b"leaves at nine" not in everything


def test_only_the_named_views_are_written_and_an_unknown_one_is_refused(
    workspace: Workspace, tmp_path: Path
) -> None:
    assert facts(workspace, "--to", str(tmp_path / "out"), "--only", "runs").exit_code == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["runs.parquet"]
    refused = facts(workspace, "--to", str(tmp_path / "out"), "--only", "rumours")
    assert refused.exit_code == 2
    assert "'rumours'" in refused.output
    assert "documents" in refused.output
    (tmp_path / "file").write_text("")
    assert facts(workspace, "--to", str(tmp_path / "file" / "out")).exit_code == 2


def test_every_column_has_a_type_in_parquet(workspace: Workspace) -> None:
    rows = workspace.rows(
        "SELECT DISTINCT ltrim(udt_name, '_') AS kind FROM information_schema.columns "
        "WHERE table_schema = 'rag_facts'"
    )
    assert {row["kind"] for row in rows} <= TYPES.keys()


@pytest.fixture
def analyst(workspace: Workspace) -> str:
    """The address of a login that may read the views and nothing else."""
    with psycopg.connect(workspace.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS facts_analyst")
        connection.execute("CREATE ROLE facts_analyst LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA rag_facts TO facts_analyst")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA rag_facts TO facts_analyst")
    return psycopg.conninfo.make_conninfo(workspace.url, user="facts_analyst")


def test_a_login_with_the_views_alone_reads_no_table(workspace: Workspace, analyst: str) -> None:
    workspace.write("a.md", "# a\n\nThe ferry leaves at nine.\n")
    workspace.ingest()
    with psycopg.connect(analyst, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM rag_facts.documents").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT text FROM rag.chunk")
    with psycopg.connect(workspace.url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY facts_analyst")
        connection.execute("DROP ROLE facts_analyst")
