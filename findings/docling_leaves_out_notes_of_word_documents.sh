#!/usr/bin/env bash
# docling: footnotes and endnotes of a Word document are left out, and rows of a table inside a repeating control.
#
# Library    docling-slim 2.143.0 (docling-core 2.104.0)
# Behaviour  Comments, text boxes and equations are read; the parts for footnotes and endnotes are not looked
#            at, and their marks leave no trace in the text. A row that a template repeats stands in a content
#            control between the table and the row, and is not among the rows. Neither is told of.
# Seen       Liability ends after a year.
#            | Service   | Fee     |
#            |-----------|---------|
#            | Support   | 350 EUR |
# Who        Anybody who indexes contracts, standards or papers from Word by it: exceptions and sources mostly
#            stand in notes. Here notes follow their paragraph with their marks, and such rows are rows.
#
# The Word backend is asked directly: the converter around it wants torch.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'docling-slim[convert-core,format-office]==2.143.0' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

import zipfile

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml"
NAMESPACES = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def write_docx(path: str, body: str, **parts: str) -> None:
    """A Word document of this body, with further parts (`footnotes`, `numbering`) by name."""
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = {"document": "document.main", **{name: name for name in parts}}
    types = "".join(
        f'<Override PartName="/word/{name}.xml" ContentType="{WORD}.{kind}+xml"/>' for name, kind in kinds.items()
    )
    links = "".join(
        f'<Relationship Id="r{name}" Type="{OFFICE}/{name}" Target="{name}.xml"/>' for name in parts
    )
    main = f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="word/document.xml"/>'
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">{main}</Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships">{links}</Relationships>',
        "word/document.xml": f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>",
        **{f"word/{name}.xml": text for name, text in parts.items()},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package_file:
        for name, text in files.items():
            package_file.writestr(name, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{text}')


def paragraph(text: str, more: str = "") -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r>{more}</w:p>"


def cells(*texts: str) -> str:
    return "<w:tr>" + "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in texts) + "</w:tr>"


def notes(kind: str, text: str) -> str:
    separators = "".join(
        f'<w:{kind} w:type="{name}" w:id="{number}"><w:p/></w:{kind}>'
        for number, name in enumerate(("separator", "continuationSeparator"))
    )
    return f'<w:{kind}s {NAMESPACES}>{separators}<w:{kind} w:id="2">{paragraph(text)}</w:{kind}></w:{kind}s>'


def probe() -> None:
    from pathlib import Path

    from docling.backend.msword_backend import MsWordDocumentBackend
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.document import InputDocument

    marks = '<w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:endnoteReference w:id="2"/></w:r>'
    table = (
        '<w:tbl><w:tblPr/><w:tblGrid><w:gridCol w:w="2000"/><w:gridCol w:w="2000"/></w:tblGrid>'
        + cells("Service", "Fee")
        + cells("Support", "350 EUR")
        + f"<w:sdt><w:sdtPr/><w:sdtContent>{cells('Training', '900 EUR')}</w:sdtContent></w:sdt></w:tbl>"
    )
    write_docx(
        "terms.docx",
        paragraph("Liability ends after a year.", marks) + table,
        footnotes=notes("footnote", "Except for intent."),
        endnotes=notes("endnote", "See section 309 BGB."),
    )
    source = InputDocument(Path("terms.docx"), format=InputFormat.DOCX, backend=MsWordDocumentBackend)
    text = source._backend.convert().export_to_markdown()
    print("\n".join(line for line in text.splitlines() if line.strip()))
    assert "ends after a year" in text, text
    assert "350 EUR" in text, text
    assert not any(words in text for words in ("intent", "309", "900 EUR")), text


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
