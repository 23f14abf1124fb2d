#!/usr/bin/env bash
# Kreuzberg: a paragraph of a Word document that a text box hangs on is lost.
#
# Library    kreuzberg 4.10.4; its successor xberg 1.3.9 gives both
# Behaviour  Each text box is anchored in some paragraph. The words of the box are read, and the paragraph's
#            own are replaced by them. No warning tells of it: the document has one paragraph less.
# Seen       The lease is for two years.
#            See annex B.
#            Heating is extra.
# Who        Anybody who indexes letters with a box for the address, or manuals with call-outs: the sentence
#            beside the box is not there.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'kreuzberg==4.10.4' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

import zipfile

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml"
NAMESPACES = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:v="urn:schemas-microsoft-com:vml"'


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


BOX = """<w:r><w:pict><v:shape id="box" style="width:200pt;height:40pt"><v:textbox><w:txbxContent>
<w:p><w:r><w:t>See annex B.</w:t></w:r></w:p></w:txbxContent></v:textbox></v:shape></w:pict></w:r>"""


def paragraph(text: str, *further: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r>{''.join(further)}</w:p>"


def probe() -> None:
    import kreuzberg

    body = paragraph("The lease is for two years.") + paragraph("The rent is 800 EUR.", BOX) + paragraph("Heating is extra.")
    write_docx("lease.docx", body)
    config = kreuzberg.ExtractionConfig(output_format="markdown", use_cache=False)
    text = kreuzberg.extract_file_sync("lease.docx", config=config).content
    print("\n".join(line for line in text.splitlines() if line.strip()))
    assert "See annex B." in text, text
    assert "two years" in text, text
    assert "Heating" in text, text
    assert "800 EUR" not in text, text


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
