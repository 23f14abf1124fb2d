"""Models compared on an index: what is embedded, what is scored, what is recommended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag_pipelines.cli.main import app
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import ConfigError, UsageError
from rag_pipelines.evaluation.golden import read_golden
from rag_pipelines.evaluation.models import BakeOff, compare_models
from rag_pipelines.evaluation.run import Setting, evaluate, summary
from rag_pipelines.runtime import Runtime
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

HASH = EmbeddingProfile(provider="hash")
BIRDS = ("heron", "falcon", "magpie", "swan", "robin", "finch", "crane", "stork", "wren", "owl")


def fill(made: Workspace) -> None:
    """A document a bird."""
    for number, bird in enumerate(BIRDS):
        made.write(f"{bird}.md", f"# {bird.title()}\n\nThe {bird} nests in region {number}.\n")
    made.refresh()


@pytest.fixture
def aviary(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill).lend() as lent:
        yield lent


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "golden.jsonl"
    rows = [
        {"id": one, "query": f"where nests the {one}", "expect": [{"path": f"{one}.md"}]} for one in BIRDS
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def runtime(aviary: Workspace) -> Iterator[Runtime]:
    opened = Runtime(aviary.database, aviary.settings, Embedders(aviary.settings.data_dir))
    yield opened
    opened.embedders.close()


def tried(runtime: Runtime, golden: Path, **options: int) -> BakeOff:
    return compare_models(runtime, "main", read_golden(golden), {"own": HASH}, **options)


def test_the_dense_side_is_that_of_the_searches_of_the_index(runtime: Runtime, golden: Path) -> None:
    """On an index that is compared whole."""
    (own,) = tried(runtime, golden).models
    run = evaluate(runtime, "main", read_golden(golden), setting=Setting(mode="dense"))
    assert own.dense.ndcg == pytest.approx(summary(run).figures["all"]["nDCG@10"].mean, abs=1e-6)


def test_the_words_of_the_index_take_part_in_the_hybrid_side(runtime: Runtime, golden: Path) -> None:
    """The vectors are hashes and say nothing, and each question has a word that one document has."""
    (own,) = tried(runtime, golden).models
    assert own.hybrid.ndcg > own.dense.ndcg + 0.3


def test_what_is_expected_is_embedded_first_and_the_rest_as_there_is_room(
    runtime: Runtime, golden: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(golden.read_text().splitlines()[:3]))
    found = tried(runtime, few, passages=5)
    assert (found.questions, found.passages) == (3, 5)
    assert found.models[0].hybrid.hit == 1.0
    with pytest.raises(UsageError, match="have more than 5 passages; raise --passages"):
        tried(runtime, golden, passages=5)


def test_a_golden_set_of_another_corpus_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "a", "query": "whales", "expect": [{"path": "whale.md"}]}')
    with pytest.raises(UsageError, match="no question of 'other' expects a document that index 'main' has"):
        tried(runtime, other)


def test_a_model_that_is_not_here_is_named(runtime: Runtime, golden: Path) -> None:
    with pytest.raises(ConfigError, match="the model 'no-such-model' is not on this machine"):
        compare_models(runtime, "main", read_golden(golden), {"x": EmbeddingProfile(model="no-such-model")})


def test_the_command_compares_what_is_configured_and_changes_nothing(aviary: Workspace, golden: Path) -> None:
    aviary.document["profiles"]["embedding"]["short"] = {"provider": "hash", "dimensions": 64}
    before = aviary.config_file.read_bytes()
    call = ["--config", str(aviary.config_file), "eval", "models", str(golden)]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    assert "10 questions of golden over 10 passages of main" in result.output
    assert "recommended: " in result.output
    printed = json.loads(CliRunner().invoke(app, [*call, "--json", "--budget-bytes", "128"]).stdout)
    assert [(one["name"], one["dimensions"]) for one in printed["models"]] == [
        ("default", 384),
        ("short", 64),
    ]
    assert [(form["name"], form["bytes"]) for form in printed["models"][0]["forms"]] == [
        ("vector", 1536), ("halfvec", 768), ("signs", 48), ("halfvec of 192", 384), ("halfvec of 96", 192),
    ]  # fmt: skip
    assert printed["recommended"]["name"] == "short"
    assert printed["recommended"]["form"]["bytes"] <= 128
    assert aviary.config_file.read_bytes() == before
    refused = CliRunner().invoke(app, [*call, "--budget-bytes", "10"])
    assert "no model is within the budget" in refused.output
