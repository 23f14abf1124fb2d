"""A second, simpler reading of a file holds its parser to the words that a reader sees."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.account import Account
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.office.ole import open_ole, read_stream
from rag_pipelines.parsing.registry import parse
from rag_pipelines.parsing.witness import doc, html, ppt, rtf
from rag_pipelines_tests.golden.corpus import DECLARED, DOCUMENTS

WORDS = [
    f"{name}{number}" for number in range(4) for name in ("Kiel", "Bonn", "Jena", "Ulm", "Trier", "Gera")
]


def counted(data: bytes, name: str) -> tuple[int, int]:
    """Words seen and words missing of a document."""
    declared = DECLARED.get(Path(name).suffix)
    counters = parse(ParseRequest(data, name=name, declared_type=declared)).counters
    return counters.get("words_seen", 0), counters.get("words_missing", 0)


def _word_file() -> bytes:
    document = docx.Document()
    paragraph = document.add_paragraph("Harbour dues are ")
    paragraph.add_run("cal").bold = True
    paragraph.add_run("culated per berth.")
    hidden = document.add_paragraph("Shown. ").add_run("nobodysees")
    hidden.font.hidden = True
    table = document.add_table(rows=6, cols=4)
    for cell, word in zip((cell for row in table.rows for cell in row.cells), WORDS, strict=True):
        cell.text = word
    document.sections[0].header.paragraphs[0].text = "Port authority"
    return _saved(document)


def _slides() -> bytes:
    deck = pptx.Presentation()
    for number in range(2):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = f"Berths {number}"
        table = slide.shapes.add_table(6, 2, 0, 10**6, 10**6, 10**6).table
        for row in range(6):
            for column in range(2):
                table.cell(row, column).text = WORDS[number * 12 + row * 2 + column]
        slide.notes_slide.notes_text_frame.text = f"Say hello {number}"
    deck.slides[1]._element.set("show", "0")
    return _saved(deck)


def _workbook() -> bytes:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    for row in range(6):
        sheet.append([*WORDS[row * 4 : row * 4 + 4], row * 1000, 0.25])
    secret = workbook.create_sheet("Secret")
    secret.append(["unseen", "rates"])
    secret.sheet_state = "hidden"
    return _saved(workbook)


def _text_document() -> bytes:
    prefix = "urn:oasis:names:tc:opendocument:xmlns"
    names = " ".join(f'xmlns:{name}="{prefix}:{name}:1.0"' for name in ("office", "text", "table"))
    cells = [f"<table:table-cell><text:p>{word}</text:p></table:table-cell>" for word in WORDS]
    rows = "".join(
        f"<table:table-row>{''.join(cells[at : at + 4])}</table:table-row>" for at in range(0, len(cells), 4)
    )
    contents = "<text:index-body><text:p>Dues 1</text:p></text:index-body>"
    content = (
        f"<office:document-content {names}><office:body><office:text>"
        "<text:tracked-changes><text:p>deletedlong</text:p></text:tracked-changes>"
        f"<text:table-of-content>{contents}</text:table-of-content>"
        f"<text:p>Har<text:span>bour</text:span> dues</text:p><table:table>{rows}</table:table>"
        "</office:text></office:body></office:document-content>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        package.writestr("content.xml", content)
    return out.getvalue()


def _table(words: Sequence[str]) -> str:
    rows = "".join(
        "<tr>" + "".join(f"<td>{word}</td>" for word in words[at : at + 4]) + "</tr>"
        for at in range(0, len(words), 4)
    )
    return f"<table><tr><th>a</th><th>b</th><th>c</th><th>d</th></tr>{rows}</table>"


def _page() -> bytes:
    return (
        "<html><head><title>Port</title><style>p {color: red}</style></head>"
        "<body><nav><a href=/>Home</a></nav>"
        f"<main><h1>Harbour d<b>ues</b></h1><p>{'Paid on arrival. ' * 40}</p>{_table(WORDS)}"
        "<p style='display:none'>nobodysees</p><script>var unseen = 1</script></main>"
        "<footer>Imprint</footer></body>"
    ).encode()


def _message() -> bytes:
    return (
        "From: a@example.com\nSubject: Dues\nMIME-Version: 1.0\n"
        "Content-Type: multipart/alternative; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nread the other part\n"
        "--b\nContent-Type: text/html\n\n"
        f"<html><body><p>Hello</p>{_table(WORDS)}</body></html><p>No virus</p>\n--b--\n"
    ).encode()


def _pdf() -> bytes:
    import pymupdf

    document = pymupdf.open()
    page = document.new_page()
    page.insert_text(
        (72, 60), "Harbour dues are payable on arrival of each inter-\nnational ferry at the quay."
    )
    for row in range(6):
        for column in range(4):
            place = pymupdf.Rect(72 + column * 100, 120 + row * 20, 172 + column * 100, 140 + row * 20)
            page.draw_rect(place)
            page.insert_text((place.x0 + 4, place.y1 - 6), WORDS[row * 4 + column])
    return document.tobytes()


def _saved(thing: object) -> bytes:
    out = io.BytesIO()
    thing.save(out)  # type: ignore[attr-defined]
    return out.getvalue()


def _rich_text() -> bytes:
    rows = "".join(
        r"\trowd " + "".join(rf"\pard\intbl {word}\cell" + "\n" for word in WORDS[at : at + 4]) + r"\row"
        for at in range(0, len(WORDS), 4)
    )
    return (
        r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}{\stylesheet{\s0 Normal;}}{\*\generator Writer 7}"
        r"{\info{\title Dues}}"
        r"\pard Har{\b bour} dues caf\'e9 \u252?ber{\*\bkmkstart place}{\v nobodysees}.\par"
        rf"{{\field{{\*\fldinst{{HYPERLINK unseen}}}}{{\fldrslt {{here}}}}}}\par {rows}}}"
    ).encode("ascii")


def _storage_page() -> bytes:
    return (
        "<h1>Harbour d<strong>ues</strong></h1>"
        '<ac:structured-macro ac:name="info"><ac:parameter ac:name="icon">'
        "unseen</ac:parameter><ac:rich-text-body><p>Paid on arrival</p></ac:rich-text-body>"
        "</ac:structured-macro><ac:task-list><ac:task><ac:task-id>7</ac:task-id><ac:task-status>complete"
        "</ac:task-status><ac:task-body>Ask the pilot</ac:task-body></ac:task></ac:task-list>"
        f"{_table(WORDS)}"
    ).encode()


def _wiki_issue() -> bytes:
    rows = "\n".join("|" + "|".join(WORDS[at : at + 4]) + "|" for at in range(0, len(WORDS), 4))
    text = (
        f"h2. Dues\nSee the *har*bour_s_ [list|https://acme.example/dues] {{color:red}}now{{color}}\n\n{rows}"
    )
    return json.dumps({"summary": "Dues", "description": text, "format": "wiki"}).encode()


def _cloud_issue() -> bytes:
    def node(kind: str, *content: object) -> dict[str, object]:
        return {"type": kind, "content": list(content)}

    def cell(word: str) -> dict[str, object]:
        return node("tableCell", node("paragraph", {"type": "text", "text": word}))

    rows = [node("tableRow", *map(cell, WORDS[at : at + 4])) for at in range(0, len(WORDS), 4)]
    issue = {"summary": "Dues", "description": node("doc", node("table", *rows)), "format": "adf"}
    return json.dumps(issue).encode()


FILES = {
    "dues.docx": _word_file,
    "dues.pptx": _slides,
    "dues.xlsx": _workbook,
    "dues.odt": _text_document,
    "dues.html": _page,
    "dues.eml": _message,
    "dues.pdf": _pdf,
    "dues.rtf": _rich_text,
    "dues.confluence": _storage_page,
    "dues.jira": _wiki_issue,
    "dues-cloud.jira": _cloud_issue,
}


@pytest.mark.parametrize("name", FILES)
def test_a_sound_parse_misses_no_word_that_a_reader_sees(name):
    seen, missing = counted(FILES[name](), name)

    assert seen >= 12
    assert missing == 0


@pytest.mark.parametrize("name", FILES)
def test_a_parser_that_drops_every_second_row_of_a_table_misses_words(name, monkeypatch):
    whole = DocumentBuilder.add_table

    def every_second(self: DocumentBuilder, rows: Iterable[Sequence[str]], **options: object) -> None:
        whole(self, list(rows)[::2], **options)  # type: ignore[arg-type]

    monkeypatch.setattr(DocumentBuilder, "add_table", every_second)

    _, missing = counted(FILES[name](), name)

    assert missing >= 6


@pytest.mark.parametrize("name", ["legacy.doc", "deck.ppt"])
def test_a_parser_that_drops_every_paragraph_of_an_old_binary_file_misses_words(name, monkeypatch):
    data = gzip.decompress((DOCUMENTS / f"{name}.gz").read_bytes())
    seen, missing = counted(data, name)
    assert seen > 30
    assert missing == 0
    whole = DocumentBuilder.add

    def without_paragraphs(self: DocumentBuilder, kind: BlockKind, text: str, **options: Any) -> None:
        if kind is not BlockKind.PARAGRAPH:
            whole(self, kind, text, **options)

    monkeypatch.setattr(DocumentBuilder, "add", without_paragraphs)

    assert counted(data, name)[1] > 5


def test_the_old_states_that_saving_leaves_in_a_presentation_are_not_held_against_it():
    data = gzip.decompress((DOCUMENTS / "deck.ppt.gz").read_bytes())
    with open_ole(data) as container:
        stream = read_stream(container, "PowerPoint Document")
    edit = stream.rindex(b"\0\0\xf5\x0f")

    assert "A merged with B" in ppt.text(stream)
    assert ppt.text(stream + stream[edit:]) == ""


@given(st.binary(max_size=400), st.text(alphabet="{}\\*'abuv0- \n", max_size=60))
def test_damaged_old_files_are_read_by_a_witness(data, source):
    assert isinstance(ppt.text(data), str)
    assert isinstance(doc.text(data.ljust(200, b"\0")), str)
    assert isinstance(rtf.text(source), str)


def test_a_parser_that_drops_text_boxes_misses_words(monkeypatch):
    document = docx.Document()
    paragraph = document.add_paragraph("Beside the box")
    box = (
        '<w:pict xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
        ' xmlns:v="urn:schemas-microsoft-com:vml"><v:shape><v:textbox><w:txbxContent>'
        "<w:p><w:r><w:t>Mooring costs twelve</w:t></w:r></w:p></w:txbxContent></v:textbox></v:shape></w:pict>"
    )
    paragraph.add_run()._r.append(docx.oxml.parse_xml(box))
    data = _saved(document)
    assert counted(data, "a.docx") == (6, 0)
    whole = DocumentBuilder.add

    def without_boxes(self: DocumentBuilder, kind: BlockKind, text: str, **options: Any) -> None:
        if not text.startswith("Mooring"):
            whole(self, kind, text, **options)

    monkeypatch.setattr(DocumentBuilder, "add", without_boxes)

    assert counted(data, "a.docx") == (6, 3)


def test_the_losses_of_an_attachment_are_those_of_its_message(monkeypatch):
    part = _table(WORDS)
    data = (
        "From: a@example.com\nSubject: Dues\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nsee the table\n"
        "--b\nContent-Type: text/html\nContent-Disposition: attachment; filename=t.html\n\n"
        f"<html><body>{part}</body></html>\n--b--\n"
    ).encode()
    whole = DocumentBuilder.add_table
    monkeypatch.setattr(
        DocumentBuilder, "add_table", lambda self, rows, **options: whole(self, list(rows)[::2], **options)
    )

    document: ParsedDocument = parse(ParseRequest(data, name="dues.eml"))

    assert document.counters["words_missing"] == 12


@pytest.mark.parametrize(
    ("seen", "held", "missing"),
    [
        ("an inter-\nnational berth", "an international berth", 0),
        ("10 6 pieces", "10^6 pieces", 0),
        ("106 pieces", "10 6 pieces", 0),
        ("H 2 O", "H2O", 0),
        ("to to", "to gather", 1),
        ("港口 费用", "港口费用", 0),
        ("港口费用", "港口", 2),
        ("ﬁne Ｃａｆé soft\u00adhyphen", "fine café softhyphen", 0),
        ("one one one", "one", 2),
    ],
)
def test_words_are_the_same_where_only_spaces_hyphens_or_widths_differ(seen, held, missing):
    account = Account()
    account.see(seen)

    assert account.settle(held)[1] == missing


@given(st.lists(st.sampled_from(WORDS), max_size=30), st.data())
def test_what_is_taken_away_is_what_is_missing(words, data):
    kept = [word for word in words if data.draw(st.booleans())]
    account = Account()
    account.see("\n".join(words))

    assert account.settle(" ".join(kept)) == (len(words), len(words) - len(kept))


@given(st.text(alphabet='<>/!-[]"= abpst'), st.sampled_from(["", "<script ", "<!--", "<head>", "<p>"]))
def test_whatever_the_markup_is_a_witness_reads_it(markup, before):
    assert isinstance(html.text(before + markup), str)


@given(st.text(), st.text(), st.text())
def test_whatever_the_texts_are_no_more_words_are_missing_than_were_seen(seen, explained, held):
    account = Account()
    account.see(seen)
    account.explain(explained)

    total, missing = account.settle(held)

    assert 0 <= missing <= total
    account.explain(seen)
    assert account.settle(held)[1] == 0


@given(st.permutations(WORDS), st.integers(0, 2000))
def test_lines_are_found_in_whatever_order_and_however_far_apart_they_stand(order, apart):
    account = Account()
    account.see("\n".join(f"the berth of {word} is free" for word in WORDS))

    held = (" . " * apart).join(f"the berth of {word} is free" for word in order)

    assert account.settle(held) == (6 * len(WORDS), 0)


@given(st.lists(st.sampled_from(WORDS), unique=True, min_size=1))
def test_whole_lines_that_are_taken_away_are_missing_wherever_they_stood(lost):
    lines = [f"the berth of {word} is free" for word in WORDS]
    account = Account()
    account.see("\n".join(lines))

    kept = "\n\n".join(line for line, word in zip(lines, WORDS, strict=True) if word not in lost)

    assert account.settle(kept) == (6 * len(WORDS), 6 * len(lost))


def test_the_careful_reading_decides_where_the_quick_one_misses_words():
    account = Account()
    account.see("cal\nculated\nunseen", lambda: "calculated")

    assert account.settle("calculated") == (1, 0)
    assert account.settle("") == (1, 1)


def test_a_quick_reading_that_cuts_words_counts_them_whole():
    account = Account()
    account.see("cal\nculated per\nberth", lambda: pytest.fail("nothing is missing"))

    assert account.settle("calculated per berth") == (3, 0)
