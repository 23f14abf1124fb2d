"""What Word shows beyond plain runs: symbols, form fields, superscripts, pictures, documents inside."""

# ruff: noqa: E501  (raw XML reads best on one line)

from __future__ import annotations

import io
from typing import Any

import docx
import openpyxl
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines_tests.unit.parsing.office import counted, edited, outline, parse, saved, tables
from rag_pipelines_tests.unit.parsing.test_docx import add, run

W14 = 'xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml"'
DIAGRAM = """<dgm:dataModel xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"
 xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><dgm:ptLst><dgm:pt modelId="0" type="doc"/>
 {points}</dgm:ptLst><dgm:cxnLst>{links}</dgm:cxnLst></dgm:dataModel>"""
POINT = '<dgm:pt modelId="{0}"><dgm:t><a:bodyPr/><a:p><a:r><a:t>{1}</a:t></a:r></a:p></dgm:t></dgm:pt>'
CHOICES = '<w:listEntry w:val="Low"/><w:listEntry w:val="High"/>'
LINK = '<dgm:cxn modelId="{0}" srcId="{1}" destId="{2}" srcOrd="{3}"/>'


@pytest.fixture
def word() -> docx.document.Document:
    return docx.Document()


def texts(word: docx.document.Document) -> list[str]:
    return [content for _, content in outline(parse(saved(word.save)))]


def styled(properties: str, content: str) -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{content}</w:t></w:r>'


def field(instruction: str, form: str = "", result: str | None = None) -> str:
    shown = "" if result is None else f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run(result)}'
    data = f"<w:ffData>{form}</w:ffData>" if form else ""
    return (
        f'<w:r><w:fldChar w:fldCharType="begin">{data}</w:fldChar></w:r>'
        f'<w:r><w:instrText xml:space="preserve">{instruction}</w:instrText></w:r>'
        f'{shown}<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


def related(word: docx.document.Document, name: str, kind: str, data: bytes, media_type: str) -> str:
    part = Part(PackURI(name), media_type, data, word.part.package)
    return word.part.relate_to(part, f"{RELATIONSHIP_TYPE.CHART.rpartition('/')[0]}/{kind}")


def test_a_symbol_is_what_its_font_shows(word) -> None:
    add(word, '<w:r><w:sym w:font="Wingdings" w:char="F0FE"/></w:r>' + run(" agreed, 5 "))
    add(word, styled('<w:rFonts w:ascii="Symbol" w:hAnsi="Symbol"/>', "\uf0b1") + run("2"))
    add(word, run("angle ") + styled('<w:rFonts w:ascii="Symbol"/>', "a"))
    add(word, run("page") + field(r'SYMBOL 222 \f "Symbol" \s 11') + run("next"))
    assert texts(word) == ["☑ agreed, 5", "±2", "angle α", "page⇒next"]


@pytest.mark.parametrize(
    ("math", "text"),
    [
        (
            "<m:sSup><m:e><m:f><m:num>{x}</m:num><m:den>{y}</m:den></m:f></m:e><m:sup>{n}</m:sup></m:sSup>",
            "(x/y)^n",
        ),
        ("<m:func><m:fName>{n}</m:fName><m:e>{x}</m:e></m:func>", "n x"),
        ("<m:rad><m:deg><m:r><m:t>3</m:t></m:r></m:deg><m:e>{x}</m:e></m:rad>", "∛x"),
        ("<m:m><m:mr><m:e>{x}</m:e><m:e>{y}</m:e></m:mr><m:mr><m:e>{n}</m:e></m:mr></m:m>", "[x, y; n]"),
        ("<m:eqArr><m:e>{x}</m:e><m:e>{y}</m:e></m:eqArr>", "x; y"),
        ("<m:sPre><m:sub>{n}</m:sub><m:sup>{y}</m:sup><m:e>{x}</m:e></m:sPre>", "_n^yx"),
    ],
)
def test_no_part_of_an_equation_merges_with_another(word, math: str, text: str) -> None:
    parts = {name: f"<m:r><m:t>{name}</m:t></m:r>" for name in "xyn"}
    add(word, f"<m:oMath>{math.format(**parts)}</m:oMath>")
    assert texts(word) == [text]


def test_a_symbol_of_an_unknown_font_is_counted(word) -> None:
    add(word, run("a") + '<w:r><w:sym w:font="Corporate Icons" w:char="F041"/></w:r>')
    document = parse(saved(word.save))
    assert (document.text, counted(document)) == ("a", {Loss.CHARACTERS.value: 1})


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ('<w:checkBox><w:default w:val="1"/></w:checkBox>', "☒"),
        ('<w:checkBox><w:default w:val="1"/><w:checked w:val="0"/></w:checkBox>', "☐"),
        ("<w:checkBox><w:checked/></w:checkBox>", "☒"),
        (f'<w:ddList><w:result w:val="1"/>{CHOICES}</w:ddList>', "High"),
        (f"<w:ddList>{CHOICES}</w:ddList>", "Low"),
        ('<w:textInput><w:default w:val="Basel"/></w:textInput>', "Basel"),
    ],
)  # fmt: skip
def test_a_form_field_reads_as_it_is_filled_in(word, form: str, shown: str) -> None:
    add(word, run("Answer: ") + field("FORM", form))
    assert texts(word) == [f"Answer: {shown}"]


