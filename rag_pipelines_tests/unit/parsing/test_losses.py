"""Words that a parser saw and did not keep are counted; what it leaves out on purpose is said apart."""

from __future__ import annotations

from rag_pipelines.model import BlockKind
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut, Loss


def test_words_that_are_in_no_block_are_counted_as_missing():
    builder = DocumentBuilder("text/plain")
    builder.account_for("Invoice INV-4417 of Ｍａｙ, Invoice")
    builder.add(BlockKind.PARAGRAPH, "Invoice of May")

    document = builder.finish()

    assert document.counters == {"words_seen": 5, "words_missing": 3}


def test_what_is_left_out_on_purpose_is_not_missing():
    builder = DocumentBuilder("text/plain")
    builder.account_for("shown hidden words")
    builder.add(BlockKind.PARAGRAPH, "Shown")
    builder.leave_out(LeftOut.HIDDEN, "hidden words")

    document = builder.finish()

    assert document.counters == {"words_seen": 3, "hidden_words": 2}


def test_losses_without_words_are_counted_by_kind():
    builder = DocumentBuilder("text/plain")
    builder.lose(Loss.IMAGES, 2)
    builder.lose(Loss.IMAGES)
    builder.lose(Loss.FORMULAS, 0)

    assert builder.finish().counters == {"images_without_text": 3}
