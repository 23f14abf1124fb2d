"""What a viewer shows beyond plain text boxes: numbers, superscripts, footers, pictures, comments, files."""

# ruff: noqa: E501  (raw XML reads best on one line)

from __future__ import annotations

from typing import Any

import docx
import pptx
import pytest
from lxml import etree
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml

from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.ooxml_charts import chart_rows, chart_title
from rag_pipelines.parsing.office.ooxml_text import paragraph_text
from rag_pipelines.parsing.office.pptx_lists import Bullet, Numbers
from rag_pipelines_tests.unit.parsing.office import counted, outline, parse, saved, tables
from rag_pipelines_tests.unit.parsing.test_pptx import BOX, RELATIONS, say, slide

NAMES = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    f'xmlns:r="{RELATIONS}"'
)
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;"
)


@pytest.fixture
def deck() -> pptx.presentation.Presentation:
    return pptx.Presentation()


def texts(deck: pptx.presentation.Presentation) -> list[str]:
    return [content for _, content in outline(parse(saved(deck.save)))]


def related(added: Any, name: str, kind: str, data: str | bytes) -> str:
    blob = data.encode() if isinstance(data, str) else data
    part = Part(PackURI(name), "application/octet-stream", added.part.package, blob)
    reference: str = added.part.relate_to(part, f"{RELATIONS}/{kind}")
    return reference


@pytest.mark.parametrize(
    ("paragraphs", "labels"),
    [
        ([(0, "arabicPeriod", 1)] * 3, ["1.", "2.", "3."]),
        ([(0, "alphaUcParenR", 26), (0, "alphaUcParenR", 26)], ["Z)", "AA)"]),
        ([(0, "romanLcParenBoth", 1), (1, "arabicPlain", 1), (0, "romanLcParenBoth", 1)], ["(i)", "1", "(ii)"]),
        ([(0, "arabicPeriod", 1), (1, "", 1), (1, "arabicPeriod", 1), (0, "arabicPeriod", 1)],
         ["1.", "", "1.", "2."]),
        ([(1, "arabicPeriod", 1), (0, "", 1), (1, "arabicPeriod", 1)], ["1.", "", "1."]),
        ([(0, "circleNumWdWhitePlain", 1), (0, "thaiNumParenR", 1)], ["①", "๑)"]),
    ],
)  # fmt: skip
def test_automatic_numbers_count_by_level(paragraphs: list[tuple[int, str, int]], labels: list[str]) -> None:
    numbers = Numbers()
    assert [numbers.next_label(level, Bullet(scheme, start)) for level, scheme, start in paragraphs] == labels


def test_a_numbered_paragraph_stands_behind_its_number(deck) -> None:
    frame = slide(deck, "Steps").shapes.add_textbox(*BOX).text_frame
    frame.text = "open\nclose"
    for paragraph in frame.paragraphs:
        etree.SubElement(paragraph._p.get_or_add_pPr(), f"{{{A}}}buAutoNum", type="arabicPeriod", startAt="4")
    assert outline(parse(saved(deck.save)))[1:] == [("list_item 1", "4. open"), ("list_item 1", "5. close")]


A = "http://schemas.openxmlformats.org/drawingml/2006/main"


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ('<a:r><a:t>10</a:t></a:r><a:r><a:rPr baseline="30000"/><a:t>6</a:t></a:r>', "10^6"),
        ('<a:r><a:t>H</a:t></a:r><a:r><a:rPr baseline="-25000"/><a:t>2</a:t></a:r>', "H2"),
        ('<a:r><a:t>m</a:t></a:r><a:r><a:rPr baseline="0%"/><a:t>2</a:t></a:r>', "m2"),
        ('<a:r><a:rPr><a:latin typeface="Symbol"/></a:rPr><a:t>b</a:t></a:r>', "β"),
        ('<a:r><a:rPr><a:sym typeface="Wingdings"/></a:rPr><a:t>to \uf0e0</a:t></a:r>', "to →"),
        ('<a:r><a:t>a</a:t></a:r><a:br/><a:r><a:t>b</a:t></a:r>', "a\nb"),
        ('<a:r><a:t>x = </a:t></a:r><mc:AlternateContent><mc:Choice Requires="a14"><m:oMath><m:f><m:num><m:r><m:t>1'
         "</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath></mc:Choice>"
         "<mc:Fallback><a:r><a:t>picture</a:t></a:r></mc:Fallback></mc:AlternateContent>", "x = 1/2"),
        ('<a:fld type="slidenum"><a:t>‹#›</a:t></a:fld>', "7"),
    ],
)  # fmt: skip
def test_a_paragraph_reads_as_it_looks(runs: str, text: str) -> None:
    assert paragraph_text(etree.fromstring(f"<a:p {NAMES}>{runs}</a:p>"), 7) == text


