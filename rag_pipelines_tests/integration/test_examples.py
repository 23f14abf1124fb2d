"""The examples do what their pages say: each is run once as a user runs it, in a process of its own.

What belongs here: examples/. What does not: whether what they call is right.
"""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

import rag_pipelines

BIN = Path(sys.executable).parent

QUICK = {
    "limits": {"workers": 1, "sandbox": False},
    "profiles": {"embedding": {"default": {"provider": "hash"}}},
}
"""A model and a parser that are quick, where a user has the default ones."""


@pytest.fixture
def examples(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples on a database of this test's own."""
    folder = tmp_path / "examples"
    shutil.copytree(Path(__file__).parents[2] / "examples", folder, ignore=shutil.ignore_patterns(".rag"))
    with (folder / "rag.yaml").open("a") as config:
        config.write(yaml.safe_dump(QUICK))
    monkeypatch.setenv("RAG_DATABASE_URL", database_url)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


def run(program: str, *arguments: str, code: int = 0) -> str:
    """What a command prints on standard output; it must end with `code`."""
    done = subprocess.run([BIN / program, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def shown(example: Path) -> list[str]:
    """The outputs that the page of an example shows."""
    page = (example / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_a_folder_becomes_a_cited_answer_and_the_second_run_finds_nothing_to_do(examples: Path):
    first = run("python", "examples/answer/answer.py")
    again = run("python", "examples/answer/answer.py", "Can", "I", "keep", "days", "of", "leave?")

    assert first.startswith(shown(examples / "answer")[0])
    assert again.startswith(
        "3 documents, 0 of them new or changed, 0 failed\n\nCan I keep days of leave?\n\n[1] Leave"
    )
    assert "thousand" not in first + again


def test_dagster_finds_the_definitions_valid_and_their_schedule_running(examples: Path):
    run("dagster", "definitions", "validate", "-f", "examples/schedule/definitions.py")
    defs = runpy.run_path("examples/schedule/definitions.py")["defs"]
    schedule = defs.get_repository_def().get_schedule_def("refresh_every_night")

    assert (schedule.job_name, schedule.default_status.value) == ("refresh_all", "RUNNING")


def test_a_version_that_passes_its_gates_goes_live_from_dagster(examples: Path):
    assert run("python", "examples/schedule/definitions.py") == shown(examples / "schedule")[0]

    with rag_pipelines.open(examples / "rag.yaml") as rag:
        assert rag.indexes["main"].live() is not None


@pytest.mark.usefixtures("suites_run_here")
def test_a_version_that_answers_the_golden_questions_worse_does_not_go_live(
    examples: Path, capsys: pytest.CaptureFixture[str]
):
    with rag_pipelines.open(examples / "rag.yaml") as rag:
        rag.sources["handbook"].ingest()
        rag.indexes["main"].refresh()
    travel = examples / "handbook" / "travel.md"
    travel.write_text("".join(travel.read_text().partition("## Trains")[1:]))

    with pytest.raises(SystemExit, match="True"):
        runpy.run_path("examples/schedule/definitions.py", run_name="__main__")

    printed = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[-1] for line in printed] == [
        "failed: none",
        "quality",
    ]  # The quick model lacks more.

    with rag_pipelines.open(examples / "rag.yaml") as rag:
        states = [one.state for one in rag.indexes["main"].versions()]
        assert [state for state in states if state != "spare"] == ["built", "live"]


def test_the_service_gives_each_caller_what_that_caller_may_read(examples: Path):
    run("rag-pipelines", "--config", "examples/rag.yaml", "ingest")
    run("rag-pipelines", "--config", "examples/rag.yaml", "index", "build", "main")
    question = {"question": "What does an engineer earn?", "max_tokens": "200"}
    with _service() as client:
        ann = client.get("/context", params=question, headers={"X-User": "ann@example.com", "X-Groups": "hr"})
        bob = client.get("/context", params=question, headers={"X-User": "bob@example.com"})
        nobody = client.get("/context", params=question)
        empty = client.get("/context", params={"question": " "}, headers={"X-User": "bob@example.com"})

    assert ann.json()["citations"][0] == "[1] Pay bands"
    assert "52 to 61 thousand" in ann.json()["text"]
    assert bob.status_code == 200
    assert "thousand" not in bob.text
    assert nobody.status_code == 422
    assert (empty.status_code, empty.json()["error"].partition(";")[0]) == (400, "the question is empty")


@contextmanager
def _service() -> Iterator[httpx.Client]:
    """The service on a free port, stopped at the end as by Ctrl-C."""
    command = [BIN / "uvicorn", "--app-dir", "examples/service", "service:app", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            url = next(found[0] for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
            with httpx.Client(base_url=url, timeout=60) as client:
                yield client
        finally:
            process.terminate()
