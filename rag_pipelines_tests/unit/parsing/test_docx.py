"""Word documents: structure in order, what is deleted or hidden stays out, hostile files end as such."""

from __future__ import annotations

import io

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from rag_pipelines.errors import EmptyDocumentError
from rag_pipelines_tests.unit.parsing.office import edited, outline, parse, saved, tables

MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'


@pytest.fixture
def word() -> docx.document.Document:
    return docx.Document()


def add(word: docx.document.Document, inner: str) -> None:
    """Add a paragraph of raw WordprocessingML."""
    word.element.body.insert(-1, parse_xml(f"<w:p {nsdecls('w')} {MATH}>{inner}</w:p>"))


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def test_headings_lists_and_quotes_keep_their_kind_and_level(word) -> None:
    word.add_heading("Leave policy", 0)
    word.add_heading("Scope", 1)
    word.add_paragraph("Everyone.")
    word.add_heading("Exceptions", 2)
    word.add_paragraph("contractors", "List Bullet")
    word.add_paragraph("agencies", "List Bullet 2")
    word.add_paragraph("As the law says.", "Quote")
    document = parse(saved(word.save))
    assert document.title == "Leave policy"
    assert outline(document) == [
        ("title", "Leave policy"),
        ("heading 1", "Scope"),
        ("paragraph", "Everyone."),
        ("heading 2", "Exceptions"),
        ("list_item 1", "contractors"),
        ("list_item 2", "agencies"),
        ("quote", "As the law says."),
    ]
    assert document.blocks[-1].heading_path == ("Scope", "Exceptions")


