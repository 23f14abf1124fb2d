"""An adapter from an index's own titles and headings to a version that is asked through it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rag_pipelines.cli.main import app
from rag_pipelines.embedding.adapter import AdaptedEmbedder, describe, write_adapter
from rag_pipelines.embedding.base import normalise
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import ConfigError
from rag_pipelines.evaluation import adapting
from rag_pipelines.query.search import Searcher
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

PLACES = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")
THINGS = ("gate", "mill", "pond", "rock", "tower", "well", "yard", "hall")
NAMES = [f"{place} {thing}" for place in PLACES for thing in THINGS]


def fill(made: Workspace) -> None:
    """A document a name, with the name as title and a heading of its own."""
    for name in NAMES:
        made.write(
            f"{name.replace(' ', '-')}.md",
            f"# {name.title()}\n\nIt stands.\n\n## History of {name}\n\nIt was built by {name} people.\n",
        )
    made.refresh()


@pytest.fixture
def town(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill).lend() as lent:
        yield lent


@pytest.fixture
def hashing() -> HashEmbedder:
    return HashEmbedder(EmbeddingProfile(provider="hash"))


@pytest.fixture
def turned(tmp_path: Path, hashing: HashEmbedder) -> tuple[Path, np.ndarray]:
    """An adapter, and its matrix."""
    draw = np.random.default_rng(3)
    matrix = np.eye(384, dtype=np.float32) + 0.05 * draw.normal(size=(384, 384)).astype(np.float32)
    write_adapter(tmp_path / "adapter", matrix, describe(hashing.identity, 60))
    return tmp_path / "adapter", matrix


def call(town: Workspace, *arguments: object, code: int = 0) -> str:
    line = ["--config", str(town.config_file), "eval", "adapt", *map(str, arguments)]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == code, result.output
    return result.output


def test_questions_go_through_it_and_passages_do_not(
    turned: tuple[Path, np.ndarray], hashing: HashEmbedder
) -> None:
    folder, matrix = turned
    adapted = AdaptedEmbedder(hashing, folder)
    np.testing.assert_array_equal(adapted.embed_documents(["a"]), hashing.embed_documents(["a"]))
    expected = normalise(hashing.embed_query("a")[None] @ matrix)[0]
    np.testing.assert_allclose(adapted.embed_query("a"), expected, atol=1e-6)


def test_it_is_another_model_with_the_same_vectors_of_passages(
    turned: tuple[Path, np.ndarray], hashing: HashEmbedder
) -> None:
    adapted = AdaptedEmbedder(hashing, turned[0]).identity
    assert adapted.fingerprint != hashing.identity.fingerprint
    assert adapted.of_passages.fingerprint == hashing.identity.fingerprint


@pytest.mark.parametrize("other", [{"dimensions": 64}, {"query_prompt": "query: "}])
def test_an_adapter_of_another_model_is_refused(
    turned: tuple[Path, np.ndarray], other: dict[str, Any]
) -> None:
    model = HashEmbedder(EmbeddingProfile(provider="hash", **other))
    with pytest.raises(
        ConfigError, match=r"the adapter in .* is for sha512 \(384 dimensions\) .* is another"
    ):
        _ = AdaptedEmbedder(model, turned[0]).identity


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path, hashing: HashEmbedder) -> None:
    with pytest.raises(ConfigError, match="holds no adapter"):
        _ = AdaptedEmbedder(hashing, tmp_path).identity


def test_a_version_with_it_embeds_nothing_anew_and_each_version_is_asked_as_it_was_built(
    town: Workspace, turned: tuple[Path, np.ndarray], hashing: HashEmbedder
) -> None:
    folder, matrix = turned
    (before,) = town.rows("SELECT version_id FROM rag.index_version WHERE state = 'live'")
    town.document["profiles"]["embedding"]["default"]["adapter"] = str(folder)
    assert town.ingest().embedded == 0
    after = town.publish()
    question = "who built amber gate"
    plain = hashing.embed_query(question)
    for version, vector in (
        (before["version_id"], plain),
        (after.version_id, normalise(plain[None] @ matrix)[0]),
    ):
        embedders = Embedders(town.settings.data_dir)
        with Searcher(town.database, town.settings, "main", embedders, version=version) as searcher:
            hits = searcher.search(question, tenant="default", mode="dense", k=5).hits
        inputs = {
            row["text"]: row["prefix"] + row["text"]
            for row in town.rows("SELECT prefix, text FROM rag.chunk")
        }
        passages = hashing.embed_documents([inputs[hit.text] for hit in hits])
        scores = [hit.scores.dense for hit in hits]
        np.testing.assert_allclose(scores, passages @ vector, atol=2e-3)  # 16-bit numbers
    assert after.version_id != before["version_id"]


def test_what_helps_no_more_than_chance_is_not_written(town: Workspace, tmp_path: Path, monkeypatch) -> None:
    """Hashes of texts: there is nothing to learn."""
    monkeypatch.setattr(adapting, "LEAST_QUESTIONS", 10)
    printed = call(town, "main", "--out", tmp_path / "new")
    assert "that is no more than chance; nothing was written" in printed
    assert not (tmp_path / "new").exists()


def test_what_helps_on_unseen_documents_is_written_and_says_what_to_configure(
    town: Workspace, tmp_path: Path, monkeypatch
) -> None:
    """A model that turns questions away from what answers them, always in the same way."""
    words = HashEmbedder(EmbeddingProfile(provider="hash"))
    turn, upper = np.linalg.qr(np.eye(384) + 0.2 * np.random.default_rng(1).normal(size=(384, 384)))
    turn *= np.sign(np.diag(upper))

    def of_words(texts: Sequence[str]) -> np.ndarray:
        parts = [sum(words._embed(text.lower().split())) for text in texts]
        return normalise(np.array(parts, dtype=np.float32))

    monkeypatch.setattr(HashEmbedder, "embed_documents", lambda _, texts: of_words(texts))
    monkeypatch.setattr(
        HashEmbedder, "embed_query", lambda _, text: (of_words([text])[0] @ turn).astype(np.float32)
    )
    monkeypatch.setattr(adapting, "LEAST_QUESTIONS", 10)
    monkeypatch.setattr(adapting, "PENALTY", 1.0)
    printed = call(town, "main", "--out", tmp_path / "new")
    assert f"adapter: {tmp_path / 'new'}" in printed
    facts = json.loads((tmp_path / "new" / "adapter.json").read_text())
    assert (facts["model"], facts["dimensions"]) == ("sha512", 384)
    assert "is there already" in call(town, "main", "--out", tmp_path / "new", code=2)
    town.document["profiles"]["embedding"]["default"]["adapter"] = str(tmp_path / "new")
    assert "has an adapter" in call(town, "main", "--out", tmp_path / "other", code=2)


def test_too_few_questions_are_refused_with_what_to_give(town: Workspace, tmp_path: Path) -> None:
    assert "questions to learn from and" in call(town, "main", "--out", tmp_path / "new", code=2)
