"""What LibreOffice shows beyond plain paragraphs: numbers, superscripts, forms, footers, objects, pictures."""

# ruff: noqa: E501  (raw XML reads best on one line)

from __future__ import annotations

import pytest

from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines_tests.unit.parsing.office import counted, edited, outline, parse, tables
from rag_pipelines_tests.unit.parsing.test_odf import DC, NAMESPACES, cells, odf

FORM = 'xmlns:form="urn:oasis:names:tc:opendocument:xmlns:form:1.0"'
SVG = 'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"'
LINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'


def texts(data: bytes) -> list[str]:
    return [content for _, content in outline(parse(data))]


def span(properties: str, content: str) -> tuple[str, str]:
    style = f'<style:style style:name="T1"><style:text-properties {properties}/></style:style>'
    return style, f'<text:span text:style-name="T1">{content}</text:span>'


@pytest.mark.parametrize(
    ("properties", "content", "shown"),
    [
        ('style:text-position="super 58%"', "6", "10^6"),
        ('style:text-position="33% 58%"', "6", "10^6"),
        ('style:text-position="sub 58%"', "6", "106"),
        ('style:text-position="-8% 58%"', "6", "106"),
        ('style:text-position="0% 100%"', "6", "106"),
        ('style:font-name="Wingdings"', "\uf0fe", "10☑"),
        ('text:display="none"', "secret words", "10"),
    ],
)
def test_a_span_reads_as_it_looks(properties: str, content: str, shown: str) -> None:
    style, marked = span(properties, content)
    assert texts(odf("text", f"<text:p>10{marked}</text:p>", styles=style)) == [shown]


def test_hidden_words_and_generated_indexes_are_counted() -> None:
    style, marked = span('text:display="none"', "two words")
    index = "<text:table-index><text:index-body><text:p>Table 1 here</text:p></text:index-body></text:table-index>"
    section = '<text:section text:display="none"><text:p>not shown now</text:p></text:section>'
    document = parse(odf("text", f"<text:p>Shown{marked}</text:p>{index}{section}", styles=style))
    assert document.text == "Shown"
    assert counted(document) == {LeftOut.HIDDEN.value: 5, LeftOut.CONTENTS.value: 3}


def level(number: int, shown: str, more: str = "") -> str:
    return f'<text:list-level-style-number text:level="{number}" style:num-format="{shown}" style:num-suffix="." {more}/>'


BOTH_LEVELS = 'text:display-levels="2"'
LISTS = (
    f'<text:list-style style:name="L1">{level(1, "1")}{level(2, "a", BOTH_LEVELS)}</text:list-style>'
    '<text:list-style style:name="L2"><text:list-level-style-bullet text:level="1" text:bullet-char="•"/></text:list-style>'
)


def items(*contents: str, attributes: str = "") -> str:
    inner = "".join(f"<text:list-item>{content}</text:list-item>" for content in contents)
    return f"<text:list {attributes}>{inner}</text:list>"


def test_list_items_stand_behind_their_numbers() -> None:
    one = "<text:p>x</text:p>"
    first, other = 'text:style-name="L1"', 'text:style-name="L2"'
    body = (
        items(f"{one}<text:p>more</text:p>", one + items(one, one), one, attributes=first)
        + items(one, attributes=other)
        + items(one, attributes=f'{first} text:continue-numbering="true"')
        + items(one, attributes=first)
        + '<text:list text:style-name="L1"><text:list-header><text:p>head</text:p></text:list-header>'
        '<text:list-item text:start-value="7"><text:p>x</text:p></text:list-item></text:list>'
    )
    assert texts(odf("text", body, styles=LISTS)) == [
        "1. x", "more", "2. x", "2.a. x", "2.b. x", "3. x", "x", "4. x", "1. x", "head", "7. x",
    ]  # fmt: skip


def test_a_list_goes_on_where_the_one_it_names_ended() -> None:
    one = "<text:p>x</text:p>"
    body = (
        items(one, one, attributes='text:style-name="L1" xml:id="a"')
        + items(one, attributes='text:style-name="L1"')
        + items(one, attributes='text:style-name="L1" text:continue-list="a"')
    )
    assert texts(odf("text", body, styles=LISTS)) == ["1. x", "2. x", "1. x", "3. x"]


def test_a_list_in_a_cell_keeps_its_numbers() -> None:
    cell = items("<text:p>x</text:p>", "<text:p>y</text:p>", attributes='text:style-name="L1"')
    row = f"<table:table-row><table:table-cell>{cell}</table:table-cell>{cells('z')[17:]}"
    assert tables(parse(odf("text", f"<table:table>{row}</table:table>", styles=LISTS))) == [
        [("1. x 2. y", "z")]
    ]


SHARED = (
    f"<office:document-styles {NAMESPACES} {DC}><office:styles><text:outline-style style:name='Outline'>"
    '<text:outline-level-style text:level="1" style:num-format="I" style:num-suffix=")"/>'
    '<text:outline-level-style text:level="2" style:num-format=""/></text:outline-style></office:styles>'
    "<office:master-styles><style:master-page style:name='Standard'><style:header><text:p>Acme</text:p></style:header>"
    "<style:footer><text:p>Page 1</text:p></style:footer><style:header-left style:display='false'><text:p>off</text:p>"
    "</style:header-left>{shapes}</style:master-page></office:master-styles></office:document-styles>"
)


