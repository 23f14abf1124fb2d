"""Presentations: a slide is a page, its title a heading; charts and notes are not lost."""

from __future__ import annotations

from typing import Any

import pptx
import pytest
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.util import Inches

from rag_pipelines.errors import EmptyDocumentError
from rag_pipelines_tests.unit.parsing.office import outline, parse, saved, tables

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
DIAGRAM = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
BOX = (Inches(1), Inches(3), Inches(4), Inches(2))


@pytest.fixture
def deck() -> pptx.presentation.Presentation:
    return pptx.Presentation()


def slide(deck: pptx.presentation.Presentation, title: str = "") -> Any:
    added = deck.slides.add_slide(deck.slide_layouts[5])
    added.shapes.title.text = title
    return added


def say(added: pptx.slide.Slide, text: str, top: float = 3) -> None:
    added.shapes.add_textbox(Inches(1), Inches(top), Inches(4), Inches(1)).text_frame.text = text


def test_each_slide_is_a_page_under_its_title(deck) -> None:
    for number in (1, 2):
        say(slide(deck, f"Title {number}"), f"This is what we want to say on slide {number}.")
    document = parse(saved(deck.save))
    assert (document.title, document.pages) == ("Title 1", 2)
    assert outline(document)[:2] == [
        ("heading 1", "Title 1"),
        ("paragraph", "This is what we want to say on slide 1."),
    ]
    assert [block.page for block in document.blocks] == [1, 1, 2, 2]
    assert document.blocks[-1].heading_path == ("Title 2",)


def test_a_slide_without_a_title_does_not_read_as_part_of_the_one_before(deck) -> None:
    say(slide(deck, "First"), "It was said first.")
    say(slide(deck), "This text has no title above it, and it is long enough to be a sentence.")
    assert ("heading 1", "Slide 2") in outline(parse(saved(deck.save)))


def test_shapes_are_read_from_top_to_bottom(deck) -> None:
    added = slide(deck, "Order")
    for top, text in ((5, "It comes last."), (2, "It comes first."), (3.5, "It is in between.")):
        say(added, text, top)
    texts = [content for _, content in outline(parse(saved(deck.save)))]
    assert texts == ["Order", "It comes first.", "It is in between.", "It comes last."]


def test_bullets_keep_their_depth(deck) -> None:
    from pptx.oxml import parse_xml

    frame = slide(deck, "List").shapes.add_textbox(*BOX).text_frame
    frame.text = "outer"
    frame.add_paragraph().text = "inner"
    frame.paragraphs[1].level = 1
    for paragraph in frame.paragraphs:
        bullet = '<a:buChar xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" char="•"/>'
        paragraph._p.get_or_add_pPr().append(parse_xml(bullet))
    assert outline(parse(saved(deck.save)))[1:] == [("list_item 1", "outer"), ("list_item 2", "inner")]


def test_paragraphs_of_a_content_placeholder_are_the_list_that_the_master_makes_of_them(deck) -> None:
    added = deck.slides.add_slide(deck.slide_layouts[1])
    added.shapes.title.text = "Agenda"
    frame = added.placeholders[1].text_frame
    frame.text = "outer"
    frame.add_paragraph().text = "inner"
    frame.paragraphs[1].level = 1
    plain = frame.add_paragraph()
    plain.text = "It has no bullet."
    plain._p.get_or_add_pPr().append(plain._p.makeelement(f"{A}buNone"))
    assert outline(parse(saved(deck.save))) == [
        ("heading 1", "Agenda"),
        ("list_item 1", "outer"),
        ("list_item 2", "inner"),
        ("paragraph", "It has no bullet."),
    ]


def test_what_lies_partly_on_the_slide_is_read_and_what_lies_off_it_is_not(deck) -> None:
    added = slide(deck, "Edge")
    for left, text in ((-1, "It shows."), (-9, "It is left of it."), (99, "It is right of it.")):
        box = added.shapes.add_textbox(Inches(left), Inches(3), Inches(4), Inches(1))
        box.text_frame.text = text
    assert outline(parse(saved(deck.save)))[1:] == [("paragraph", "It shows.")]


def test_a_group_is_read_together_where_it_stands(deck) -> None:
    added = slide(deck, "Groups")
    say(added, "It is in between.", 4)
    for top in (2, 5):
        group = added.shapes.add_group_shape()
        for offset in (0, 0.5):
            box = group.shapes.add_textbox(Inches(1), Inches(top + offset), Inches(4), Inches(0.4))
            box.text_frame.text = f"It is at {top + offset}."
    texts = [content for _, content in outline(parse(saved(deck.save)))][1:]
    assert texts == ["It is at 2.", "It is at 2.5.", "It is in between.", "It is at 5.", "It is at 5.5."]


