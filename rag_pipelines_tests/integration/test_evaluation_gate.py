"""The quality gate: a candidate made worse on purpose is refused, an equal one is not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rag_pipelines.config.quality import QualityBounds
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import ConfigError
from rag_pipelines.gates.quality import quality_gate
from rag_pipelines.index.gate_results import Gate
from rag_pipelines.index.versions import Version
from rag_pipelines.runtime import Runtime
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

QUESTIONS = 24
WORDS = tuple(
    f"{first}{last}"
    for first in ("ka", "lo", "mi", "nu", "pe", "ro")
    for last in ("bak", "dim", "fes", "gop")
)


def fill_shop(made: Workspace) -> None:
    """A document a word, a live version, and a secret that the golden set forbids."""
    made.document["limits"]["batch_documents"] = 8
    draw = random.Random(5)
    for number, word in enumerate(WORDS):
        others = " ".join(draw.sample(WORDS, 5))
        made.write(
            f"{'new' if number % 2 else 'old'}/{word}.md", f"# {word}\n\nThe {word} {word} {word}. {others}."
        )
    made.write("secret/.access.yaml", "allow: [group:board]\n")
    made.write("secret/plan.md", "# Plan\n\nThe merger plan.")
    rows: list[dict[str, Any]] = [
        {"id": word, "query": word, "expect": [{"path": f"{'new' if number % 2 else 'old'}/{word}.md"}],
         "tags": ["new" if number % 2 else "old"]}
        for number, word in enumerate(WORDS)
    ]  # fmt: skip
    rows.append(
        {
            "id": "secret",
            "query": "merger plan",
            "expect": [],
            "must_not_return": [{"path": "secret/plan.md"}],
        }
    )
    (made.folder / "golden.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made.refresh()


@pytest.fixture
def shop(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shop).lend() as lent:
        yield lent


def judged(shop: Workspace, version: Version, bounds: QualityBounds = QualityBounds()) -> Gate:
    return quality_gate(
        Runtime(shop.database, shop.settings, Embedders(shop.settings.data_dir)),
        "main",
        version.version_id,
        golden=shop.folder / "golden.jsonl",
        bounds=bounds,
    )


def spoil(shop: Workspace, version: Version, statement: str) -> None:
    """Change the tables of a candidate behind its back."""
    with shop.database.connection() as connection:
        connection.execute(statement.format(vectors=f"rag.vectors_{version.storage}"))  # type: ignore[arg-type]


SPOILT = {
    "half the documents missing": "DELETE FROM {vectors} WHERE document_id % 2 = 0",
    "vectors shuffled": """
        UPDATE {vectors} v SET embedding = o.embedding
        FROM (SELECT document_id, chunk_set_id, ordinal,
                     lead(embedding, 1) OVER (ORDER BY document_id) AS embedding FROM {vectors}) o
        WHERE (v.document_id, v.chunk_set_id, v.ordinal) = (o.document_id, o.chunk_set_id, o.ordinal)
          AND o.embedding IS NOT NULL""",
    "words lost": "UPDATE {vectors} SET weights = '{{}}/1000000000'",
    "weights of words broken": """
        UPDATE {vectors} v SET weights = o.weights
        FROM (SELECT slot, lead(weights) OVER (ORDER BY slot) AS weights FROM {vectors}) o
        WHERE v.slot = o.slot AND o.weights IS NOT NULL""",
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_candidate_made_worse_is_refused(shop: Workspace, how: str) -> None:
    candidate = shop.build(full=True)
    spoil(shop, candidate, SPOILT[how])
    gate = judged(shop, candidate)
    assert not gate.passed
    assert (gate.observed or 0) > gate.threshold  # type: ignore[operator]
    assert any("below the live version's" in reason for reason in gate.detail["refused"])


def test_an_equal_candidate_passes_each_time(shop: Workspace) -> None:
    candidate = shop.build(full=True)
    for _ in range(3):
        gate = judged(shop, candidate)
        assert gate.passed, gate.detail["refused"]
        assert gate.observed == 0
    hybrid = gate.detail["figures"]["hybrid"]
    assert hybrid["live_means"]["nDCG@10"] == hybrid["means"]["nDCG@10"]
    kept = shop.rows("SELECT version_id, label FROM rag.evaluation_run")
    assert len(kept) == 3 * 2 * 3
    assert {row["version_id"] for row in kept} == {1, candidate.version_id}


def test_a_loss_that_one_slice_bears_is_refused(shop: Workspace) -> None:
    """All questions together may lose less than the tolerance."""
    candidate = shop.build(full=True)
    spoil(shop, candidate, "UPDATE {vectors} v SET weights = '{{}}/1000000000' FROM rag.document d "
          "WHERE d.document_id = v.document_id AND d.path LIKE 'new/%'")  # fmt: skip
    gate = judged(shop, candidate, QualityBounds(tolerance=0.9, modes=("lexical",)))
    assert not gate.passed
    refused = " ".join(gate.detail["refused"])
    assert "of tag=new" in refused
    assert "of tag=old" not in refused


def test_a_first_version_is_held_against_the_floors_alone(shop: Workspace) -> None:
    shop.rows("UPDATE rag.index_version SET state = 'built' WHERE state = 'live' RETURNING 1")
    (version,) = shop.rows("SELECT version_id FROM rag.index_version")
    first = type("First", (), version)
    assert judged(shop, first, QualityBounds(modes=("lexical",))).passed  # type: ignore[arg-type]
    bounds = QualityBounds.model_construct(
        modes=("lexical",),
        floors={"RR@10": 1.01},
        slice_floors={"tag=old": {"R@10": 1.5}, "tag=none": {"R@10": 0}},
    )
    gate = judged(shop, first, bounds)  # type: ignore[arg-type]
    assert not gate.passed
    assert gate.detail["live"] is None
    assert [reason.partition(" is ")[0] for reason in gate.detail["refused"]] == [
        "lexical: RR@10",
        "lexical: R@10 of tag=old",
        "lexical: there",
    ]


def test_what_must_not_return_refuses_even_where_the_live_version_returns_it(shop: Workspace) -> None:
    shop.write("secret/.access.yaml", "allow: [everyone]\n")
    shop.ingest()
    gate = judged(shop, shop.build(full=True), QualityBounds(modes=("lexical",)))
    assert gate.detail["refused"] == ["lexical: question secret: secret/plan.md came back at rank 1 (access)"]


def test_an_outdated_document_above_the_right_one_refuses_and_one_below_does_not(shop: Workspace) -> None:
    right, old = f"old/{WORDS[0]}.md", f"new/{WORDS[1]}.md"
    bounds = QualityBounds(modes=("lexical",))
    candidate = shop.build(full=True)

    def refused(forbidden: str, expected: str) -> list[str]:
        asked = {
            "id": "a",
            "query": WORDS[0],
            "expect": [{"path": expected}],
            "must_not_return": [{"path": forbidden, "because": "outdated"}],
        }
        (shop.folder / "golden.jsonl").write_text(json.dumps(asked))
        return judged(shop, candidate, bounds).detail["refused"]

    assert refused(forbidden=old, expected=right) == []
    assert refused(forbidden=right, expected=old) == [
        f"lexical: question a: {right} came back at rank 1 (outdated)"
    ]


def test_a_slow_candidate_is_refused(shop: Workspace) -> None:
    bounds = QualityBounds.model_construct(modes=("lexical",), latency_factor=1e-6, latency_ms=1e-6)
    gate = judged(shop, shop.build(full=True), bounds)
    assert not gate.passed
    assert "a search takes" in gate.detail["refused"][0]


def test_without_a_golden_set_the_gate_passes_and_says_so(shop: Workspace) -> None:
    embedders = Embedders(shop.settings.data_dir)
    gate = quality_gate(Runtime(shop.database, shop.settings, embedders), "main", 1, golden=None)
    assert (gate.passed, gate.detail) == (True, {"golden": None})


def test_a_broken_golden_set_is_an_error_and_no_pass(shop: Workspace) -> None:
    candidate = shop.build(full=True)
    (shop.folder / "golden.jsonl").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        judged(shop, candidate)