def test_a_style_based_on_a_heading_is_a_heading(word) -> None:
    own = word.styles.add_style("Corporate H", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = word.styles["Heading 3"]
    word.add_paragraph("Deep", "Corporate H")
    assert outline(parse(saved(word.save))) == [("heading 3", "Deep")]


def test_styles_based_on_each_other_do_not_hang(word) -> None:
    one = word.styles.add_style("One", WD_STYLE_TYPE.PARAGRAPH)
    two = word.styles.add_style("Two", WD_STYLE_TYPE.PARAGRAPH)
    one.base_style, two.base_style = two, one
    word.add_paragraph("text", "One")
    assert outline(parse(saved(word.save))) == [("paragraph", "text")]


def test_an_outline_level_makes_a_heading_without_any_style(word) -> None:
    add(word, f'<w:pPr><w:outlineLvl w:val="1"/></w:pPr>{run("Second")}')
    assert outline(parse(saved(word.save))) == [("heading 2", "Second")]


def test_a_merged_cell_stands_in_every_place_it_covers(word) -> None:
    table = word.add_table(3, 3, "Table Grid")
    for row in range(3):
        for column in range(3):
            table.cell(row, column).text = f"{row}{column}"
    for cell in (table.cell(0, 1).merge(table.cell(0, 2)), table.cell(1, 0).merge(table.cell(2, 0))):
        cell.text = "merged"
    assert tables(parse(saved(word.save))) == [
        [("00", "merged", "merged"), ("merged", "11", "12"), ("merged", "21", "22")]
    ]


def test_rows_marked_to_repeat_are_the_header(word) -> None:
    table = word.add_table(3, 2)
    for row in table.rows:
        row.cells[0].text = row.cells[1].text = "x"
    for row in table.rows[:2]:
        row._tr.get_or_add_trPr().append(parse_xml(f"<w:tblHeader {nsdecls('w')}/>"))
    assert parse(saved(word.save)).blocks[0].header_rows == 2


def test_tables_stand_between_the_paragraphs_around_them(word) -> None:
    word.add_paragraph("before")
    word.add_table(2, 2).cell(1, 1).text = "cell"
    word.add_paragraph("after")
    assert [block.kind for block in parse(saved(word.save)).blocks] == ["paragraph", "table", "paragraph"]


def test_a_frame_of_one_cell_is_read_as_text(word) -> None:
    cell = word.add_table(1, 1).cell(0, 0)
    cell.text = "Note"
    cell.add_paragraph("boxed", "List Bullet")
    assert outline(parse(saved(word.save))) == [("paragraph", "Note"), ("list_item 1", "boxed")]


def test_insertions_are_read_and_deletions_and_hidden_text_are_not(word) -> None:
    add(
        word,
        f"{run('kept ')}<w:ins>{run('inserted')}</w:ins><w:moveTo>{run(' here')}</w:moveTo>"
        f"<w:del><w:r><w:delText>deleted</w:delText><w:tab/></w:r></w:del><w:moveFrom>{run('moved')}</w:moveFrom>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>",
    )
    assert parse(saved(word.save)).text == "kept inserted here"


def test_hyperlinks_tabs_breaks_and_field_results_are_text_and_field_codes_are_not(word) -> None:
    add(
        word,
        f"<w:hyperlink>{run('link')}</w:hyperlink><w:r><w:tab/><w:t>a</w:t><w:br/><w:t>b</w:t><w:noBreakHyphen/></w:r>"
        "<w:r><w:fldChar w:fldCharType='begin'/><w:instrText>PAGEREF x</w:instrText>"
        f"<w:fldChar w:fldCharType='separate'/></w:r>{run('7')}",
    )
    assert parse(saved(word.save)).text == "link\ta\nb-7"


def test_code_paragraphs_become_one_block_with_their_indentation(word) -> None:
    word.styles.add_style("Source Code", WD_STYLE_TYPE.PARAGRAPH)
    for line in ("def f():", "    return 1"):
        word.add_paragraph(line, "Source Code")
    word.add_paragraph("after")
    assert outline(parse(saved(word.save))) == [("code", "def f():\n    return 1"), ("paragraph", "after")]


def test_an_equation_reads_as_a_person_would_type_it(word) -> None:
    half = "<m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>"
    square = "<m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>"
    add(word, f"{run('y = ')}<m:oMath>{half}<m:r><m:t>+</m:t></m:r>{square}</m:oMath>")
    assert parse(saved(word.save)).text == "y = (a+b)/2+x^2"


NUMBERING = """<w:numbering xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">
<w:abstractNum w:abstractNumId="1">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:pStyle w:val="Heading1"/><w:lvlText w:val="%1."/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl>
<w:lvl w:ilvl="2"><w:start w:val="3"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%3"/></w:lvl>
<w:lvl w:ilvl="3"><w:numFmt w:val="bullet"/><w:lvlText w:val="o"/></w:lvl>
</w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num>
<w:num w:numId="2"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride></w:num>
</w:numbering>"""  # noqa: E501


def test_numbers_that_word_shows_stand_in_front_and_bullets_do_not(word) -> None:
    for number, level, text in (
        (1, 0, "one"), (1, 1, "a"), (1, 1, "b"), (1, 2, "three"), (1, 3, "bullet"), (1, 0, "two"),
        (1, 1, "again"), (2, 0, "seven"), (0, 0, "plain"),
    ):  # fmt: skip
        properties = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
        add(word, f"<w:pPr>{properties}</w:pPr>{run(text)}")
    document = parse(edited(saved(word.save), "word/numbering.xml", lambda _: NUMBERING.encode()))
    shown = [text for _, text in outline(document)]
    assert shown == [
        "1. one",
        "1.a) a",
        "1.b) b",
        "III three",
        "bullet",
        "2. two",
        "2.a) again",
        "7. seven",
        "plain",
    ]


def test_a_numbered_heading_style_takes_the_level_that_is_tied_to_it(word) -> None:
    properties = word.styles["Heading 1"].element.get_or_add_pPr()
    properties.insert(0, parse_xml(f'<w:numPr {nsdecls("w")}><w:numId w:val="1"/></w:numPr>'))
    for text in ("Scope", "Terms"):
        word.add_heading(text, 1)
    document = parse(edited(saved(word.save), "word/numbering.xml", lambda _: NUMBERING.encode()))
    assert outline(document) == [("heading 1", "1. Scope"), ("heading 1", "2. Terms")]


def test_a_chart_is_the_table_it_was_drawn_from(data_set) -> None:
    data = (data_set("docling-testdata") / "docx/sources/drawingml.docx").read_bytes()
    assert tables(parse(data))[0][:2] == [
        ("", "Series 1", "Series 2", "Series 3"),
        ("Category 1", "4.3", "2.4", "2"),
    ]


def test_comments_follow_the_paragraph_they_are_on(word) -> None:
    paragraph = word.add_paragraph("Pay within 30 days.")
    word.add_comment(paragraph.runs, text="Was 60.", author="Ann")
    word.add_paragraph("Next.")
    assert [content for _, content in outline(parse(saved(word.save)))] == [
        "Pay within 30 days.",
        "Comment by Ann: Was 60.",
        "Next.",
    ]


def test_text_boxes_are_read_once_although_word_stores_them_twice(word) -> None:
    box = f"<w:txbxContent><w:p>{run('boxed')}</w:p></w:txbxContent>"
    alternate = (
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<mc:Choice Requires='wps'>{box}</mc:Choice><mc:Fallback><w:pict>{box}</w:pict></mc:Fallback>"
        "</mc:AlternateContent>"
    )
    add(word, f"{run('anchor')}<w:r>{alternate}</w:r>")
    assert outline(parse(saved(word.save))) == [("paragraph", "anchor"), ("paragraph", "boxed")]


def test_headers_and_footers_are_marked_and_stand_last(word) -> None:
    word.sections[0].header.paragraphs[0].text = "Confidential"
    word.sections[0].footer.paragraphs[0].text = "Acme"
    word.add_paragraph("Body.")
    assert outline(parse(saved(word.save))) == [
        ("paragraph", "Body."),
        ("header", "Confidential"),
        ("footer", "Acme"),
    ]


def test_a_generated_table_of_contents_is_left_out(word) -> None:
    word.styles.add_style("toc 1", WD_STYLE_TYPE.PARAGRAPH)
    word.add_paragraph("Scope 3", "toc 1")
    word.add_heading("Scope", 1)
    document = parse(saved(word.save))
    assert outline(document) == [("heading 1", "Scope")]
    assert document.counters["contents_words"] == 2
    assert "words_missing" not in document.counters


def test_pages_are_those_that_word_rendered(word) -> None:
    add(word, run("first"))
    add(word, f"<w:r><w:lastRenderedPageBreak/></w:r>{run('second')}")
    add(word, run("third"))
    document = parse(saved(word.save))
    assert document.pages == 2
    assert [block.page for block in document.blocks] == [1, 1, 2]


def test_a_document_never_rendered_has_no_pages(word) -> None:
    word.add_paragraph("text")
    document = parse(saved(word.save))
    assert (document.pages, document.blocks[0].page) == (None, None)


def test_nothing_is_made_up_where_a_document_says_nothing_about_itself(word) -> None:
    word.add_paragraph("text")
    data = edited(saved(word.save), "docProps/core.xml", lambda _: b"<coreProperties/>")
    document = parse(data)
    assert (document.title, document.metadata) == (None, {})


@pytest.mark.parametrize(
    "title", ["Microsoft Word - draft.doc", "Document1", "report.docx", "PowerPoint Presentation"]
)
def test_a_title_that_a_program_wrote_is_no_title(word, title: str) -> None:
    word.core_properties.title = title
    word.add_paragraph("text")
    assert parse(saved(word.save)).title is None


def test_the_strict_form_of_the_standard_is_read(word) -> None:
    word.add_heading("Strict", 1)
    data = saved(word.save)
    for part in ("_rels/.rels", "word/_rels/document.xml.rels", "word/document.xml", "word/styles.xml"):
        data = edited(
            data,
            part,
            lambda xml: xml.replace(
                b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
                b"http://purl.oclc.org/ooxml/officeDocument/relationships",
            ).replace(
                b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
                b"http://purl.oclc.org/ooxml/wordprocessingml/main",
            ),
        )
    with pytest.raises(KeyError):
        docx.Document(io.BytesIO(data))
    assert outline(parse(data)) == [("heading 1", "Strict")]


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.ms-word.document.macroEnabled.main+xml",
        "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
    ],
)
def test_a_template_or_a_document_with_macros_is_read(word, media_type: str) -> None:
    word.add_paragraph("Body.")
    plain = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    package = edited(
        saved(word.save), "[Content_Types].xml", lambda part: part.replace(plain, media_type.encode())
    )
    assert parse(package).text == "Body."


def test_a_document_without_text_is_empty(word) -> None:
    with pytest.raises(EmptyDocumentError):
        parse(saved(word.save))