def test_shapes_that_are_kept_in_alternatives_are_read_once(deck) -> None:
    added = slide(deck, "Shapes")
    shape = (
        '<p:sp><p:nvSpPr><p:cNvPr id="{0}" name="s"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/>'
        "<a:p><a:r><a:t>{1}</a:t></a:r></a:p></p:txBody></p:sp>"
    )
    added.shapes._spTree.append(parse_xml(
        f'<mc:AlternateContent {NAMES}><mc:Choice Requires="a14">{shape.format(90, "the choice is shown here")}'
        f'</mc:Choice><mc:Fallback>{shape.format(91, "fallback")}</mc:Fallback></mc:AlternateContent>'
    ))  # fmt: skip
    assert sorted(texts(deck)) == ["Shapes", "the choice is shown here"]


def test_footers_and_what_the_master_says_are_furniture_kept_once(deck) -> None:
    deck.slide_master.shapes._spTree.append(
        slide(deck, "One").shapes.add_textbox(*BOX)._element
    )  # moved from the slide to the master
    box = deck.slide_master.shapes._spTree[-1]
    box.find(f".//{{{A}}}p").append(parse_xml(f"<a:r {NAMES}><a:t>Acme Corp</a:t></a:r>"))
    added = slide(deck, "Two")
    number = added.shapes.add_textbox(*BOX)
    number._element.find(".//{*}nvPr").append(parse_xml(f'<p:ph {NAMES} type="sldNum"/>'))
    number._element.find(f".//{{{A}}}p").append(
        parse_xml(f'<a:fld {NAMES} id="{{B}}" type="slidenum"><a:t>‹#›</a:t></a:fld>')
    )
    assert outline(parse(saved(deck.save))) == [
        ("heading 1", "One"),
        ("heading 1", "Two"),
        ("footer", "Acme Corp"),
        ("footer", "2"),
    ]
    added._element.set("showMasterSp", "0")
    deck.slides[0]._element.set("showMasterSp", "0")
    assert "Acme" not in parse(saved(deck.save)).text


def test_pictures_say_what_their_author_wrote_or_are_counted(deck, tmp_path) -> None:
    (tmp_path / "pixel.gif").write_bytes(PIXEL)
    added = slide(deck, "Pictures")
    for alternative in ("Map of the site", "", "pixel.gif"):
        picture = added.shapes.add_picture(str(tmp_path / "pixel.gif"), *BOX)
        picture._element.nvPicPr.cNvPr.set("descr", alternative)
    document = parse(saved(deck.save))
    assert outline(document)[1:] == [("paragraph", "Image: Map of the site")]
    assert counted(document) == {Loss.IMAGES.value: 2}


def test_comments_old_and_threaded_follow_their_slide(deck) -> None:
    added = slide(deck, "Plan")
    related(deck, "/ppt/commentAuthors.xml", "commentAuthors",
            f'<p:cmAuthorLst {NAMES}><p:cmAuthor id="0" name="Ann"/></p:cmAuthorLst>')  # fmt: skip
    related(added, "/ppt/comments/comment1.xml", "comments",
            f'<p:cmLst {NAMES}><p:cm authorId="0"><p:text>Too soon.</p:text></p:cm></p:cmLst>')  # fmt: skip
    body = "<t:txBody><a:bodyPr/><a:p><a:r><a:t>{}</a:t></a:r></a:p></t:txBody>"
    related(added, "/ppt/comments/modernComment_1.xml", "comments",
            f'<t:cmLst xmlns:t="http://schemas.microsoft.com/office/powerpoint/2018/8/main" {NAMES}>'
            f'<t:cm authorId="{{X}}"><t:replyLst><t:reply authorId="0">{body.format("Yes.")}</t:reply></t:replyLst>'
            f'{body.format("Agreed?")}</t:cm></t:cmLst>')  # fmt: skip
    assert texts(deck) == ["Plan", "Comment by Ann: Too soon.", "Comment: Agreed?", "Comment by Ann: Yes."]


def test_a_file_inside_a_slide_is_a_section_of_that_slide(deck, tmp_path) -> None:
    (tmp_path / "pixel.gif").write_bytes(PIXEL)
    inner = docx.Document()
    inner.add_paragraph("Valve V-9.")
    inner.save(str(tmp_path / "valves.docx"))
    added = slide(deck, "Files")
    added.shapes.add_ole_object(
        str(tmp_path / "valves.docx"), "Word.Document.12", *BOX, icon_file=str(tmp_path / "pixel.gif")
    )
    slide(deck, "Next")
    document = parse(saved(deck.save))
    assert [kind for kind, _ in outline(document)] == ["heading 1", "heading 2", "paragraph", "heading 1"]
    assert document.blocks[2].page == 1
    assert "Valve V-9." in document.text


