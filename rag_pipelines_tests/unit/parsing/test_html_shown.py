"""What a reader of a web page sees is in the text, what a reader does not see is counted."""

from __future__ import annotations

import pytest

from rag_pipelines.model import BlockKind
from rag_pipelines_tests.unit.parsing.reading import read, shown, tables, texts


def page(body: str) -> str:
    return f"<html><head><title>Help</title></head><body><main><h1>Help</h1>{body}</main></body></html>"


QUESTIONS = [
    '<h3><button aria-controls="p">May I park here?</button></h3><div id="p" hidden>{}</div>',
    '<h3><button data-bs-target="#c">May I park here?</button></h3>'
    '<div id="c" class="collapse" style="display:none">{}</div>',
    '<h3><a href="#t" role="tab">May I park here?</a></h3><div id="t" aria-hidden="true">{}</div>',
    '<button><h3>May I park here?</h3></button><div class="accordion-panel" aria-hidden="true">{}</div>',
    '<h3><button aria-expanded="false">May I park here?</button></h3><div style="display: none">{}</div>',
    '<h3>May I park here?</h3><div hidden="until-found">{}</div>',
]


@pytest.mark.parametrize("markup", QUESTIONS)
def test_a_question_that_opens_on_a_click_is_the_heading_of_its_answer(markup: str):
    document = read(page(markup.format("<p>Yes, at night.</p>")), "a.html")

    assert texts(document, BlockKind.HEADING) == ["Help", "May I park here?"]
    assert document.blocks[-1].heading_path == ("Help", "May I park here?")
    assert document.text.endswith("Yes, at night.")


def test_a_question_in_a_button_or_a_summary_stands_before_its_answer():
    markup = (
        '<button class="toggle">Is it loud?</button><div>No.</div>'
        "<details><summary>Is it far?</summary>No.</details>"
    )
    said = [text for _, text in shown(read(page(markup), "a.html"))]

    assert said == ["Help", "Is it loud?", "No.", "Is it far?", "No."]


def test_the_button_that_sorts_a_column_is_its_header():
    markup = "<table><tr><th><button>Name</button><th><button>Rent</button><tr><td>Attic<td>700</table>"

    assert tables(read(page(markup), "a.html")) == [[("Name", "Rent"), ("Attic", "700")]]


@pytest.mark.parametrize(
    "markup",
    [
        "<p hidden>secret words</p>",
        '<p style="color:red;display:none">secret words</p>',
        '<div style="visibility: hidden"><p>secret <b>words</b></p></div>',
        "<dialog>secret words</dialog>",
        "<div popover>secret words</div>",
        "<noscript>secret words</noscript>",
        "<template>secret words</template>",
        "<table><tr><td>a<td>b<tr><td>c<td hidden>secret words</table>",
    ],
)
def test_hidden_words_are_left_out_and_counted(markup: str):
    document = read(page(f"<p>Seen.</p>{markup}"), "a.html")

    assert "secret" not in document.text
    assert document.counters["hidden_words"] == 2


def test_a_style_that_shows_after_all_hides_nothing():
    assert "shown" in read(page('<p style="display:none;display:block">shown</p>'), "a.html").text


def test_what_only_assistive_technology_does_not_get_is_text_and_a_decoration_is_not():
    markup = (
        '<p>It costs <span aria-hidden="true">12 €</span><i class="icon" aria-hidden="true">euro</i>'
        '<span aria-hidden="true">×</span></p>'
    )

    assert shown(read(page(markup), "a.html"))[-1] == ("paragraph", "It costs 12 €")


def test_what_surrounds_the_main_content_is_counted():
    markup = f"<nav>Home Shop</nav>{page('<p>Text.</p><div class=social>Share</div>')}<p>Imprint</p>"

    assert read(markup, "a.html").counters["boilerplate_words"] == 4


@pytest.mark.parametrize(
    ("start", "numbers"),
    [
        ("<ol start=3>", ["3. x", "4. y"]),
        ("<ol start=-1>", ["-1. x", "0. y"]),
        ("<ol reversed>", ["2. x", "1. y"]),
        ("<ol type=a start=26>", ["z. x", "aa. y"]),
        ("<ol type=I start=9>", ["IX. x", "X. y"]),
        ('<ol style="list-style-type: lower-roman">', ["i. x", "ii. y"]),
        ('<ol style="list-style: none">', ["x", "y"]),
    ],
)
def test_items_are_numbered_as_shown(start: str, numbers: list[str]):
    assert texts(read(f"{start}<li>x<li>y</ol>", "a.html"), BlockKind.LIST_ITEM) == numbers


def test_an_item_may_bring_its_own_number_also_in_a_cell():
    items = "<ol><li>x<li value=7>y<li>z</ol>"

    assert texts(read(items, "a.html"), BlockKind.LIST_ITEM) == ["1. x", "7. y", "8. z"]
    assert tables(read(f"<table><tr><th>a<th>b<tr><td>{items}<td>w</table>", "a.html"))[0][1] == (
        "1. x 7. y 8. z",
        "w",
    )


@pytest.mark.parametrize(
    ("markup", "blocks"),
    [
        ("<dl><dt>Tea<dd><dl><dt>Mint<dd>cold</dl></dl>", ["Tea", "Mint: cold"]),
        ("<dl><dt>Tea<dd><ul><li>Mint</ul></dl>", ["Tea", "Mint"]),
        ("<ol start=4><li><ol type=a><li>Mint</ol></ol>", ["4.", "a. Mint"]),
        ("<ol start=4><li><pre>make</pre></ol>", ["4.", "make"]),
        ("<ol start=4><li><h3>Brew</h3><p>Wait.</ol>", ["4. Brew", "Wait."]),
    ],
)
def test_a_term_or_number_stays_where_no_line_of_text_follows_it(markup: str, blocks: list[str]):
    assert [text for _, text in shown(read(markup, "a.html"))] == blocks


