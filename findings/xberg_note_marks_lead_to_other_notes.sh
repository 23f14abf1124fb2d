#!/usr/bin/env bash
# xberg: the marks of footnotes in a Word document lead to other notes, or to none.
#
# Library    xberg 1.3.9; its forerunner kreuzberg 4.10.4 does the same and loses a footnote beside an endnote
# Behaviour  A mark in the text is written with the id that the file gives the note, the notes below are
#            counted from one, and a second row of marks follows the paragraph. Word's own first id is 1,
#            LibreOffice's is 2, and after edits ids have gaps: then [^2] is another note. Footnotes and
#            endnotes have ids of their own, so two marks may be the same.
# Seen       Liability[^2] ends after a year[^3][^1][^2]
#            [^1]:
#            Except for intent.
#            [^2]:
#            From delivery.
# Who        Anybody who has a model answer from the Markdown: an exception stands at the wrong clause.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'xberg==1.3.9' || exit 2

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


def note(number: int, text: str) -> str:
    return f'<w:footnote w:id="{number}"><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:footnote>'


def probe() -> None:
    import asyncio

    import xberg

    separators = "".join(
        f'<w:footnote w:type="{kind}" w:id="{number}"><w:p/></w:footnote>'
        for number, kind in enumerate(("separator", "continuationSeparator"))
    )
    notes = separators + note(2, "Except for intent.") + note(3, "From delivery.")
    body = "".join(
        f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r><w:r><w:footnoteReference w:id="{number}"/></w:r>'
        for text, number in (("Liability", 2), (" ends after a year", 3))
    )
    write_docx("notes.docx", f"<w:p>{body}</w:p>", footnotes=f"<w:footnotes {NAMESPACES}>{notes}</w:footnotes>")

    config = xberg.ExtractionConfig(output_format="markdown", use_cache=False)
    result = asyncio.run(xberg.extract(xberg.ExtractInput("uri", uri="notes.docx"), config))
    text = "\n".join(one.content for one in result.results)
    print("\n".join(line.strip() for line in text.splitlines() if line.strip()))
    assert text.startswith("Liability[^2] ends after a year[^3]"), text
    assert "Except" in text.partition("[^1]:")[2].partition("[^2]:")[0], text
    assert "delivery" in text.partition("[^2]:")[2], text


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
