"""Kept runs for other tools, and the gate that others' CI runs on a golden set."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from rag_pipelines.evaluation.export import figures_for_mlflow
from rag_pipelines.evaluation.store import get_run
from rag_pipelines_tests.deploy.composed import DEPLOY
from rag_pipelines_tests.integration.workspace import Workspace

ANIMALS = ("heron", "otter", "badger")


@pytest.fixture
def golden(workspace: Workspace) -> Path:
    for number, animal in enumerate(ANIMALS):
        workspace.write(f"{animal}.md", f"# {animal.title()}\n\nThe {animal} lives in region {number}.\n")
    workspace.refresh()
    file = workspace.folder / "golden.jsonl"
    questions = [
        {
            "id": animal,
            "query": f"where does the {animal} live",
            "expect": [{"path": f"{animal}.md", "quote": f"The {animal} lives in region {number}"}],
        }
        for number, animal in enumerate(ANIMALS)
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in questions))
    return file


@pytest.fixture
def run_id(golden: Path, call: Callable[..., Result]) -> str:
    return str(json.loads(call("eval", "run", str(golden), "--json").stdout)["run"])


def exported(call: Callable[..., Result], golden: Path, run_id: str, tool: str) -> Path:
    file = golden.parent / tool
    done = call("eval", "export", run_id, "--to", tool, "--file", str(file), "--golden", str(golden))
    assert done.exit_code == 0, done.output
    assert f"wrote 3 questions to {file}" in done.stdout
    assert file.stat().st_mode & 0o777 == 0o600, "it holds text of documents"
    return file


def test_ragas_reads_a_sample_a_line(golden: Path, run_id: str, call):
    lines = exported(call, golden, run_id, "ragas").read_text().splitlines()
    first = json.loads(lines[0])
    assert first["user_input"] == "where does the heron live"
    assert any("The heron lives in region 0." in text for text in first["retrieved_contexts"])
    assert first["reference_contexts"] == ["The heron lives in region 0"]


def test_deepeval_reads_a_list_of_cases(golden: Path, run_id: str, call):
    cases = json.loads(exported(call, golden, run_id, "deepeval").read_text())
    assert [case["name"] for case in cases] == list(ANIMALS)
    assert cases[1]["input"] == "where does the otter live"
    assert cases[1]["actual_output"] == ""
    assert any("The otter lives in region 1." in text for text in cases[1]["retrieval_context"])
    assert cases[1]["context"] == ["The otter lives in region 1"]


def test_trulens_reads_ground_truth(golden: Path, run_id: str, call):
    rows = [json.loads(line) for line in exported(call, golden, run_id, "trulens").read_text().splitlines()]
    assert [row["query_id"] for row in rows] == list(ANIMALS)
    assert rows[2]["expected_chunks"] == [{"text": "The badger lives in region 2"}]
    assert any("The badger lives in region 2." in text for text in rows[2]["retrieved_chunks"])


def test_passages_that_were_collected_are_counted_and_a_changed_golden_set_is_told(
    golden: Path, run_id: str, call, workspace: Workspace
):
    workspace.rows("DELETE FROM rag.chunk WHERE position('heron' IN text) > 0 RETURNING ordinal")
    golden.write_text(golden.read_text().replace("region 1", "region one"))
    done = call(
        "eval", "export", run_id, "--to", "ragas", "--file", str(golden.parent / "f"), "--golden", str(golden)
    )
    assert "1 passage of the run were collected since" in done.stderr
    assert "the golden set has changed since the run" in done.stderr


def test_mlflow_gets_the_figures_by_names_that_it_takes(
    golden: Path, run_id: str, call, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    kept: dict[str, Any] = {}

    class Started:
        info = SimpleNamespace(run_id="abc")

        def __enter__(self) -> Started:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    client = ModuleType("mlflow")
    client.__dict__.update(
        set_experiment=lambda name: kept.update(experiment=name),
        start_run=lambda run_name: kept.update(name=run_name) or Started(),
        log_params=lambda values: kept.update(parameters=values),
        log_metrics=lambda values: kept.update(metrics=values),
        exceptions=SimpleNamespace(MlflowException=RuntimeError),
    )
    monkeypatch.setitem(sys.modules, "mlflow", client)
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    done = call("eval", "export", run_id, "--to", "mlflow", "--experiment", "animals")
    assert done.stdout == "kept in MLflow as run abc of animals\n"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert kept["experiment"] == "animals"
    assert 0 < kept["metrics"]["nDCG_at_10"] <= 1
    assert kept["metrics"]["questions"] == 3
    assert kept["parameters"]["setting.mode"] == "hybrid"
    with workspace.database.connection() as connection:
        assert figures_for_mlflow(get_run(connection, int(run_id))) == (kept["parameters"], kept["metrics"])


@pytest.mark.parametrize("arguments", [("--to", "ragas"), ("--to", "mlflow", "--file", "x")])
def test_a_file_is_for_those_that_read_one(run_id: str, call, arguments):
    refused = call("eval", "export", run_id, *arguments)
    assert (refused.exit_code, "MLflow takes no --file" in refused.stderr) == (2, True)


@pytest.fixture
def gate(workspace: Workspace, golden: Path, tmp_path: Path) -> Callable[..., tuple[int, str, Path]]:
    """The program of the actions, on the workspace's index: exit code, what it said, its folder."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "rag-pipelines").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from rag_pipelines.cli import run; run()" "$@"\n'
    )
    (programs / "rag-pipelines").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "RAG_CONFIG": str(workspace.config_file),
        "GOLDEN": str(golden),
        "INDEX": "main",
    }

    def run(**variables: str) -> tuple[int, str, Path]:
        folder = tmp_path / f"output-{len(list(tmp_path.glob('output-*')))}"
        given = {**environment, "OUTPUT": str(folder), "GITHUB_OUTPUT": str(tmp_path / "told"), **variables}
        command = ["bash", DEPLOY / "ci" / "evaluate.sh"]
        done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr, folder

    return run


def test_the_gate_of_ci_comments_the_comparison_and_fails_where_it_got_worse(
    gate, workspace: Workspace, tmp_path
):
    code, said, folder = gate()
    assert code == 0, said
    assert (folder / "comment.md").read_text().startswith("# ")
    first = (tmp_path / "told").read_text().partition("=")[2].strip()

    code, said, folder = gate(BASELINE=first)
    assert code == 0, said
    assert "nDCG@10 rose by 0.0000" in said
    comment = (folder / "comment.md").read_text()
    assert "nDCG@10" in comment
    assert comment != (folder / "report.md").read_text()

    (workspace.docs / "heron.md").unlink()
    workspace.refresh()
    code, said, folder = gate(BASELINE=first)
    assert code == 1, said
    assert re.search(r"nDCG@10 fell by 0\.[1-3]", said)
    assert (folder / "comment.md").exists()
    assert gate(BASELINE=first, MAX_DROP="0.5")[0] == 0


def test_the_gate_of_ci_fails_where_nothing_could_be_asked(gate):
    code, said, folder = gate(INDEX="nowhere")
    assert code == 2
    assert "nowhere" in said
    assert not (folder / "comment.md").exists()