def test_labels_and_values_in_a_table_for_layout_stay_side_by_side():
    values = "<tr><td>Topic<td>Budget<tr><td>Room<td>B 12"
    markup = f"<table role=presentation><tr><td><table role=presentation>{values}</table></table>"

    assert tables(read(markup, "a.html")) == [[("Topic", "Budget"), ("Room", "B 12")]]


def test_a_label_stays_with_its_value_also_beside_a_table_in_a_table():
    markup = "<table><tr><td>Topic<td>Budget<tr><td>Links<td><table><tr><td>one</table></table>"

    assert [text for _, text in shown(read(markup, "a.html"))] == ["Topic | Budget", "Links", "one"]


@pytest.mark.parametrize(
    ("label", "beside"),
    [("Uses:", True), ("\u7528\u9014\uff1a", True), ("Uses", False), ("Home About:" * 20, False)],
)
def test_a_label_that_ends_with_a_colon_stays_with_however_long_a_text(label, beside):
    prose = "bolts and nuts " * 20
    markup = f"<table role=presentation><tr><td>{label}<td>{prose}</table><p>{prose}"

    told = [text for _, text in shown(read(markup, "a.html"))][:-1]
    assert told == ([f"{label} | {prose.strip()}"] if beside else [label, prose.strip()])


def test_a_row_of_linked_pictures_without_text_is_no_row():
    cell = "<td><a href='/x'><img src=y></a></td>"

    assert tables(read(f"<table><tr><th>a<th>b<tr>{cell * 2}<tr><td>c<td>d</table>", "a.html")) == [
        [("a", "b"), ("c", "d")]
    ]


def test_a_table_that_is_said_to_arrange_the_page_and_does_is_read_through():
    markup = "<table role=presentation><tr><td><img src=a alt=Logo><td>Acme<tr><td colspan=2>Hello</table>"

    assert [kind for kind, _ in shown(read(markup, "a.html"))] == ["paragraph"] * 3


def test_the_foot_of_a_table_comes_last():
    markup = "<table><thead><tr><th>a<th>b<tfoot><tr><td>sum<td>3<tbody><tr><td>x<td>3</table>"

    assert tables(read(markup, "a.html")) == [[("a", "b"), ("x", "3"), ("sum", "3")]]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ('<label>Name<input value="Ann"></label>', "Name Ann"),
        ('<input type="checkbox" checked> wet <input type="radio"> dry', "[x] wet [ ] dry"),
        ('<input type="hidden" value="x"><input type="password" value="y">z', "z"),
        ("Size <select><option>S<option selected>M</select>", "Size S, M"),
        ("Note <textarea>as\nsaid</textarea>", "Note as said"),
        ("<ruby>東京<rp>(</rp><rt>Tokyo</rt><rp>)</rp></ruby>", "東京(Tokyo)"),
        ("super<wbr>market", "supermarket"),
        ("<picture><source srcset=a><img src=b alt='A map'></picture>", "A map"),
        (
            "<svg><title>t</title><defs><text>d</text></defs><text>Pump</text><text>Tank</text></svg>",
            "Pump Tank",
        ),
        (
            "<math><msup><mi>x</mi><mn>2</mn></msup><mo>=</mo><mfrac><mn>1</mn><mi>y</mi></mfrac></math>",
            "x^2 = 1/y",
        ),
        ('<iframe srcdoc="&lt;p&gt;Inside&lt;/p&gt;"></iframe>', "Inside"),
        ("<div><template shadowrootmode=open><p>Shadow</p></template></div>", "Shadow"),
        ('<div style="white-space: pre-wrap">one\ntwo</div>', "one\ntwo"),
        ("<object data=a.swf>Fallback</object>", "Fallback"),
    ],
)
def test_what_a_browser_draws_in_its_own_way_is_text(markup: str, text: str):
    assert read(f"<body><div>{markup}</div></body>", "a.html").text == text


def test_code_is_read_without_the_button_that_copies_it():
    markup = "<p>Run</p><pre><button>Copy</button><code>make</code></pre>"

    assert texts(read(page(markup), "a.html"), BlockKind.CODE) == ["make"]


def test_pictures_and_frames_without_text_are_counted():
    markup = (
        "<p>See</p><img src=a.png><img src=b.png alt=''><img src=c.gif width=1><img src=d.png alt='A dog'>"
        "<img src=e.png alt='e.png'><table><tr><th>a<th>b<tr><td><img src=f.png><td>x</table>"
        "<iframe src='https://x.example/map'></iframe><iframe src=x width=1></iframe>"
    )
    counters = read(page(markup), "a.html").counters

    assert counters["images_without_text"] == 3
    assert counters["parts_not_read"] == 1


@pytest.mark.parametrize("tag", ["<sup>", "<ruby><rt>", "<button>", '<p style="white-space:pre">'])
def test_deep_nests_of_what_is_treated_apart_are_read(tag: str):
    assert "end" in read(f"<body>{tag * 5_000}</body><p>end", "a.html").text


def test_words_hidden_within_hidden_words_are_counted_once():
    assert read(f"<p>Seen{'<div hidden>word' * 3_000}", "a.html").counters["hidden_words"] == 3_000


def test_what_stands_behind_the_end_of_the_body_is_read():
    assert read("<html><body><p>One</body><p>Two</html><p>Three", "a.html").text == "One\n\nTwo\n\nThree"