def test_a_table_without_a_header_row_has_none(deck) -> None:
    table = slide(deck, "Table").shapes.add_table(1, 2, *BOX).table
    table.first_row = False
    table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
    assert parse(saved(deck.save)).blocks[-1].header_rows == 0


def test_the_texts_of_a_diagram_are_a_list(deck) -> None:
    added = slide(deck, "Diagram")
    point = "<dgm:pt><dgm:t><a:p><a:r><a:t>{}</a:t></a:r></a:p></dgm:t></dgm:pt>"
    model = f'<dgm:dataModel xmlns:dgm="{DIAGRAM}" xmlns:a="{A[1:-1]}"><dgm:ptLst>'
    model += point.format("plan") + point.format("build") + "</dgm:ptLst></dgm:dataModel>"
    part = Part(PackURI("/ppt/diagrams/data1.xml"), "application/xml", added.part.package, model.encode())
    frame = added.shapes.add_table(1, 1, *BOX)._element.graphic.graphicData
    frame.set("uri", DIAGRAM)
    frame[:] = [frame.makeelement(f"{{{DIAGRAM}}}relIds")]
    frame[0].set(f"{{{RELATIONS}}}dm", added.part.relate_to(part, f"{RELATIONS}/diagramData"))
    assert outline(parse(saved(deck.save)))[1:] == [("list_item 1", "plan"), ("list_item 1", "build")]


def test_shapes_inside_groups_inside_groups_are_read(deck) -> None:
    inner = slide(deck, "Groups").shapes.add_group_shape().shapes.add_group_shape()
    inner.shapes.add_textbox(*BOX).text_frame.text = "It is deep inside."
    assert outline(parse(saved(deck.save)))[-1] == ("paragraph", "It is deep inside.")


def test_tables_keep_rows_and_cells(deck) -> None:
    table = slide(deck, "Table").shapes.add_table(2, 2, *BOX).table
    for row in range(2):
        for column in range(2):
            table.cell(row, column).text = f"{row}{column} & <more>"
    document = parse(saved(deck.save))
    assert tables(document) == [
        [("00 & <more>", "01 & <more>"), ("10 & <more>", "11 & <more>")],
    ]
    assert document.blocks[-1].header_rows == 1


def test_a_chart_is_read_as_the_table_it_was_drawn_from(deck) -> None:
    data = CategoryChartData()
    data.categories = ["Q1", "Q2"]
    data.add_series("North", (1.5, 2))
    data.add_series("South", (3, None))
    chart = slide(deck, "Sales").shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "By region"
    document = parse(saved(deck.save))
    assert ("caption", "By region") in outline(document)
    assert tables(document) == [[("", "North", "South"), ("Q1", "1.5", "3"), ("Q2", "2", "")]]


def test_a_scatter_chart_has_its_x_values_in_the_first_column(deck) -> None:
    data = XyChartData()
    series = data.add_series("Heights")
    series.add_data_point(0.1, 10)
    series.add_data_point(0.2, 20)
    slide(deck, "Scatter").shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, *BOX, data)
    assert tables(parse(saved(deck.save))) == [[("", "Heights"), ("0.1", "10"), ("0.2", "20")]]


def test_speaker_notes_follow_their_slide_and_say_what_they_are(deck) -> None:
    first = slide(deck, "First")
    first.notes_slide.notes_text_frame.text = "Do not forget the figures."
    slide(deck, "Second")
    assert outline(parse(saved(deck.save))) == [
        ("heading 1", "First"),
        ("paragraph", "Speaker notes: Do not forget the figures."),
        ("heading 1", "Second"),
    ]


def test_hidden_slides_are_left_out_and_still_count_as_pages(deck) -> None:
    slide(deck, "Hidden")._element.set("show", "0")
    slide(deck, "Shown")
    document = parse(saved(deck.save))
    assert outline(document) == [("heading 1", "Shown")]
    assert (document.blocks[0].page, document.counters["hidden_slides"]) == (2, 1)


def test_a_deck_of_pictures_is_empty(deck) -> None:
    deck.slides.add_slide(deck.slide_layouts[6])
    with pytest.raises(EmptyDocumentError):
        parse(saved(deck.save))
