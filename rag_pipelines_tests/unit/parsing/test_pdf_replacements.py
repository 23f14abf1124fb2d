"""When a PDF is looked at twice because its tags may say something else than its glyphs."""

from __future__ import annotations

import pymupdf
import pytest

from rag_pipelines.parsing.pdf.replacements import may_replace, page_may_replace


def document_with(entry: str = "") -> pymupdf.Document:
    """One page, and one object that holds `entry`."""
    document = pymupdf.open()
    document.new_page().insert_text((72, 72), "The harbour is closed.")
    xref = document.get_new_xref()
    document.update_object(xref, f"<</Type/StructElem/S/Span{entry}>>")
    document.xref_set_key(document.pdf_catalog(), "StructTreeRoot", f"{xref} 0 R")
    return document


@pytest.mark.parametrize("object_streams", [False, True])
def test_an_object_with_other_text_is_found_wherever_it_is_kept(object_streams: bool) -> None:
    options = {"use_objstms": int(object_streams), "deflate": True}
    assert may_replace(document_with("/ActualText(port)").tobytes(**options))
    assert not may_replace(document_with().tobytes(**options))


def test_a_file_that_cannot_be_looked_into_may_hold_some() -> None:
    locked = document_with().tobytes(
        use_objstms=1, deflate=True, encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="o", user_pw=""
    )
    assert may_replace(locked)
    broken = document_with().tobytes(use_objstms=1, deflate=True)
    begin = broken.index(b"stream", broken.index(b"/ObjStm")) + 8
    assert may_replace(broken[:begin] + b"\xff" * 20 + broken[begin + 20 :])


def test_the_content_of_a_page_is_looked_into_and_forms_may_hold_some() -> None:
    plain = document_with()
    assert not page_may_replace(plain[0])
    tagged = document_with()
    tagged.update_stream(tagged[0].get_contents()[0], b"/Span <</ActualText (port)>> BDC EMC")
    assert page_may_replace(tagged[0])
    outer = pymupdf.open()
    outer.new_page().show_pdf_page(pymupdf.Rect(0, 0, 200, 200), plain, 0)
    assert page_may_replace(outer[0])
