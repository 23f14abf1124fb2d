"""Questions made from an index and from a query log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag_pipelines.cli.main import app
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import ConfigError
from rag_pipelines.evaluation.golden import read_golden
from rag_pipelines.evaluation.labels import import_log, mine_questions
from rag_pipelines.evaluation.questions import Question, Reference
from rag_pipelines.evaluation.run import Setting, evaluate
from rag_pipelines.index.versions import live_version
from rag_pipelines.runtime import Runtime
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def wiki(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    """Pages that link to one another, with headings of which some repeat; one page for a group."""
    made = Workspace(tmp_path, database_url)
    made.write(
        "guide.md",
        "# Field guide\n\nSee [how sensors are mounted](ops/mount.md#bolts) or "
        "[read more](ops/mount.md).\n\n"
        "## General overview\n\nEverything about the field.\n\n"
        "## Winter service\n\nPack warm gloves first.\n",
    )
    made.write(
        "ops/mount.md",
        "# Mounting\n\n## General overview\n\nHow to mount.\n\n[read more](../guide.md) and "
        "[the guide for the field](../guide.md)",
    )
    made.write(
        "page.html",
        '<html><body><h1>Web page</h1><p><a href="guide.md">winter in the field</a></p></body></html>',
    )
    made.write("hr/.access.yaml", "allow: [group:hr]\n")
    made.write("hr/bands.md", "# Salary bands of engineers\n\nA band.")
    made.refresh()
    yield made
    made.close()


def mined(wiki: Workspace, **options: object) -> dict[str, Question]:
    with wiki.database.connection() as connection:
        version = live_version(connection, "main")
        assert version is not None
        found = mine_questions(connection, wiki.settings, version, **options)  # type: ignore[arg-type]
    return {question.query: question for question in found}


def test_titles_headings_and_links_become_weak_questions(wiki: Workspace) -> None:
    found = mined(wiki)
    assert {text: question.tags for text, question in found.items()} == {
        "Field guide": ("title",),
        "Winter service": ("heading",),
        "how sensors are mounted": ("anchor",),
        "the guide for the field": ("anchor",),
        "winter in the field": ("anchor",),
        "Web page": ("title",),
    }
    assert all(question.weak and question.tenant == "default" for question in found.values())
    assert found["how sensors are mounted"].expect == (Reference(id="ops/mount.md", source="docs"),)
    assert (found["Winter service"].expect or ())[0].quote == "Pack warm gloves first."


def test_words_that_lead_to_several_documents_make_no_question(wiki: Workspace) -> None:
    assert {"read more", "General overview"}.isdisjoint(mined(wiki))


def test_what_not_everyone_may_read_is_left_out_unless_asked_for(wiki: Workspace) -> None:
    assert "Salary bands of engineers" not in mined(wiki)
    assert mined(wiki, restricted=True)["Salary bands of engineers"].caller == ("group:hr",)


def test_mined_questions_are_the_same_each_time_and_can_be_asked(wiki: Workspace, tmp_path: Path) -> None:
    assert list(mined(wiki, limit=3)) == list(mined(wiki))[:3]
    out = tmp_path / "weak.jsonl"
    words = ["--config", str(wiki.config_file), "eval", "mine", str(out), "--restricted"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "wrote 7 questions" in result.stdout
    embedders = Embedders(wiki.settings.data_dir)
    run = evaluate(
        Runtime(wiki.database, wiki.settings, embedders),
        "main",
        read_golden(out),
        setting=Setting(mode="lexical"),
    )
    assert run.notes == ()
    assert {answer.query: answer.figures["Success@10"] for answer in run.answers}[
        "Salary bands of engineers"
    ] == 1


def test_a_query_log_is_de_identified_and_says_what_is_unjudged(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = [
        {"query": "reset  of ann@example.com", "user": "ann", "tenant": "acme"},
        {"query": "Reset of bob@example.com", "tenant": "acme", "clicked": [{"path": "reset.md"}]},
        {"query": "price list"},
        {"query": "  "},
    ]
    log.write_text("\n".join(map(json.dumps, rows)))
    found = import_log(log)
    assert [(question.query, question.tags) for question in found] == [
        ("Reset of [EMAIL]", ("log",)),
        ("price list", ("log", "unjudged")),
    ]
    assert found[0].expect == (Reference(path="reset.md"),)
    out = tmp_path / "golden.jsonl"
    result = CliRunner().invoke(app, ["eval", "import-log", str(log), str(out)], catch_exceptions=False)
    assert "wrote 2 questions" in result.stdout
    assert "example.com" not in out.read_text()
    assert read_golden(out).questions == tuple(found)


def test_a_log_that_cannot_be_read_is_refused_with_its_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"query": 3}\n{\n{"query": "a"}\n')
    with pytest.raises(ConfigError) as caught:
        import_log(log)
    assert [problem.split("log.jsonl:")[1][0] for problem in caught.value.problems] == ["1", "2"]
