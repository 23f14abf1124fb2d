#!/usr/bin/env bash
# xberg and MarkItDown: clause 7.2 of a Word document is item 2.
#
# Library    xberg 1.3.9 and markitdown 0.1.9; kreuzberg 4.10.4 counts on through the levels
# Behaviour  Word shows numbers that the file does not hold: they follow from `w:start`, from the level and
#            from a pattern such as "%1.%2" (ECMA-376, 17.9). Lists are recognised as such, and then numbered
#            anew from one by Markdown's own means, whatever the file says. A heading loses its number
#            altogether.
# Seen       shown by Word  7. Liability | 7.1 is capped | 7.2 is not for intent
#            xberg          1. Liability | 1. is capped | 2. is not for intent
#            markitdown     1. Liability | 1. is capped | 2. is not for intent
# Who        Anybody whose documents refer to clauses: "see 7.2" leads nowhere, and an answer cites clause 2.
#            docling 2.143 and unstructured 0.27.35 give 7.2.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'xberg==1.3.9' 'markitdown[docx]==0.1.9' || exit 2

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


LEVELS = "".join(
    f'<w:lvl w:ilvl="{level}"><w:start w:val="{start}"/><w:numFmt w:val="decimal"/><w:lvlText w:val="{pattern}"/></w:lvl>'
    for level, start, pattern in ((0, 7, "%1."), (1, 1, "%1.%2"))
)
NUMBERING = (
    f'<w:numbering {NAMESPACES}><w:abstractNum w:abstractNumId="0"><w:multiLevelType w:val="multilevel"/>{LEVELS}'
    '</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>'
)


def clause(level: int, text: str) -> str:
    place = f'<w:pPr><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="1"/></w:numPr></w:pPr>'
    return f"<w:p>{place}<w:r><w:t>{text}</w:t></w:r></w:p>"


def probe() -> None:
    import asyncio

    import xberg
    from markitdown import MarkItDown

    clauses = clause(0, "Liability") + clause(1, "is capped") + clause(1, "is not for intent")
    write_docx("terms.docx", clauses, numbering=NUMBERING)
    config = xberg.ExtractionConfig(output_format="markdown", use_cache=False)
    found = asyncio.run(xberg.extract(xberg.ExtractInput("uri", uri="terms.docx"), config))
    read = {
        "xberg": "\n".join(one.content for one in found.results),
        "markitdown": MarkItDown(enable_plugins=False).convert("terms.docx").text_content,
    }
    print(f"{'shown by Word':<14} 7. Liability | 7.1 is capped | 7.2 is not for intent")
    for name, text in read.items():
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        print(f"{name:<14} {' | '.join(lines)}")
        assert lines == ["1. Liability", "1. is capped", "2. is not for intent"], lines


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
