#!/usr/bin/env bash
# MarkItDown: 10 to the sixth is 106, in Word documents, slides and web pages alike.
#
# Library    markitdown 0.1.9 (mammoth 1.13.0, python-pptx, markdownify)
# Behaviour  Raised and lowered characters are put behind what they stand at, without a sign: 10⁶ becomes 106,
#            m² becomes m2, and the mark of a note ends a number. mammoth does find them in Word documents and
#            writes <sup>; the step to Markdown drops the element, as it does for HTML. The same was seen of
#            unstructured 0.27.35 (all three), and of kreuzberg 4.10.4 and xberg 1.3.9 for HTML.
# Seen       rating.docx  rated for 106 cycles
#            rating.pptx  rated for 106 cycles
#            rating.html  rated for 106 cycles
# Who        Anybody who indexes data sheets, limits or tolerances by it. A model that reads "106 cycles" has
#            no means to know better.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'markitdown[docx,pptx]==0.1.9' 'python-docx==1.2.0' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def probe() -> None:
    from pathlib import Path

    import docx
    import pptx
    from markitdown import MarkItDown

    document = docx.Document()
    paragraph = document.add_paragraph("rated for 10")
    paragraph.add_run("6").font.superscript = True
    paragraph.add_run(" cycles")
    document.save("rating.docx")

    slides = pptx.Presentation()
    box = slides.slides.add_slide(slides.slide_layouts[6]).shapes.add_textbox(0, 0, 1_000_000, 500_000)
    for text in ("rated for 10", "6", " cycles"):
        run = box.text_frame.paragraphs[0].add_run()
        run.text = text
        if text == "6":
            run._r.get_or_add_rPr().set("baseline", "30000")
    slides.save("rating.pptx")

    page = "<!doctype html><title>t</title><p>rated for 10<sup>6</sup> cycles"
    Path("rating.html").write_text(page, encoding="utf-8")

    read = {}
    for name in ("rating.docx", "rating.pptx", "rating.html"):
        text = MarkItDown(enable_plugins=False).convert(name).text_content
        read[name] = next(line for line in text.splitlines() if "rated" in line)
        print(f"{name:<12} {read[name]}")
    assert set(read.values()) == {"rated for 106 cycles"}, read


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
