"""OpenDocument texts, sheets and slides."""

from __future__ import annotations

import pytest

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines_tests.unit.parsing.office import outline, parse, tables, zipped

NAMESPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{path}:1.0"'
    for name, path in {
        "office": "office",
        "text": "text",
        "table": "table",
        "draw": "drawing",
        "style": "style",
        "presentation": "presentation",
        "meta": "meta",
    }.items()
)
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'


def odf(kind: str, body: str, styles: str = "", meta: str = "") -> bytes:
    content = (
        f"<office:document-content {NAMESPACES} {DC}>"
        f"<office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    parts = {"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": content}
    if meta:
        head = f"<office:document-meta {NAMESPACES} {DC}><office:meta>{meta}</office:meta>"
        parts["meta.xml"] = f"{head}</office:document-meta>"
    return zipped(parts)


def cells(*texts: str) -> str:
    inner = "".join(f"<table:table-cell><text:p>{text}</text:p></table:table-cell>" for text in texts)
    return f"<table:table-row>{inner}</table:table-row>"


def test_a_text_keeps_headings_lists_notes_and_comments_in_order() -> None:
    document = parse(
        odf(
            "text",
            '<text:p text:style-name="P1">Policy</text:p><text:h text:outline-level="2">Scope</text:h>'
            "<text:p>Two<text:s text:c='2'/>spaces<text:line-break/>new line"
            "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Except Fridays."
            "</text:p></text:note-body></text:note>."
            "<office:annotation><dc:creator>Ann</dc:creator><text:p>Really?</text:p></office:annotation></text:p>"
            "<text:list><text:list-item><text:p>outer</text:p><text:list><text:list-item><text:p>inner</text:p>"
            "</text:list-item></text:list></text:list-item></text:list>",
            styles='<style:style style:name="P1" style:parent-style-name="Title"/>',
        )
    )
    assert document.title == "Policy"
    assert outline(document) == [
        ("title", "Policy"),
        ("heading 2", "Scope"),
        ("paragraph", "Two  spaces\nnew line[1]."),
        ("paragraph", "[1] Except Fridays."),
        ("paragraph", "Comment by Ann: Really?"),
        ("list_item 1", "outer"),
        ("list_item 2", "inner"),
    ]


def test_deleted_text_and_generated_contents_are_left_out() -> None:
    document = parse(
        odf(
            "text",
            "<text:tracked-changes><text:changed-region><text:p>deleted</text:p></text:changed-region>"
            "</text:tracked-changes><text:table-of-content><text:p>Scope 3</text:p></text:table-of-content>"
            "<text:section><text:p>kept</text:p></text:section>",
        )
    )
    assert outline(document) == [("paragraph", "kept")]


def test_text_boxes_follow_their_paragraph() -> None:
    box = "<draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame>"
    assert outline(parse(odf("text", f"<text:p>be{box}fore</text:p>"))) == [
        ("paragraph", "before"),
        ("paragraph", "boxed"),
    ]


def test_merged_cells_of_a_text_table_stand_in_every_place() -> None:
    body = (
        f"<table:table><table:table-header-rows>{cells('a', 'b', 'c')}</table:table-header-rows>"
        "<table:table-row>"
        '<table:table-cell table:number-columns-spanned="2" table:number-rows-spanned="2"><text:p>m</text:p>'
        "</table:table-cell><table:covered-table-cell/><table:table-cell><text:p>1</text:p></table:table-cell>"
        '</table:table-row><table:table-row><table:covered-table-cell table:number-columns-repeated="2"/>'
        "<table:table-cell><text:p>2</text:p></table:table-cell></table:table-row></table:table>"
    )
    document = parse(odf("text", body))
    assert tables(document) == [[("a", "b", "c"), ("m", "m", "1"), ("m", "m", "2")]]
    assert document.blocks[0].header_rows == 1


def test_sheets_are_sections_and_hidden_ones_are_left_out() -> None:
    table = '<table:table table:name="{}" table:style-name="{}">{}</table:table>'
    document = parse(
        odf(
            "spreadsheet",
            table.format("Ducks", "t1", cells("Year", "Count") + cells("2019", "12.5 %"))
            + table.format("Secret", "t2", cells("hidden", "x")),
            styles='<style:style style:name="t2"><style:table-properties table:display="false"/>'
            "</style:style>",
        )
    )
    assert outline(document) == [("heading 1", "Ducks")]
    assert tables(document) == [[("Year", "Count"), ("2019", "12.5 %")]]


def test_hidden_rows_and_columns_of_a_sheet_are_left_out_and_filtered_and_folded_ones_kept() -> None:
    def row(*texts: str, visibility: str) -> str:
        return cells(*texts).replace("table-row>", f'table-row table:visibility="{visibility}">', 1)

    column = "<table:table-column{}/>"
    collapsed = ' table:visibility="collapse"'
    body = (
        column.format("") + column.format(collapsed) + column.format("")
        + f"<table:table-column-group>{column.format(collapsed)}</table:table-column-group>"
        + cells("town", "secret", "sold", "folded")
        + row("Bonn", "x1", "1", "y1", visibility="visible")
        + row("Kiel", "x2", "2", "y2", visibility="collapse")
        + row("Ulm", "x3", "3", "y3", visibility="filter")
        + "<table:table-row-group>"
        + row("Jena", "x4", "4", "y4", visibility="collapse")
        + "</table:table-row-group>"
    )  # fmt: skip
    document = parse(odf("spreadsheet", f'<table:table table:name="S">{body}</table:table>'))
    assert tables(document) == [
        [
            ("town", "sold", "folded"),
            ("Bonn", "1", "y1"),
            ("Ulm", "3", "y3"),
            ("Jena", "4", "y4"),
        ]
    ]
    assert document.counters["hidden_words"] == 4 + 4
    assert "words_missing" not in document.counters


def test_a_million_hidden_rows_cost_nothing() -> None:
    hidden = 'table:visibility="collapse" table:number-rows-repeated="1000000000"'
    row = cells("c", "d").replace("table-row>", f"table-row {hidden}>", 1)
    body = f'<table:table table:name="S">{cells("a", "b")}{row}</table:table>'
    assert tables(parse(odf("spreadsheet", body))) == [[("a", "b")]]


def test_a_million_repeated_blank_rows_and_columns_cost_nothing() -> None:
    blank = '<table:table-cell table:number-columns-repeated="1000000000"/>'
    row = f'<table:table-row table:number-rows-repeated="1000000000">{blank}</table:table-row>'
    body = f'<table:table table:name="S">{cells("a", "b")}{row}{cells("c", "d")}</table:table>'
    assert tables(parse(odf("spreadsheet", body))) == [[("a", "b")], [("c", "d")]]


def test_slides_are_pages_under_their_titles_with_their_notes() -> None:
    def frame(text: str, kind: str = "outline") -> str:
        box = f"<draw:text-box><text:p>{text}</text:p></draw:text-box>"
        return f'<draw:frame presentation:class="{kind}">{box}</draw:frame>'

    notes = f"<presentation:notes>{frame('Say it slowly.', 'notes')}</presentation:notes>"
    document = parse(
        odf(
            "presentation",
            f"<draw:page>{frame('body')}{frame('First', 'title')}{notes}</draw:page><draw:page/>",
        )
    )
    assert outline(document) == [
        ("heading 1", "First"),
        ("paragraph", "body"),
        ("paragraph", "Speaker notes: Say it slowly."),
    ]
    assert (document.title, document.pages, document.blocks[1].page) == ("First", 2, 1)


def test_what_a_document_says_about_itself_is_metadata() -> None:
    meta = "<dc:title>Plan</dc:title><dc:creator>Ann</dc:creator><dc:language>de-DE</dc:language>"
    document = parse(odf("text", "<text:p>x</text:p>", meta=meta))
    assert (document.title, document.language) == ("Plan", "de-DE")
    assert document.metadata == {"title": "Plan", "author": "Ann"}


def test_content_that_is_no_document_is_corrupt() -> None:
    parts = {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<x/>"}
    with pytest.raises(CorruptDocumentError, match="body"):
        parse(zipped(parts))


def test_cells_merged_in_a_sheet_stand_in_each_row_and_in_each_column_of_a_header() -> None:
    def cell(text: str, spans: str = "") -> str:
        return f"<table:table-cell {spans}><text:p>{text}</text:p></table:table-cell>"

    def row(*cells: str) -> str:
        return f"<table:table-row>{''.join(cells)}</table:table-row>"

    covered = "<table:covered-table-cell/>"
    body = f"""<table:table table:name="One">
        {row(cell("Town"), cell("2021", 'table:number-columns-spanned="2"'), covered)}
        {row(cell(""), cell("Sold"), cell("Left"))}
        {row(cell("Bonn", 'table:number-rows-spanned="3"'), cell("1"), cell("2"))}
        {row(covered, cell("3"), cell("4"))}
        <table:table-row table:number-rows-repeated="1">{covered}</table:table-row>
        {row(cell("Kiel"), cell("5"), cell("6"))}
    </table:table>"""
    assert tables(parse(odf("spreadsheet", body))) == [
        [
            ("Town", "2021", "2021"),
            ("", "Sold", "Left"),
            ("Bonn", "1", "2"),
            ("Bonn", "3", "4"),
            ("Kiel", "5", "6"),
        ]
    ]


DAY_AND_TIME = "2024-03-04 09:30"


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        ('office:value-type="float" office:value="12.5"', "12.50 kg", "12.50 kg"),
        ('office:value-type="float" office:value="12.5"', "", "12.5"),
        ('office:value-type="percentage" office:value="0.125"', "", "12.5%"),
        ('office:value-type="currency" office:value="3" office:currency="EUR"', "", "3"),
        ('office:value-type="boolean" office:boolean-value="true"', "", "true"),
        ('office:value-type="string" office:string-value="word"', "", "word"),
        ('office:value-type="date" office:date-value="2024-03-04"', "", "2024-03-04"),
        ('office:value-type="date" office:date-value="2024-03-04"', "03/04/24", "2024-03-04"),
        (
            'office:value-type="date" office:date-value="2024-03-04T09:30:00"',
            "4.3.24 9:30",
            "2024-03-04 09:30",
        ),
        ('office:value-type="date" office:date-value="2024-03-04T09:30:00"', "9:30", "9:30"),
        ('office:value-type="date" office:date-value="2024-03-04"', "4. März 2024", "4. März 2024"),
        ('office:value-type="date" office:date-value="2024-03-04"', "2024", "2024"),
        ('office:value-type="date" office:date-value="2024-03-04"', "03/2024", "2024-03"),
    ],
)
def test_a_cell_of_a_sheet_shows_its_text_or_else_its_value(value: str, text: str, shown: str) -> None:
    stored = text and f"<text:p>{text}</text:p>"
    row = (
        "<table:table-row><table:table-cell><text:p>name</text:p></table:table-cell>"
        f"<table:table-cell {value}>{stored}</table:table-cell></table:table-row>"
    )
    document = parse(odf("spreadsheet", f'<table:table table:name="S">{row}{row}</table:table>'))
    assert tables(document)[0][0] == ("name", shown)


