#!/usr/bin/env bash
# MuPDF: words are read as one blank where the structure of a PDF from Word gives a blank for them.
#
# Library    pymupdf 2.0 (MuPDF 1.28.5), beside pypdfium2 5.15.2
# Behaviour  Word marks the blanks at the ends of lines as a Span with `/ActualText ( )`, which ISO 32000-1
#            14.9.4 takes for a replacement of its content. Where the marked content under it is more than the
#            blank, MuPDF gives the blank and none of the words: half a page in front of a table was lost of a
#            file that Word 365 saved (Benefit_Options.pdf of Azure-Samples). The text flags of PyMuPDF have it
#            so by default and nothing is warned of, unless the blank is on no glyph at all. A viewer shows the
#            words; PDFium reads them.
# Seen       MuPDF                Seen above. |
#            MuPDF, tags ignored  Seen above. | Each month 35 EUR are due.
#            PDFium               Seen above. | Each month 35 EUR are due.
#            warnings             none
# Who        Anybody who indexes PDFs saved from Word by PyMuPDF. `TEXT_IGNORE_ACTUALTEXT` gives the words, and
#            loses the letters of those fonts that are only named by tags. Here a page whose glyphs show more
#            letters than its tags is read by its glyphs.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pymupdf==2.0' 'pypdfium2==5.15.2' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def tagged() -> bytes:
    """A page of two lines; the structure gives a blank for the second, as Word does."""
    import pymupdf

    document = pymupdf.open()
    page = document.new_page(width=400, height=200)
    page.insert_text((20, 20), " ", fontname="helv")
    stream, root, paragraph, span, tree = (document.get_new_xref() for _ in range(5))
    document.update_object(stream, "<<>>")
    document.update_stream(
        stream,
        b"BT /helv 12 Tf 20 150 Td /P <</MCID 0>> BDC (Seen above.) Tj EMC "
        b"/Span <</MCID 1>> BDC 0 -20 Td (Each month 35 EUR are due.) Tj EMC ET",
    )
    page.set_contents(stream)
    for xref, value in {
        span: f"<</Type/StructElem/S/Span/P {paragraph} 0 R/Pg {page.xref} 0 R/K[1]/ActualText( )>>",
        paragraph: f"<</Type/StructElem/S/P/P {root} 0 R/Pg {page.xref} 0 R/K[0 {span} 0 R]>>",
        tree: f"<</Nums[0[{paragraph} 0 R {span} 0 R]]>>",
        root: f"<</Type/StructTreeRoot/K {paragraph} 0 R/ParentTree {tree} 0 R>>",
    }.items():
        document.update_object(xref, value)
    document.xref_set_key(document.pdf_catalog(), "StructTreeRoot", f"{root} 0 R")
    document.xref_set_key(document.pdf_catalog(), "MarkInfo", "<</Marked true>>")
    document.xref_set_key(page.xref, "StructParents", "0")
    return document.tobytes()


def probe() -> None:
    import pymupdf
    import pypdfium2

    data = tagged()
    page = pymupdf.open(stream=data)[0]
    read = {
        "MuPDF": page.get_text(),
        "MuPDF, tags ignored": page.get_text(flags=pymupdf.TEXTFLAGS_TEXT | pymupdf.TEXT_IGNORE_ACTUALTEXT),
        "PDFium": pypdfium2.PdfDocument(data)[0].get_textpage().get_text_range(),
    }
    for name, text in read.items():
        print(f"{name:<20} {' | '.join(line.strip() for line in text.splitlines())}")
    print(f"warnings             {pymupdf.TOOLS.mupdf_warnings() or 'none'}")
    assert [name for name, text in read.items() if "35 EUR" in text] == ["MuPDF, tags ignored", "PDFium"], read
    assert not pymupdf.TOOLS.mupdf_warnings()


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