def test_the_words_of_hidden_slides_and_shapes_are_counted(deck) -> None:
    hidden = slide(deck, "Not for the audience")
    model = f'<d:dataModel xmlns:d="urn:d" {NAMES}><a:p><a:r><a:t>secret plan</a:t></a:r></a:p></d:dataModel>'
    related(hidden, "/ppt/diagrams/data9.xml", "diagramData", model)
    hidden._element.set("show", "0")
    added = slide(deck, "Shown")
    say(added, "three hidden words")
    added.shapes[-1]._element.nvSpPr.cNvPr.set("hidden", "1")
    document = parse(saved(deck.save))
    assert document.text == "Shown"
    assert counted(document) == {"hidden_slides": 1, LeftOut.HIDDEN.value: 9}


def test_a_merged_cell_of_a_slide_stands_in_every_place_it_covers(deck) -> None:
    table = slide(deck, "Table").shapes.add_table(3, 2, *BOX).table
    for row in range(3):
        for column in range(2):
            table.cell(row, column).text = f"{row}{column}"
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(1, 0).merge(table.cell(2, 0))
    assert tables(parse(saved(deck.save)))[0][1:] == [("10 20", "11"), ("10 20", "21")]
    assert len(set(tables(parse(saved(deck.save)))[0][0])) == 1


CHART = 'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'
CHART_EX = 'xmlns:cx="http://schemas.microsoft.com/office/drawing/2014/chartex"'


def test_categories_of_several_levels_keep_all_of_them() -> None:
    points = '<c:pt idx="0"><c:v>{}</c:v></c:pt><c:pt idx="{}"><c:v>{}</c:v></c:pt>'
    chart = etree.fromstring(
        f"<c:chartSpace {CHART}><c:ser><c:tx><c:v>Sum</c:v></c:tx><c:cat><c:multiLvlStrRef>"
        f"<c:lvl>{points.format('Q1', 1, 'Q2')}</c:lvl><c:lvl>{points.format('2023', 2, '2024')}</c:lvl>"
        f"</c:multiLvlStrRef></c:cat><c:val>{points.format(5, 1, 6)}</c:val></c:ser></c:chartSpace>"
    )
    assert list(chart_rows(chart)) == [["", "Sum"], ["2023, Q1", "5"], ["2023, Q2", "6"], ["2024", ""]]


def test_series_that_name_their_places_for_themselves_keep_all_names() -> None:
    one = '<c:ser><c:cat><c:pt idx="0"><c:v>{}</c:v></c:pt></c:cat><c:val><c:pt idx="0"><c:v>{}</c:v></c:pt></c:val></c:ser>'
    series = one.format("Spain", 1) + one.format("Poland", 2) + one.format("Spain", 3)
    chart = etree.fromstring(f"<c:chartSpace {CHART}>{series}</c:chartSpace>")
    assert list(chart_rows(chart))[1] == ["Spain / Poland", "1", "2", "3"]


def test_titles_of_a_chart_and_its_axes_are_its_caption() -> None:
    title = "<c:title><c:tx><c:rich><a:p><a:r><a:t>{}</a:t></a:r></a:p></c:rich></c:tx></c:title>"
    chart = etree.fromstring(
        f"<c:chartSpace {CHART} {NAMES}><c:chart>{title.format('Sales')}<c:plotArea>"
        f"<c:valAx>{title.format('EUR')}</c:valAx></c:plotArea></c:chart></c:chartSpace>"
    )
    assert chart_title(chart) == "Sales; EUR"


def test_a_chart_of_the_newer_kinds_is_read_too() -> None:
    level = '<cx:lvl><cx:pt idx="0">{}</cx:pt><cx:pt idx="1">{}</cx:pt></cx:lvl>'
    chart = etree.fromstring(
        f'<cx:chartSpace {CHART_EX}><cx:chartData><cx:data id="3"><cx:strDim type="cat">{level.format("a", "b")}'
        f'</cx:strDim><cx:numDim type="val">{level.format(1, 2.50)}</cx:numDim></cx:data></cx:chartData><cx:chart>'
        "<cx:series><cx:tx><cx:txData><cx:v>Flow</cx:v></cx:txData></cx:tx>"
        '<cx:dataId val="3"/></cx:series></cx:chart></cx:chartSpace>'
    )
    assert list(chart_rows(chart)) == [["", "Flow"], ["a", "1"], ["b", "2.5"]]


def test_a_chart_without_its_part_is_counted(deck) -> None:
    added = slide(deck, "Chart")
    frame = added.shapes.add_table(1, 1, *BOX)._element.graphic.graphicData
    frame.set("uri", CHART[9:-1])
    frame[:] = [parse_xml(f'<c:chart {CHART} {NAMES} r:id="rId99"/>')]
    say(added, "The text is read.", 6)
    assert counted(parse(saved(deck.save))) == {Loss.PARTS.value: 1}
