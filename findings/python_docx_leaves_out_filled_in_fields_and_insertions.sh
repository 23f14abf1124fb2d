#!/usr/bin/env bash
# python-docx: what a form fills in, what was inserted with changes tracked, and results of fields are no text.
#
# Library    python-docx 1.2.0; unstructured 0.27.35 is built on it and leaves out the same
# Behaviour  `Paragraph.text` joins the runs and hyperlinks that are children of the paragraph. A content
#            control, an insertion that nobody has accepted yet, a simple field and a smart tag are elements
#            around runs, and are passed over; a content control around whole paragraphs or table rows is not
#            among the paragraphs at all. Sentences stay readable and lose what was asked for.
# Seen       content control      'The fee is '
#            tracked insertion    'Payable within 30 days'
#            simple field         'Dated '
#            control around all   not there
# Who        Anybody who indexes contracts, forms and letters made of templates by it or by what stands on it.
#            Here all of these are read (`parsing/office/docx.py`).
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'python-docx==1.2.0' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


PARAGRAPHS = {
    "content control": run("The fee is ") + f"<w:sdt><w:sdtPr/><w:sdtContent>{run('350 EUR')}</w:sdtContent></w:sdt>",
    "tracked insertion": run("Payable within 30 days")
    + f'<w:ins w:id="1" w:author="A" w:date="2026-01-01T00:00:00Z">{run(" of delivery")}</w:ins>',
    "simple field": run("Dated ") + f'<w:fldSimple w:instr=" SAVEDATE ">{run("4 March 2026")}</w:fldSimple>',
}
WHOLE = f"<w:sdt {W}><w:sdtPr/><w:sdtContent><w:p>{run('No other terms apply.')}</w:p></w:sdtContent></w:sdt>"


def probe() -> None:
    import docx
    from docx.oxml import parse_xml

    document = docx.Document()
    for markup in [*(f"<w:p {W}>{one}</w:p>" for one in PARAGRAPHS.values()), WHOLE]:
        document.element.body.insert_element_before(parse_xml(markup), "w:sectPr")
    document.save("terms.docx")
    read = [block.text for block in docx.Document("terms.docx").iter_inner_content()]
    for name, text in zip(PARAGRAPHS, read, strict=False):
        print(f"{name:<20} {text!r}")
    print(f"{'control around all':<20} {'not there' if len(read) == 3 else read[3:]}")
    assert read == ["The fee is ", "Payable within 30 days", "Dated "], read


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