def test_the_result_of_a_form_field_is_its_text(word) -> None:
    add(word, field("FORMTEXT", '<w:textInput><w:default w:val="name"/></w:textInput>', "Ada"))
    assert texts(word) == ["Ada"]


def test_the_arguments_of_a_field_are_not_its_text(word) -> None:
    begin, instruction = (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r>',
        "<w:r><w:instrText> IF </w:instrText></w:r>",
    )
    end = (
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        + run("yes")
        + '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )
    add(word, begin + instruction + field("MERGEFIELD Sum", result="unseen") + end)
    add(word, run("after"))
    assert texts(word) == ["yes", "after"]


def test_a_field_that_is_never_closed_hides_no_later_paragraph(word) -> None:
    add(word, '<w:r><w:fldChar w:fldCharType="begin"/></w:r>' + run("lost in the code"))
    add(word, run("seen"))
    assert texts(word) == ["seen"]


def control(properties: str, content: str) -> str:
    return f"<w:sdt><w:sdtPr>{properties}</w:sdtPr><w:sdtContent>{content}</w:sdtContent></w:sdt>"


def test_prompts_are_no_content_and_what_is_filled_in_is(word) -> None:
    word.styles.element.append(parse_xml(
        f'<w:style {nsdecls("w")} w:type="character" w:styleId="Platzhalter"><w:name w:val="Placeholder Text"/></w:style>'
    ))  # fmt: skip
    prompt = control("<w:showingPlcHdr/>", styled('<w:rStyle w:val="Platzhalter"/>', "Click here"))
    add(word, run("Name: ") + prompt)
    add(word, control("<w:showingPlcHdr/>", run("typed as a placeholder")))
    add(word, control(f"<w14:checkbox {W14}/>", run("☒")) + run(" resident"))
    document = parse(saved(word.save))
    assert [content for _, content in outline(document)] == ["Name:", "typed as a placeholder", "☒ resident"]
    assert counted(document) == {LeftOut.BOILERPLATE.value: 2}


@pytest.mark.parametrize(
    "properties",
    [
        '<w:vertAlign w:val="superscript"/>',
        '<w:position w:val="8"/><w:sz w:val="14"/>',
        '<w:rStyle w:val="Mark"/>',
    ],
)
def test_raised_characters_are_kept_apart(word, properties: str) -> None:
    word.styles.element.append(parse_xml(
        f'<w:style {nsdecls("w")} w:type="character" w:styleId="Mark"><w:name w:val="Mark"/>'
        '<w:rPr><w:vertAlign w:val="superscript"/></w:rPr></w:style>'
    ))  # fmt: skip
    raised = styled(properties, "1") + styled(properties, "2")
    add(
        word,
        run("10") + raised + run(" litres, H") + styled('<w:vertAlign w:val="subscript"/>', "2") + run("O"),
    )
    assert texts(word) == ["10^12 litres, H2O"]


def test_a_note_with_a_mark_of_its_own_takes_no_number(word) -> None:
    notes = "".join(
        f'<w:footnote w:id="{n}"><w:p>{run(t)}</w:p></w:footnote>' for n, t in ((4, "own"), (3, "first"))
    )
    related(word, "/word/footnotes.xml", "footnotes", f"<w:footnotes {nsdecls('w')}>{notes}</w:footnotes>".encode(),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml")  # fmt: skip
    own = '<w:r><w:footnoteReference w:id="4" w:customMarkFollows="1"/><w:t>*</w:t></w:r>'
    add(word, run("5") + own + run(" and 6") + '<w:r><w:footnoteReference w:id="3"/></w:r>')
    assert texts(word) == ["5[*] and 6[1]", "[*] own", "[1] first"]


def picture(alternative: str) -> str:
    names = {
        "wp": "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing",
        "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
        "pic": "http://schemas.openxmlformats.org/drawingml/2006/picture",
    }
    declared = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in names.items())
    return (
        f'<w:r><w:drawing><wp:inline {declared}><wp:docPr id="1" name="Picture 1" descr="{alternative}"/>'
        '<a:graphic><a:graphicData uri="x"><pic:pic><pic:nvPicPr><pic:cNvPr id="0" name=""/></pic:nvPicPr>'
        "</pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r>"
    )


def test_a_picture_says_what_its_author_wrote_about_it_or_is_counted(word) -> None:
    add(word, run("See the plan.") + picture("Floor plan of hall 3"))
    add(word, picture("") + picture("C:\\logos\\acme.png") + run("No words."))
    document = parse(saved(word.save))
    assert [content for _, content in outline(document)] == [
        "See the plan.",
        "Image: Floor plan of hall 3",
        "No words.",
    ]
    assert counted(document) == {Loss.IMAGES.value: 2}


def test_a_diagram_is_a_list_in_the_order_of_its_tree(word) -> None:
    points = "".join(POINT.format(*one) for one in ((2, "Assess"), (1, "Register"), (3, "Scan the form")))
    links = "".join(LINK.format(*one) for one in ((7, 0, 2, 1), (8, 0, 1, 0), (9, 1, 3, 0)))
    model = DIAGRAM.format(points=points, links=links).encode()
    reference = related(word, "/word/diagrams/data1.xml", "diagramData", model, "application/xml")
    add(word, f'<w:r><w:drawing><dgm:relIds xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
              f'{nsdecls("r")} r:dm="{reference}"/></w:drawing></w:r>{run("Process")}')  # fmt: skip
    assert outline(parse(saved(word.save))) == [
        ("paragraph", "Process"),
        ("list_item 1", "Register"),
        ("list_item 2", "Scan the form"),
        ("list_item 1", "Assess"),
    ]


def inner_document() -> bytes:
    inner = docx.Document()
    inner.add_heading("Annex", 1)
    inner.add_paragraph("Valve V-9.")
    return saved(inner.save)


@pytest.mark.parametrize(
    ("name", "media_type", "data", "shown"),
    [
        ("afchunk.htm", "text/html", b"<h1>Annex</h1><p>Valve V-9.</p>", ["Annex", "Valve V-9."]),
        ("afchunk.xhtml", "application/xhtml+xml", b"<html><body><p>Valve V-9.</p></body></html>", ["Valve V-9."]),
        ("afchunk.txt", "text/plain", b"Valve V-9.", ["Valve V-9."]),
        ("afchunk.rtf", "application/rtf", rb"{\rtf1\ansi Valve V-9.\par}", ["Valve V-9."]),
        ("afchunk.mht", "message/rfc822",
         b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=B\n\n--B\nContent-Type: text/html\n\n"
         b"<p>Valve V-9.</p>\n--B--\n", ["Valve V-9."]),
        ("afchunk.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
         inner_document(), ["Annex", "Valve V-9."]),
    ],
)  # fmt: skip
def test_an_embedded_document_is_read_in_its_place(
    word, name: str, media_type: str, data: bytes, shown: list[str]
) -> None:
    reference = related(word, f"/word/{name}", "aFChunk", data, media_type)
    word.add_paragraph("Before.")
    word.element.body.insert(-1, parse_xml(f'<w:altChunk {nsdecls("w", "r")} r:id="{reference}"/>'))
    word.add_paragraph("After.")
    assert texts(word) == ["Before.", *shown, "After."]


def embedded(word: docx.document.Document, name: str, data: bytes) -> None:
    reference = related(word, f"/word/embeddings/{name}", "package", data, "application/octet-stream")
    office = 'xmlns:o="urn:schemas-microsoft-com:office:office"'
    add(
        word,
        f'<w:r><w:object><o:OLEObject {office} {nsdecls("r")} Type="Embed" r:id="{reference}"/></w:object></w:r>',
    )


def test_an_embedded_workbook_is_a_section_after_the_body(word) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["Item", "Sum"])
    sheet.append(["Rent", 1200])
    embedded(word, "prices.xlsx", saved(book.save))
    word.add_paragraph("Body.")
    document = parse(saved(word.save))
    assert outline(document)[:2] == [("paragraph", "Body."), ("heading 1", "Attachment: prices.xlsx")]
    assert tables(document) == [[("Item", "Sum"), ("Rent", "1200")]]


