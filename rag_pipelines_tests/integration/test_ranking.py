"""What orders the hits of a hybrid search: passages, as far as vectors are trusted, documents, word pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import LiteralString

import pytest

from rag_pipelines.query import statement
from rag_pipelines.query.hits import Hit
from rag_pipelines.query.search import Searcher
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

BIRDS = ("heron", "stork", "curlew", "avocet", "bittern", "dunlin")


def fill_birds(made: Workspace) -> None:
    """Documents of several passages, of which only one names the bird, as their paths do not."""
    made.document["profiles"]["chunking"] = {"default": {"max_tokens": 30, "min_tokens": 0, "context": []}}
    for number, bird in enumerate(BIRDS):
        name = "\n\n".join(
            f"The {bird} is a bird of rivers, and the {bird} fishes number {n}." for n in "1234"
        )
        nest = "Nests stand in tall trees near water and are used for many years by the same pair of birds."
        made.write(f"birds/{number}.md", f"{name}\n\n# Nests\n\n{nest}\n")
    made.write("order/apart.md", "# Apart\n\nThe limit of a loan is one thing, credit is another thing here.")
    made.write("order/beside.md", "# Beside\n\nThe loan is one thing here, a credit limit is another thing.")
    for n in range(1, 7):
        made.write(f"codes/QX-778{n}.md", f"# Code {n}\n\nThe display shows QX-778{n} when a battery is low.")
    made.refresh()


@pytest.fixture
def birds(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_birds).lend() as lent:
        yield lent


def change(workspace: Workspace, text: LiteralString) -> None:
    with workspace.database.transaction() as connection:
        connection.execute(text)


def set_cosines(workspace: Workspace, unrelated: float, answer: float) -> None:
    """Say of the live version how near its model puts things."""
    with workspace.database.transaction() as connection:
        connection.execute(
            "UPDATE rag.index_version SET params = params || jsonb_build_object('cosines', "
            "jsonb_build_object('unrelated', %s::float8, 'answer', %s::float8))",
            (unrelated, answer),
        )


def without_vectors(workspace: Workspace) -> None:
    """No passage is near: the vectors of these tests are noise, and count as such."""
    set_cosines(workspace, 2, 3)


def searched(workspace: Workspace, question: str, k: int = 10, **fusion: object) -> list[Hit]:
    workspace.document["indexes"]["main"]["fusion"] = fusion
    searcher = Searcher(workspace.database, workspace.settings, "main")
    try:
        return list(searcher.search(question, tenant="default", k=k).hits)
    finally:
        searcher.close()


def test_a_passage_is_found_by_what_the_rest_of_its_document_names(birds: Workspace) -> None:
    """Six passages are the same to the word; only their documents tell them apart."""
    without_vectors(birds)
    for number, bird in enumerate(BIRDS):
        hits = [hit for hit in searched(birds, f"nests of the {bird} in tall trees") if "tall" in hit.text]
        assert len(hits) == len(BIRDS)
        assert hits[0].path == f"birds/{number}.md"
        assert hits[0].scores.lexical == hits[1].scores.lexical
        assert (hits[0].scores.document_lexical or 0) > (hits[1].scores.document_lexical or 0)


def test_documents_count_on_the_dense_side_by_the_mean_of_their_passages(birds: Workspace) -> None:
    (hit, *_) = searched(birds, "nests of the heron")
    (row,) = birds.rows(
        "SELECT document_id, sum(power(value, 2)) AS square "
        "FROM rag.documents_1, unnest(embedding::real[]) AS value "
        f"WHERE document_id = {hit.document_id} GROUP BY 1"
    )
    assert row["square"] == pytest.approx(1, abs=1e-3)
    (cosine,) = birds.rows(
        "SELECT -(d.embedding <#> l2_normalize(avg(v.embedding))) AS to_mean FROM rag.documents_1 d "
        f"JOIN rag.vectors_1 v USING (document_id) WHERE document_id = {hit.document_id} GROUP BY d.embedding"
    )
    assert cosine["to_mean"] == pytest.approx(1, abs=1e-3)
    assert hit.scores.document_dense is not None


def test_words_that_stand_together_come_before_the_same_words_apart(birds: Workspace) -> None:
    without_vectors(birds)
    first, second = searched(birds, "loan credit limit", k=2)
    assert (first.path, first.scores.pairs) == ("order/beside.md", 1)
    assert (second.path, second.scores.pairs) == ("order/apart.md", 0)


def test_an_identifier_is_first_although_noise_is_near(birds: Workspace) -> None:
    """Vectors that are noise have a nearest one too, which is not near."""

    def first_of_each() -> list[bool]:
        codes = [f"QX-778{n}" for n in range(1, 7)]
        return [searched(birds, code, dense_weight=0.7)[0].path == f"codes/{code}.md" for code in codes]

    set_cosines(birds, 0.5, 0.9)
    assert all(first_of_each())
    set_cosines(birds, -3, -2)
    assert not all(first_of_each())


def test_other_modes_and_rank_fusion_look_at_passages_alone(birds: Workspace) -> None:
    for hits in (birds.search("nests", mode="dense"), birds.search("nests", mode="lexical"),
                 searched(birds, "nests", method="rrf")):  # fmt: skip
        assert hits
        assert {(hit.scores.document_dense, hit.scores.pairs) for hit in hits} == {(None, None)}


def test_a_version_of_an_earlier_release_is_searched_without_its_documents(birds: Workspace) -> None:
    change(birds, "TRUNCATE rag.documents_1")
    change(birds, "UPDATE rag.index_version SET params = params - 'cosines' - 'average_document_length'")
    hits = searched(birds, "nests of the heron in tall trees")
    assert {hit.scores.document_dense for hit in hits} == {None}
    assert len(hits) == 10
    assert [hit.scores.dense_rank for hit in searched(birds, "nests", dense_weight=1.0)] == [*range(1, 11)]


@pytest.mark.parametrize("few", [1, 100_000], ids=["approximate", "exact"])
@pytest.mark.parametrize("method", ["weighted", "rrf"])
def test_the_first_hits_do_not_depend_on_how_many_are_asked_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, few: int, method: str
) -> None:
    monkeypatch.setattr(statement, "FEW_CHUNKS", few)
    for n in range(120):
        words = " ".join(f"word{n % each}" for each in (2, 3, 5, 7, 11))
        workspace.write(f"{n}.md", f"# Note {n}\n\n{words} alpha beta {'gamma ' * n}")
    workspace.refresh()
    for question in ("alpha beta", "word1 word2 gamma", "word4", "nothing of this"):
        answers = {
            k: searched(workspace, question, k, method=method, candidates=20) for k in (10, 20, 50, 110)
        }
        for k, hits in answers.items():
            assert [hit.path for hit in hits[:10]] == [hit.path for hit in answers[110][:10]]
            assert len(hits) == k
            fused = [hit.scores.fused for hit in hits]
            assert fused == sorted(fused, reverse=True)


def test_pairs_of_a_question_are_words_that_stand_beside_each_other(workspace: Workspace) -> None:
    def pairs(question: str, *languages: str) -> list[str] | None:
        (row,) = workspace.rows(
            "SELECT rag.question_pairs(rag.question_read(%s::regconfig[], %s))::text[] AS pairs",
            list(languages or ("english",)),
            question,
        )
        return row["pairs"]  # type: ignore[no-any-return]

    assert pairs("limits of credit cards") == ["'credit' <-> 'card'"]
    assert pairs("alpha beta gamma") == ["'alpha' <-> 'beta'", "'beta' <-> 'gamma'"]
    assert pairs("alpha") is None
    assert pairs("what is it") is None
    assert len(pairs(" ".join(f"w{n}x" for n in range(500))) or ()) == 32
    assert pairs("Züge fahren", "german") == ["'zug' <-> 'fahr'"]
    assert pairs("O'Neil\\x C++ 'tis", "simple")
