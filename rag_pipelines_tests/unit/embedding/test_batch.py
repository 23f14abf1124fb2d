"""embed_all: groups by length, bad texts alone, vectors judged."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.embedding.batch import embed_all, token_batches
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import EmbeddingError, TransientError

PROFILE = EmbeddingProfile(provider="hash", dimensions=32)


class Picky(HashEmbedder):
    """Refuses batches that hold a text with 'bad' in it."""

    def __init__(self) -> None:
        super().__init__(PROFILE)
        self.calls: list[list[str]] = []

    def embed_documents(self, texts):
        self.calls.append(list(texts))
        if any("bad" in text for text in texts):
            raise EmbeddingError("refused")
        return super().embed_documents(texts)


class Broken(HashEmbedder):
    """Gives unusable vectors for some texts."""

    def embed_documents(self, texts):
        vectors = super().embed_documents(texts)
        for row, text in enumerate(texts):
            vectors[row] *= {"zero": 0.0, "nan": np.nan, "infinite": np.inf, "long": 2.0}.get(text, 1.0)
        return vectors


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.sampled_from(["bad", "a", "some text", "a bad one", "longer " * 9]), max_size=40))
def test_only_the_bad_texts_fail_wherever_they_stand(texts):
    done, failed = {}, {}
    for part in embed_all(Picky(), texts, group=8):
        assert len(part.rows) == len(part.vectors)
        done.update(zip(part.rows.tolist(), part.vectors, strict=True))
        failed.update(dict(part.failures))
    assert set(failed) == {row for row, text in enumerate(texts) if "bad" in text}
    assert set(done) == set(range(len(texts))) - set(failed)
    for row, vector in done.items():
        np.testing.assert_array_equal(vector, HashEmbedder(PROFILE).embed_query(texts[row]))


def test_one_bad_text_in_many_costs_few_calls():
    embedder = Picky()
    list(embed_all(embedder, ["good"] * 127 + ["bad"]))
    assert len(embedder.calls) == 1 + 2 * 7


def test_groups_are_of_like_length_longest_first():
    embedder = Picky()
    list(embed_all(embedder, ["x" * n for n in (1, 50, 2, 60)], group=2))
    assert [[len(text) for text in call] for call in embedder.calls] == [[60, 50], [2, 1]]


@pytest.mark.parametrize("text", ["zero", "nan", "infinite", "long"])
def test_a_vector_that_is_not_of_length_1_is_a_failure(text):
    (part,) = embed_all(Broken(PROFILE), ["fine", text])
    assert part.rows.tolist() == [0]
    ((row, error),) = part.failures
    assert row == 1
    assert "1 was expected" in str(error)


def test_a_transient_fault_goes_up_and_what_came_before_stands():
    class Flaky(Picky):
        def embed_documents(self, texts):
            if self.calls:
                raise TransientError
            return super().embed_documents(texts)

    parts = embed_all(Flaky(), ["a", "b", "c"], group=2)
    assert len(next(parts).rows) == 2
    with pytest.raises(TransientError):
        next(parts)


def test_progress_counts_every_text():
    counted = []
    list(embed_all(Picky(), ["a", "bad", "c"], group=2, progress=counted.append))
    assert counted == [2, 1]


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 2_000))
def test_batches_by_tokens_hold_every_text_once_and_no_more_than_the_budget(lengths, budget):
    batches = list(token_batches(lengths, budget))

    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[row] for row in batch) * len(batch) <= budget
    for batch, following in pairwise(batches):
        assert max(lengths[row] for row in batch) * (len(batch) + 1) > budget
        assert min(lengths[row] for row in batch) >= max(lengths[row] for row in following)