def test_an_embedded_object_that_only_its_program_can_read_is_counted(word) -> None:
    embedded(word, "drawing.bin", b"\x00\x01 no file of any kind")
    word.add_paragraph("Body.")
    assert parse(saved(word.save)).counters[Loss.ATTACHMENTS.value] == 1


def test_a_heading_in_a_cell_leaves_a_table_of_data_whole(word) -> None:
    table = word.add_table(3, 2)
    for row, cells in enumerate((("Region", "Sum"), ("North", "12"), ("South", "30"))):
        for column, content in enumerate(cells):
            table.cell(row, column).text = content
    table.cell(0, 0).paragraphs[0].style = word.styles["Heading 2"]
    assert tables(parse(saved(word.save))) == [[("Region", "Sum"), ("North", "12"), ("South", "30")]]


def test_sections_laid_out_in_cells_are_read_as_sections(word) -> None:
    table = word.add_table(1, 2)
    for column, name in enumerate(("Skills", "Work")):
        cell = table.cell(0, column)
        cell.paragraphs[0].text, cell.paragraphs[0].style = name, word.styles["Heading 1"]
        cell.add_paragraph(f"About {name}.")
    assert [kind for kind, _ in outline(parse(saved(word.save)))] == ["heading 1", "paragraph"] * 2


