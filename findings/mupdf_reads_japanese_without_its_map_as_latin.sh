#!/usr/bin/env bash
# MuPDF: Japanese is read as Latin letters where a PDF names a CMap that MuPDF does not carry.
#
# Library    pymupdf 2.0 (MuPDF 1.28.5), beside pypdfium2 5.15.2
# Behaviour  A font may name one of Adobe's character maps instead of embedding it. MuPDF carries those of the
#            first lists; of UniJIS2004-UTF16-H (the shapes of JIS X 0213:2004), of every map for UTF-32 and
#            UTF-8, and of Adobe-KR it has none. It then reads each byte as a letter of Latin-1. The text that
#            comes out is made of printable letters, no exception is raised, and the only sign is a message
#            that programs turn off because of its noise.
# Seen       UniJIS-UTF16-H       MuPDF right                                      PDFium right
#            UniJIS2004-UTF16-H   MuPDF 'e\xe5g,\x8a\x9e0ne\x87f\u0142'            PDFium right
#            messages             format error: no builtin cmap file: UniJIS2004-UTF16-H
# Who        Anybody who indexes Japanese or Korean PDFs by PyMuPDF: no share of unknown characters is high, no
#            page is empty. Without the flag TEXT_CID_FOR_UNKNOWN_UNICODE they are U+FFFD; here it is off, so
#            that such a document ends as one whose glyphs have no characters.
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

TEXT = "日本語の文書"


def page_of(cmap: str, encoding: str) -> bytes:
    """A page with TEXT in a font that is not embedded and names `cmap`."""
    import pymupdf

    document = pymupdf.open()
    page = document.new_page(width=400, height=200)
    descriptor, descendant, font, stream = (document.get_new_xref() for _ in range(4))
    about = "/Flags 4/FontBBox[0 -200 1000 900]/ItalicAngle 0/Ascent 800/Descent -200/CapHeight 700/StemV 80"
    for xref, value in {
        descriptor: f"<</Type/FontDescriptor/FontName/Any-Mincho{about}>>",
        descendant: "<</Type/Font/Subtype/CIDFontType0/BaseFont/Any-Mincho/DW 1000"
        f"/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 6>>/FontDescriptor {descriptor} 0 R>>",
        font: f"<</Type/Font/Subtype/Type0/BaseFont/Any-Mincho-{cmap}/Encoding/{cmap}"
        f"/DescendantFonts[{descendant} 0 R]>>",
        stream: "<<>>",
    }.items():
        document.update_object(xref, value)
    document.update_stream(stream, f"BT /F1 20 Tf 20 100 Td <{TEXT.encode(encoding).hex()}> Tj ET".encode())
    document.xref_set_key(page.xref, "Resources", f"<</Font<</F1 {font} 0 R>>>>")
    page.set_contents(stream)
    return document.tobytes()


def probe() -> None:
    import pymupdf
    import pypdfium2

    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    read = {}
    for cmap in ("UniJIS-UTF16-H", "UniJIS2004-UTF16-H"):
        data = page_of(cmap, "utf-16-be")
        theirs = pymupdf.open(stream=data)[0].get_text().strip()
        pdfium = pypdfium2.PdfDocument(data)[0].get_textpage().get_text_range().strip()
        read[cmap] = theirs == TEXT, pdfium == TEXT
        print(f"{cmap:<20} MuPDF {ascii(theirs) if theirs != TEXT else 'right':<42} PDFium {'right' if pdfium == TEXT else ascii(pdfium)}")
    print(f"messages             {pymupdf.TOOLS.mupdf_warnings()}")
    assert read == {"UniJIS-UTF16-H": (True, True), "UniJIS2004-UTF16-H": (False, True)}, read


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