def test_a_formula_of_a_sheet_without_a_result_stands_as_it_is_and_is_counted() -> None:
    row = (
        "<table:table-row><table:table-cell><text:p>all</text:p></table:table-cell>"
        '<table:table-cell table:formula="of:=SUM([.B1:.B9];[$Other.A1])"/></table:table-row>'
    )
    document = parse(odf("spreadsheet", f'<table:table table:name="S">{row}</table:table>'))
    assert tables(document) == [[("all", "=SUM(B1:B9;Other.A1)")]]
    assert document.counters["formulas_without_value"] == 1


def test_comments_on_cells_of_a_sheet_stand_below_it_with_their_author_and_cell() -> None:
    note = (
        "<office:annotation><dc:creator>Ann</dc:creator><text:p>Counted</text:p><text:p>twice.</text:p>"
        "</office:annotation>"
    )
    row = (
        "<table:table-row><table:table-cell><text:p>Bonn</text:p></table:table-cell>"
        f"<table:table-cell>{note}<text:p>3</text:p></table:table-cell></table:table-row>"
    )
    blank = '<table:table-row table:number-rows-repeated="9"><table:table-cell/></table:table-row>'
    document = parse(odf("spreadsheet", f'<table:table table:name="S">{blank}{row}</table:table>'))
    assert tables(document) == [[("Bonn", "3")]]
    assert outline(document)[1:] == [("paragraph", "Comment by Ann on B10: Counted\ntwice.")]