def test_a_header_for_a_first_page_that_is_not_apart_is_not_shown(word) -> None:
    word.sections[0].first_page_header.paragraphs[0].text = "Draft only"
    word.add_paragraph("Body.")
    document = parse(saved(word.save))
    assert (document.text, counted(document)) == ("Body.", {LeftOut.HIDDEN.value: 2})
    word.sections[0].different_first_page_header_footer = True
    assert "Draft only" in parse(saved(word.save)).text


def test_a_later_section_shows_the_first_page_header_of_the_section_before_it(word) -> None:
    word.sections[0].first_page_header.paragraphs[0].text = "Annex"
    word.add_paragraph("Body.")
    word.add_section()
    word.add_section().different_first_page_header_footer = True
    assert "Annex" in parse(saved(word.save)).text
    word.sections[1].first_page_header.paragraphs[0].text = "Nearer"
    document = parse(saved(word.save))
    assert "Nearer" in document.text
    assert "Annex" not in document.text


LISTS = """<w:numbering {w}>
<w:abstractNum w:abstractNumId="1"><w:styleLink w:val="Clauses"/>
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="ordinal"/><w:lvlText w:val="%1"/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="upperLetter"/><w:lvlRestart w:val="0"/><w:lvlText w:val="%2."/></w:lvl>
</w:abstractNum><w:abstractNum w:abstractNumId="2"><w:numStyleLink w:val="Clauses"/></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="2"/></w:num>
<w:num w:numId="3"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0"><w:lvl w:ilvl="0"><w:start w:val="1"/>
<w:numFmt w:val="hebrew1"/><w:lvlText w:val="(%1)"/></w:lvl></w:lvlOverride></w:num></w:numbering>"""


