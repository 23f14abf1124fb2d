"""Links of office files: relationships, fields, bookmarks, cells and slides."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import Any

import pytest

from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.links import unmark
from rag_pipelines.parsing.office.fields import target_of
from rag_pipelines.parsing.office.ppt_text import read_lines
from rag_pipelines.parsing.registry import parse
from rag_pipelines_tests.golden.corpus import DOCUMENTS

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
HYPERLINK = f"{R}/hyperlink"
ACME = "https://acme.example/"


def read(data: bytes, name: str) -> ParsedDocument:
    return parse(ParseRequest(data, name))


def links_of(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(link.text, link.target) for block in document.blocks for link in block.links]


@pytest.mark.parametrize(
    ("instruction", "target"),
    [
        (' HYPERLINK "https://acme.example/" \\o "a tip" \\t "_blank" ', ACME),
        ("hyperlink https://acme.example/ \\l place", f"{ACME}#place"),
        (' HYPERLINK \\l "_Toc12" \\h', "#_Toc12"),
        (r' HYPERLINK "C:\\docs\\a b.docx" ', r"C:\docs\a b.docx"),
        (" PAGEREF _Ref1 \\h ", "#_Ref1"),
        (" REF \\h", ""),
        (' TOC \\o "1-3" ', ""),
        (" HYPERLINK ", ""),
        ("", ""),
    ],
)
def test_the_instruction_of_a_field_says_where_it_leads(instruction: str, target: str) -> None:
    assert target_of(instruction) == target


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def word(*paragraphs: str, in_header: bool = False) -> bytes:
    """A document whose body refers to ACME as ``rId900``, its header to another address by the same id."""
    import docx
    from docx.oxml import parse_xml

    document = docx.Document()
    document.part.rels._target_parts_by_rId  # noqa: B018 - the relations are there before ours
    document.part.rels.add_relationship(HYPERLINK, ACME, "rId900", is_external=True)
    for paragraph in paragraphs:
        xml = f'<w:p xmlns:w="{W}" xmlns:r="{R}">{paragraph}</w:p>'
        document.element.body.insert(-1, parse_xml(xml))
    if in_header:
        header = document.sections[0].header
        header.part.rels.add_relationship(HYPERLINK, f"{ACME}top", "rId900", is_external=True)
        link = f'<w:hyperlink r:id="rId900">{run("Acme Ltd")}</w:hyperlink>'
        header._element.append(parse_xml(f'<w:p xmlns:w="{W}" xmlns:r="{R}">{link}</w:p>'))
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def field(instruction: str, result: str) -> str:
    def mark(kind: str) -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'

    told = f"<w:r><w:instrText>{instruction}</w:instrText></w:r>"
    return mark("begin") + told + mark("separate") + result + mark("end")


HEADING = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:bookmarkStart w:id="1" w:name="_Ref1"/>'


def test_links_of_a_word_document_are_relations_fields_and_bookmarks() -> None:
    document = read(
        word(
            run("See ")
            + f'<w:hyperlink r:id="rId900" w:anchor="x">{run("the ")}{run("guide")}</w:hyperlink>',
            field(' HYPERLINK "https://acme.example/f" ', run("a field")) + run(" and none"),
            f'<w:fldSimple w:instr=" PAGEREF _Ref1 \\h ">{run("7")}</w:fldSimple>',
            f'<w:hyperlink w:anchor="_Ref1">{run("section 1")}</w:hyperlink>',
            f"{HEADING}{run('Fees')}",
        ),
        "a.docx",
    )
    assert document.text == "See the guide\n\na field and none\n\n7\n\nsection 1\n\nFees"
    assert links_of(document) == [
        ("the guide", f"{ACME}#x"), ("a field", f"{ACME}f"), ("7", "#Fees"), ("section 1", "#Fees"),
    ]  # fmt: skip


def test_a_raised_part_of_a_link_is_written_as_everywhere() -> None:
    raised = run("6", '<w:vertAlign w:val="superscript"/>')
    document = read(word(f'{run("10")}<w:hyperlink r:id="rId900">{raised}</w:hyperlink>'), "a.docx")
    assert (document.text, links_of(document)) == ("10^6", [("^6", ACME)])


def test_relations_are_those_of_the_part_that_a_link_stands_in() -> None:
    body = f'<w:hyperlink r:id="rId900">{run("home")}</w:hyperlink>'
    document = read(word(body, in_header=True), "a.docx")
    assert links_of(document) == [("home", ACME), ("Acme Ltd", f"{ACME}top")]


def test_an_empty_numbered_paragraph_stays_one_where_it_has_a_bookmark() -> None:
    listed = '<w:pPr><w:pStyle w:val="ListNumber"/></w:pPr>'
    document = read(
        word(f'{listed}<w:bookmarkStart w:id="2" w:name="b"/>', f"{listed}{run('one')}"), "a.docx"
    )
    assert [block.kind for block in document.blocks] == ["list_item"]


def workbook(fill: Any) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    fill(book.active)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_links_of_cells_are_addresses_places_and_functions() -> None:
    def fill(sheet: Any) -> None:
        for row in (
            ["Name", "Site"],
            ["Ann", "home"],
            ["Bob", '=HYPERLINK("https://acme.example/b","b")'],
            [3, 4],
        ):
            sheet.append(row)
        sheet["B2"].hyperlink = ACME
        sheet["A4"].hyperlink = "#Sheet!A1"

    document = read(workbook(fill), "a.xlsx")
    targets = [target for _, target in links_of(document)]
    assert targets == [ACME, f"{ACME}b", "#Sheet!A1"]
    assert document.blocks[-1].header_rows == 1


def test_links_of_slides_are_addresses_and_other_slides() -> None:
    import pptx

    deck = pptx.Presentation()
    for title in ("First", "Second"):
        deck.slides.add_slide(deck.slide_layouts[1]).shapes.title.text = title
    first, second = deck.slides
    paragraph = first.placeholders[1].text_frame.paragraphs[0]
    away, on = paragraph.add_run(), paragraph.add_run()
    away.text, away.hyperlink.address = "away", ACME
    on.text, on.hyperlink.address = " on", "x"
    link = on._r.rPr.find("{*}hlinkClick")
    link.set(f"{{{R}}}id", first.part.relate_to(second.part, f"{R}/slide"))
    out = io.BytesIO()
    deck.save(out)
    assert links_of(read(out.getvalue(), "a.pptx")) == [("away", ACME), ("on", "#page=2")]


def test_links_of_an_open_document_are_addresses_bookmarks_and_headings() -> None:
    namespaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text")
    )
    body = (
        '<text:p>See <text:a xlink:href="https://acme.example/">the <text:span>guide</text:span></text:a>, '
        '<text:a xlink:href="#1.2.Fees|outline">fees</text:a> on <text:bookmark-ref text:ref-name="b">7'
        '</text:bookmark-ref>.</text:p><text:h text:outline-level="1"><text:bookmark-start text:name="b"/>'
        "Fees</text:h>"
    )
    content = (
        f'<office:document-content {namespaces} xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"<office:body><office:text>{body}</office:text></office:body></office:document-content>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        package.writestr("content.xml", content)
    document = read(out.getvalue(), "a.odt")
    assert document.text == "See the guide, fees on 7.\n\nFees"
    assert links_of(document) == [("the guide", ACME), ("fees", "#Fees"), ("7", "#Fees")]


RTF = r"""{\rtf1\ansi{\fonttbl{\f0 Arial;}}\f0 See {\field{\*\fldinst{HYPERLINK
 "https://acme.example/" \\o "tip"}}
{\fldrslt{\ul the \b guide}}}, {\field{\*\fldinst HYPERLINK "C:\\\\docs\\\\a.rtf"}{\fldrslt a file}} and
 page {\field{\*\fldinst PAGEREF _b \\h}{\fldrslt 7}}; {\field{\*\fldinst PAGE}{\fldrslt 2}}.\par
{\*\bkmkstart _b}{\outlinelevel0 Fees\par}{\*\bkmkend _b}}"""


def test_links_of_rtf_are_fields_and_bookmarks_and_their_addresses_are_not_text() -> None:
    document = read(RTF.replace("\n", "").encode(), "a.rtf")
    assert document.text == "See the guide, a file and page 7; 2.\n\nFees"
    assert links_of(document) == [("the guide", ACME), ("a file", r"C:\docs\a.rtf"), ("7", "#Fees")]


@pytest.mark.parametrize(
    ("name", "links"),
    [
        (
            "links.doc",
            [
                ("handbook", "https://acme.example/handbook"),
                ("the dues", "#Dues"),
                ("tariff", "https://acme.example/handbook"),
            ],
        ),
        ("links.xls", [("list", "https://acme.example/kiel"), ("rates", "#Other!A1")]),
        (
            "links.ppt",
            [
                ("Berth", "https://acme.example/berths"),
                ("handbook", "https://acme.example/handbook"),
                ("ask", "mailto:port@acme.example"),
                ("Go to the rules", "#page=2"),
            ],
        ),
    ],
)
def test_links_of_old_binary_files_lead_where_they_did(name: str, links: list[tuple[str, str]]) -> None:
    data = gzip.decompress((DOCUMENTS / f"{name}.gz").read_bytes())

    assert links_of(read(data, name)) == links


@pytest.mark.parametrize(
    ("links", "shown"),
    [
        ([(8, 17, ACME)], [("handbook", ACME)]),
        ([(0, 3, ACME), (3, 7, "mailto:a@b.c")], [("See", ACME), ("the", "mailto:a@b.c")]),
        ([(8, 30, ACME)], [("handbook", ACME)]),
        ([(17, 40, ACME)], [("and more", ACME)]),
        ([(9, 9, ACME), (90, 99, ACME)], []),
    ],
)
def test_a_link_in_the_text_of_a_slide_ends_with_its_paragraph(
    links: list[tuple[int, int, str]], shown: list[tuple[str, str]]
) -> None:
    lines = read_lines("See the handbook\rand more", b"", b"", [], links)

    assert [(link.text, link.target) for line in lines for link in unmark(line.text).links] == shown
