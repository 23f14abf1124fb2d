"""Every text of a document is screened, and masks leave its structure and its offsets right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.errors import SensitiveDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing import registry
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.privacy.find import finder_of
from rag_pipelines.privacy.kinds import Kind
from rag_pipelines.privacy.masks import MaskedText, Place, clear_span
from rag_pipelines.privacy.profile import PrivacyProfile
from rag_pipelines.privacy.screen import screen

MASK = PrivacyProfile(mode="mask")
EMAIL = "ann@acme.org"


def parsed(text: str, name: str = "a.md") -> ParsedDocument:
    return registry.parse(ParseRequest(text.encode(), name))


def everything(document: ParsedDocument) -> str:
    return repr(document)


def test_titles_headings_cells_links_and_metadata_are_masked():
    document = parsed(
        f"---\ntitle: About {EMAIL}\nowner:\n  mail: [{EMAIL}]\n  bsn: 111222333\n---\n# Of {EMAIL}\n\n"
        f"See [{EMAIL}](mailto:{EMAIL}) and [above](#of-annacmeorg).\n\n## Below {EMAIL}\n\n"
        f"| Who | BSN |\n|---|---|\n| {EMAIL} | 111222333 |\n"
    )
    assert EMAIL in document.title
    assert document.blocks[-1].rows[1].cells == (EMAIL, "111222333")

    masked = screen(document, MASK).document

    assert EMAIL not in everything(masked)
    assert "111222333" not in everything(masked)
    assert masked.title == "About [EMAIL]"
    assert masked.metadata["owner"] == {"mail": ["[EMAIL]"], "bsn": "[NL_BSN]"}
    assert masked.blocks[-1].heading_path == ("Of [EMAIL]", "Below [EMAIL]")
    assert masked.blocks[-1].rows[1].cells == ("[EMAIL]", "[NL_BSN]")
    assert [link.target for block in masked.blocks for link in block.links] == [
        "mailto:[EMAIL]",
        "#Of [EMAIL]",
    ]


def holds_together(document: ParsedDocument) -> None:
    """Blocks and rows say what stands at their offsets."""
    at = 0
    for block in document.blocks:
        assert at <= block.start < block.end <= len(document.text)
        at = block.end
        for row in block.rows:
            assert document.text[row.start : row.end] == " | ".join(row.cells)


VALUES = st.sampled_from(
    [EMAIL, "4539988915720591", "531-21-7351", "DE89370400440532013000", "words", "x y", "|"]
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["heading", "paragraph", "table"]), st.lists(VALUES, min_size=1)),
        min_size=1,
    )
)
def test_blocks_and_rows_of_a_masked_document_stand_at_their_offsets(parts):
    builder = DocumentBuilder("text/plain")
    for kind, values in parts:
        if kind == "table":
            builder.add_table([["Who", "What"], *([value, f"of {value}"] for value in values)], header_rows=1)
        else:
            builder.add(BlockKind(kind), " and ".join(values))
    document = builder.finish()

    made = screen(document, MASK)

    holds_together(made.document)
    for value in (EMAIL, "4539988915720591", "531-21-7351", "DE89370400440532013000"):
        assert value not in everything(made.document)
    for place in made.places:
        start, end = clear_span(made.places, place.start, place.end)
        assert made.document.text[place.start : place.end] == place.kind.mask
        assert document.text[start:end] in (
            EMAIL,
            "4539988915720591",
            "531-21-7351",
            "DE89370400440532013000",
        )


@given(st.text(alphabet="ab", min_size=1), st.lists(st.integers(0, 40), max_size=8, unique=True).map(sorted))
def test_offsets_outside_of_masks_lead_to_the_same_characters(clear: str, cuts: list[int]):
    ends = [cut for cut in cuts if cut <= len(clear)]
    spans = [(a, b, Kind.CARD) for a, b in zip(ends[::2], ends[1::2], strict=False)]
    masked = MaskedText(clear, spans)
    places = [
        Place(kind, masked.offset(start), masked.offset(start) + len(kind.mask), 1.0, end - start)
        for start, end, kind in spans
    ]

    for at in range(len(clear)):
        if not any(start <= at < end for start, end, _ in spans):
            there = masked.offset(at)
            assert masked.text[there] == clear[at]
            assert clear_span(places, there, there + 1) == (at, at + 1)


def test_masking_again_changes_nothing():
    document = parsed(
        f"# Of {EMAIL}\n\npassword = Hidden-Pass7 and 4539 9889 1572 0591, call +49 30 901820.\n"
    )
    once = screen(document, MASK).document

    again = screen(once, MASK)

    assert again.document == once
    assert again.places == ()


def test_a_document_in_which_nothing_is_found_is_the_same():
    document = parsed("# Umbrella\n\nNothing about anybody in 2024.\n")

    assert screen(document, MASK).document == document


def test_a_key_that_is_cut_into_paragraphs_is_masked_in_each():
    builder = DocumentBuilder("text/plain")
    for line in ("-----BEGIN PRIVATE KEY-----", "MIIEabcdefgh", "-----END PRIVATE KEY-----", "after"):
        builder.add(BlockKind.PARAGRAPH, line)

    masked = screen(builder.finish(), MASK).document

    assert masked.text == "[PRIVATE_KEY]\n\n[PRIVATE_KEY]\n\n[PRIVATE_KEY]\n\nafter"
    holds_together(masked)


def test_a_blocked_document_says_how_many_of_which_kind():
    document = parsed(f"# Of {EMAIL}\n\n4539 9889 1572 0591\n")

    with pytest.raises(SensitiveDocumentError, match="it holds 1 card, 1 email, and the privacy profile"):
        screen(document, PrivacyProfile(mode="block"))


def test_detecting_keeps_no_values():
    document = parsed(f"# Of {EMAIL}\n\n4539 9889 1572 0591\n")

    made = screen(document, PrivacyProfile())

    assert made.document is document
    assert [(place.kind, document.text[place.start : place.end]) for place in made.places] == [
        (Kind.EMAIL, EMAIL),
        (Kind.CARD, "4539 9889 1572 0591"),
    ]


def test_a_finder_is_made_once_for_equal_profiles():
    assert finder_of(PrivacyProfile(mode="mask")) is finder_of(MASK)