def test_lists_follow_the_style_they_are_linked_to_and_levels_that_do_not_restart(word) -> None:
    for number, level in ((2, 0), (2, 1), (2, 0), (2, 1), (3, 0)):
        properties = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
        add(word, f"<w:pPr>{properties}</w:pPr>{run('x')}")
    package = edited(saved(word.save), "word/numbering.xml", lambda _: LISTS.format(w=nsdecls("w")).encode())
    labels = [content for _, content in outline(parse(package))]
    assert labels == ["1st x", "A. x", "2nd x", "B. x", "(ג) x"]


def test_a_level_that_is_skipped_counts_as_begun(word) -> None:
    levels = "".join(
        f'<w:lvl w:ilvl="{n}"><w:start w:val="1"/><w:lvlText w:val="{t}"/></w:lvl>'
        for n, t in enumerate(("%1", "%1.%2", "%1.%2.%3"))
    )
    numbering = (
        f'<w:numbering {nsdecls("w")}><w:abstractNum w:abstractNumId="1">{levels}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num></w:numbering>'
    )
    for level in (0, 2, 1):
        properties = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="1"/></w:numPr>'
        add(word, f"<w:pPr>{properties}</w:pPr>{run('x')}")
    package = edited(saved(word.save), "word/numbering.xml", lambda _: numbering.encode())
    assert [content for _, content in outline(parse(package))] == ["1 x", "1.1.1 x", "1.2 x"]


def test_a_level_said_by_a_paragraph_goes_with_the_numbering_of_its_style(word) -> None:
    word.styles["List Paragraph"].element.get_or_add_pPr().insert(
        0, parse_xml(f'<w:numPr {nsdecls("w")}><w:numId w:val="1"/></w:numPr>')
    )
    style = '<w:pStyle w:val="ListParagraph"/>'
    add(word, f'<w:pPr>{style}<w:numPr><w:ilvl w:val="1"/></w:numPr></w:pPr>{run("x")}')
    package = edited(saved(word.save), "word/numbering.xml", lambda _: LISTS.format(w=nsdecls("w")).encode())
    assert [content for _, content in outline(parse(package))] == ["A. x"]


def test_a_watermark_is_read_with_the_header_it_stands_in(word) -> None:
    shape = '<w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml"><v:textpath string="DRAFT 7"/></v:shape></w:pict></w:r>'
    header = word.sections[0].header
    header.is_linked_to_previous = False
    header._element.append(parse_xml(f"<w:p {nsdecls('w')}>{shape}</w:p>"))
    word.add_paragraph("Body.")
    assert outline(parse(saved(word.save))) == [("paragraph", "Body."), ("header", "DRAFT 7")]


def test_a_document_saved_and_read_again_is_the_same(word) -> None:
    add(word, run("10") + styled('<w:vertAlign w:val="superscript"/>', "6"))
    data = saved(word.save)
    assert parse(data) == parse(saved(docx.Document(io.BytesIO(data)).save))