def with_shared(data: bytes, shapes: str = "") -> bytes:
    return edited(data, "styles.xml", lambda _: SHARED.format(shapes=shapes).encode())


def test_numbers_of_headings_and_page_furniture_come_from_the_shared_styles() -> None:
    heading = '<text:h text:outline-level="{}">{}</text:h>'
    body = heading.format(1, "One") + heading.format(2, "Part") + heading.format(1, "Two")
    assert outline(parse(with_shared(odf("text", body)))) == [
        ("heading 1", "I) One"),
        ("heading 2", "Part"),
        ("heading 1", "II) Two"),
        ("header", "Acme"),
        ("footer", "Page 1"),
    ]


def test_a_slide_shows_its_footer_and_the_shapes_of_its_master() -> None:
    page = (
        '<presentation:footer-decl presentation:name="f1">Confidential</presentation:footer-decl>'
        '<draw:page draw:style-name="dp1" draw:master-page-name="Standard" presentation:use-footer-name="f1">'
        "<draw:custom-shape><text:p>The body of this slide is a sentence.</text:p></draw:custom-shape></draw:page>"
    )
    style = (
        '<style:style style:name="dp1"><style:drawing-page-properties presentation:display-footer="true" '
        'presentation:display-page-number="true"/></style:style>'
    )
    shapes = (
        "<draw:custom-shape><text:p>Acme logo</text:p></draw:custom-shape>"
        "<draw:frame presentation:class='title'><draw:text-box><text:p>Click</text:p></draw:text-box></draw:frame>"
    )
    found = outline(parse(with_shared(odf("presentation", page, styles=style), shapes)))
    assert found[1:] == [
        ("paragraph", "The body of this slide is a sentence."),
        ("footer", "Confidential"),
        ("footer", "1"),
        ("footer", "Acme logo"),
    ]


@pytest.mark.parametrize(
    ("control", "shown"),
    [
        ('<form:checkbox {id} form:label="agree" form:current-state="checked"/>', "☒ agree"),
        ('<form:checkbox {id} form:label="agree" form:state="checked" form:current-state="unchecked"/>', "☐ agree"),
        ('<form:radio {id} form:label="male" form:current-selected="true"/>', "☒ male"),
        ('<form:text {id} form:value="old" form:current-value="Ada"/>', "Ada"),
        ('<form:listbox {id}><form:option form:label="low"/><form:option form:label="high" form:selected="true"/>'
         "</form:listbox>", "high"),
        ('<form:fixed-text {id} form:label="Name"/>', "Name"),
    ],
)  # fmt: skip
def test_a_form_control_reads_as_it_is_filled_in(control: str, shown: str) -> None:
    named = control.format(id='form:id="c1"')
    form = f"<office:forms {FORM}><form:form>{named}</form:form></office:forms>"
    body = f'{form}<text:p>Answer: <draw:control draw:control="c1"/></text:p>'
    assert texts(odf("text", body)) == [f"Answer:  {shown}"]


def test_pictures_say_what_their_author_wrote_or_are_counted() -> None:
    described = f"<draw:frame><draw:image/><svg:desc {SVG}>Map of the site</svg:desc></draw:frame>"
    document = parse(odf("text", f"<text:p>{described}<draw:frame><draw:image/></draw:frame>See.</text:p>"))
    assert texts(odf("text", f"<text:p>{described}See.</text:p>")) == ["See.", "Image: Map of the site"]
    assert counted(document) == {Loss.IMAGES.value: 1}


def object_of(reference: str) -> str:
    return f'<draw:frame><draw:object {LINK} xlink:href="{reference}"/><draw:image/></draw:frame>'


def test_a_formula_stands_in_its_line_as_it_was_typed() -> None:
    formula = (
        '<math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mi>E</mi>'
        '<annotation encoding="StarMath 5.0">E = m c^2</annotation></semantics></math>'
    )
    data = odf("text", f"<text:p>Energy {object_of('./Object 1')}.</text:p>")
    assert texts(edited(data, "Object 1/content.xml", lambda _: formula.encode())) == ["Energy E = m c^2."]


def test_sheets_inside_are_tables_and_unknown_objects_are_counted() -> None:
    sheet = (
        f"<office:document-content {NAMESPACES}><office:body><office:spreadsheet><table:table>{cells('Item', 'Sum')}"
        f"{cells('Rent', '1200')}</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    data = odf("text", f"<text:p>See{object_of('./Object 1')}{object_of('./Object 2')}</text:p>")
    document = parse(edited(data, "Object 1/content.xml", lambda _: sheet.encode()))
    assert tables(document) == [[("Item", "Sum"), ("Rent", "1200")]]
    assert counted(document) == {Loss.PARTS.value: 1}


def test_an_embedded_object_of_another_program_is_counted() -> None:
    frame = f'<draw:frame><draw:object-ole {LINK} xlink:href="./Object 9"/></draw:frame>'
    data = edited(
        odf("text", f"<text:p>See{frame}</text:p>"), "Object 9", lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    )
    assert counted(parse(data)) == {Loss.ATTACHMENTS.value: 1}
