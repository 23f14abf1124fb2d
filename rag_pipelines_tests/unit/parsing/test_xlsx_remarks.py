"""What a workbook shows beside its cells: drawn text, charts, check boxes, comments, page headers."""

from __future__ import annotations

from collections.abc import Mapping

import openpyxl
import pytest
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment

from rag_pipelines.model import ParsedDocument
from rag_pipelines_tests.unit.parsing.office import edited, outline, parse, saved, tables

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NAMESPACES = (
    'xmlns:xdr="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)


def book() -> openpyxl.Workbook:
    made = openpyxl.Workbook()
    for row in (["Town", "Sold"], ["Bonn", 3], ["Kiel", 5]):
        made.active.append(row)
    return made


def with_parts(tail: str, parts: Mapping[str, tuple[str, str]]) -> ParsedDocument:
    """A workbook whose sheet has `tail` behind its cells and refers to `parts`: name to (kind, content)."""
    data = saved(book().save)
    relations = ""
    for number, (name, (kind, content)) in enumerate(parts.items(), 1):
        data = edited(data, f"xl/{name}", lambda _, content=content: content.encode())
        relations += f'<Relationship Id="rId{number}" Type="{OFFICE}/{kind}" Target="../{name}"/>'
    listing = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f"{relations}</Relationships>"
    )
    data = edited(data, "xl/worksheets/_rels/sheet1.xml.rels", lambda _: listing.encode())
    end = f"{tail}</worksheet>".encode()
    return parse(edited(data, "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b"</worksheet>", end)))


def drawn(shapes: str) -> ParsedDocument:
    return with_parts(
        "", {"drawings/drawing1.xml": ("drawing", f"<xdr:wsDr {NAMESPACES}>{shapes}</xdr:wsDr>")}
    )


def shape(*paragraphs: str, about: str = 'id="2" name="Box"') -> str:
    text = "".join(f"<a:p>{one}</a:p>" for one in paragraphs)
    return f"<xdr:sp><xdr:nvSpPr><xdr:cNvPr {about}/></xdr:nvSpPr><xdr:txBody>{text}</xdr:txBody></xdr:sp>"


def run(text: str, properties: str = "") -> str:
    return f"<a:r><a:rPr {properties}/><a:t>{text}</a:t></a:r>"


def test_text_boxes_follow_the_tables_of_their_sheet() -> None:
    document = drawn(shape(run("Not audited."), run("In 10") + run("6", 'baseline="30000"') + run(" EUR")))
    assert outline(document) == [("heading 1", "Sheet"), ("paragraph", "Not audited.\nIn 10^6 EUR")]


def test_text_boxes_in_groups_are_read_and_those_for_older_programs_are_not() -> None:
    document = drawn(
        f"<xdr:grpSp>{shape(run('grouped'))}</xdr:grpSp><mc:AlternateContent>"
        f"<mc:Choice>{shape(run('new'))}</mc:Choice><mc:Fallback>{shape(run('old'))}</mc:Fallback>"
        "</mc:AlternateContent>" + shape(run("unseen"), about='id="9" hidden="1"')
    )
    assert outline(document)[1:] == [("paragraph", "grouped"), ("paragraph", "new")]


def test_a_picture_without_a_description_is_counted() -> None:
    picture = '<xdr:pic><xdr:nvPicPr><xdr:cNvPr id="2" descr="{}"/></xdr:nvPicPr></xdr:pic>'
    document = drawn(picture.format("Sales by town") + picture.format("") + picture.format("Picture 1"))
    assert outline(document)[1:] == [("caption", "Sales by town")]
    assert document.counters["images_without_text"] == 2


def test_check_boxes_say_whether_they_are_checked() -> None:
    control = f'<control xmlns:r="{OFFICE}" shapeId="{{0}}" r:id="rId{{0}}"/>'
    properties = f'<formControlPr xmlns="{MAIN}" objectType="{{}}" {{}}/>'
    shapes = "".join(
        shape(run(label), about=f'id="{number}" hidden="1"')
        for number, label in ((2, "paid"), (3, "sent"), (4, "Go"))
    )
    document = with_parts(
        f"<controls>{''.join(control.format(n) for n in (2, 3, 4))}</controls>",
        {
            "drawings/drawing1.xml": ("drawing", f"<xdr:wsDr {NAMESPACES}>{shapes}</xdr:wsDr>"),
            "ctrlProps/one.xml": ("ctrlProp", properties.format("CheckBox", 'checked="Checked"')),
            "ctrlProps/two.xml": ("ctrlProp", properties.format("CheckBox", "")),
            "ctrlProps/three.xml": ("ctrlProp", properties.format("Button", "")),
        },
    )
    assert [text for _, text in outline(document)[1:]] == ["[x] paid", "[ ] sent", "Go"]


def test_a_chart_shows_its_titles_and_the_names_of_its_series() -> None:
    made = book()
    chart = BarChart()
    chart.title, chart.x_axis.title, chart.y_axis.title = "Sold by town", "Town", "Pieces"
    chart.add_data(Reference(made.active, min_col=2, min_row=1, max_row=3), titles_from_data=True)
    made.active.add_chart(chart, "D2")
    made.create_chartsheet("Picture").add_chart(BarChart())
    document = parse(saved(made.save))
    assert outline(document) == [("heading 1", "Sheet"), ("caption", "Sold by town; Town; Pieces")]


def test_a_chart_sheet_is_a_section_of_its_own() -> None:
    made = book()
    chart = BarChart()
    chart.title = "Whole page"
    made.create_chartsheet("Overview").add_chart(chart)
    assert outline(parse(saved(made.save)))[1:] == [("heading 1", "Overview"), ("caption", "Whole page")]


def test_comments_name_their_author_and_cell() -> None:
    made = book()
    made.active["B2"].comment = Comment("Counted twice.", "Ann")
    assert outline(parse(saved(made.save)))[1:] == [("paragraph", "Comment by Ann on B2: Counted twice.")]


def test_a_thread_of_comments_is_read_once() -> None:
    space = "http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments"
    thread = (
        f'<ThreadedComments xmlns="{space}"><threadedComment ref="B2" personId="p"><text>Right?</text>'
        '</threadedComment><threadedComment ref="B2"><text>Yes.</text></threadedComment></ThreadedComments>'
    )
    note = (
        f'<comments xmlns="{MAIN}"><authors><author>tc=1</author><author>Bob</author></authors><commentList>'
        '<comment ref="B2" authorId="0"><text><t>[Threaded comment] Right?</t></text></comment>'
        '<comment ref="A1" authorId="1"><text><r><t>A </t></r><r><t>note</t></r></text></comment>'
        '<comment ref="A3" authorId="7"><text><t> </t></text></comment></commentList></comments>'
    )
    people = f'<personList xmlns="{space}"><person id="p" displayName="Ann"/></personList>'
    document = with_parts(
        "",
        {
            "threadedComments/one.xml": ("threadedComment", thread),
            "comments1.xml": ("comments", note),
            "persons/person.xml": ("x", people),
        },
    )
    assert [text for _, text in outline(document)[1:]] == [
        "Comment by Ann on B2: Right?",
        "Comment on B2: Yes.",
        "Comment by Bob on A1: A note",
    ]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("Annual report", "Annual report"),
        ('&L&"Arial,Bold"&12Draft&CQ&&A&R&D', "Draft"),
        ("&K00FF00Green &P of &N", "Green of"),
    ],
)
def test_page_headers_are_kept_without_their_codes(code: str, shown: str) -> None:
    end = f"<headerFooter><oddHeader>{code.replace('&', '&amp;')}</oddHeader></headerFooter></worksheet>"
    data = edited(
        saved(book().save),
        "xl/worksheets/sheet1.xml",
        lambda xml: xml.replace(b"</worksheet>", end.encode()),
    )
    assert next(text for kind, text in outline(parse(data)) if kind == "header").split() == shown.split()


def test_a_sheet_with_nothing_but_a_drawing_has_its_heading() -> None:
    document = drawn(shape(run("alone")))
    assert tables(document)
    assert outline(document)[0] == ("heading 1", "Sheet")
