"""What a style sheet of the page hides is left out and counted, where Chromium shows nothing of it either."""

from __future__ import annotations

import pytest

from rag_pipelines.errors import EmptyDocumentError
from rag_pipelines_tests.unit.parsing.reading import read

HIDDEN = [
    ".x { display: none }",
    "#x { display: none }",
    "p.x{DISPLAY:NONE}",
    ".y.x, .z { color: red; display: none; }",
    ".x { visibility: hidden }",
    "/* .x { */ .x { display: none }",
    "@media screen and (min-width: 40em) { .x { display: none } }",
    "@import url(other.css); .x { display: none }",
    ".x { display: block } .x { display: none }",
    ".x { display: none !important } #x { display: block }",
    ".x.y { display: none } p.x { display: block }",
    ".w\\:1\\/2 { display: none }",
    ".x { display: none } @media print { .x { display: block } }",
    ".x { display: none } @media (max-width: 600px) { .x { display: block } }",
]
SHOWN = [
    ".other { display: none }",
    ".x .x { display: none }",
    ".x:empty { display: none }",
    ".x[hidden] { display: none }",
    "@media print { .x { display: none } }",
    "@media (max-width: 600px) { .x { display: none } }",
    "@media (prefers-color-scheme: dark) { .x { display: none } }",
    "@supports (display: subgrid) { .x { display: none } }",
    ".x { display: none } p.x { display: block }",
    ".x { display: none } #x { display: block }",
    ".x { display: none } main:hover > .x { display: block }",
    ".x { display: none } @media (min-width: 768px) { .w\\:1\\/2 { display: block } }",
    ".x { display: none } @media (hover: hover) { .x { display: block } }",
    ".a { color: red; &.b, .x { display: none } }",
    "body { display: none }",
    ".x { --display: none; display: block }",
]


def page(style: str, attributes: str = "") -> str:
    body = f"<p>Seen.</p><p class='x y w:1/2' id='x' {attributes}>Secret word.</p>"
    return f"<html><head><style>{style}</style></head><body><main>{body}</main></body></html>"


@pytest.mark.parametrize("style", HIDDEN)
def test_what_a_style_sheet_hides_is_left_out_and_counted(style: str) -> None:
    document = read(page(style), "a.html")
    assert document.text == "Seen."
    assert document.counters["hidden_words"] == 2
    assert "words_missing" not in document.counters


@pytest.mark.parametrize("style", SHOWN)
def test_what_it_does_not_hide_or_may_show_stays(style: str) -> None:
    document = read(page(style), "a.html")
    assert document.text == "Seen.\n\nSecret word."
    assert "hidden_words" not in document.counters


def test_the_style_of_the_element_itself_goes_before_that_of_the_sheet() -> None:
    assert "Secret" in read(page(".x { display: none }", 'style="display: block"'), "a.html").text
    assert "Secret" not in read(page(".x { display: none }", 'style="color: red"'), "a.html").text


@pytest.mark.parametrize("media", ["print", "(max-width: 480px)"])
def test_a_sheet_for_other_media_hides_nothing(media: str) -> None:
    markup = page(".x { display: none }").replace("<style>", f'<style media="{media}">')
    assert "Secret" in read(markup, "a.html").text


def test_a_sheet_for_browsers_without_scripts_hides_nothing() -> None:
    markup = page(".x { display: none }").replace("<style>", "<noscript><style>")
    assert "Secret" in read(markup.replace("</style>", "</style></noscript>"), "a.html").text


def test_a_panel_that_a_click_opens_stays_though_the_sheet_hides_it() -> None:
    style = ".tab-pane { display: none } .tab-pane.active { display: block }"
    body = '<div class="tab-pane active">First.</div><div class="tab-pane">Second.</div>'
    markup = f"<html><head><style>{style}</style></head><body><main>{body}</main></body></html>"
    assert read(markup, "a.html").text == "First.\n\nSecond."


def test_words_in_hidden_elements_of_a_hidden_element_are_counted_once() -> None:
    style = ".x, .y { display: none }"
    body = '<p>Seen.</p><div class="x">one <div class="y">two</div><div hidden>three</div></div>'
    markup = f"<html><head><style>{style}</style></head><body>{body}</body></html>"
    assert read(markup, "a.html").counters["hidden_words"] == 3


@pytest.mark.parametrize(
    "style", ["{" * 5000, "}" * 5000, ".x{" * 3000 + "display:none", "\\" * 2001, "@media {" * 999]
)
def test_a_sheet_that_is_no_css_hides_nothing(style: str) -> None:
    assert "Secret" in read(page(style), "a.html").text


def test_a_page_that_shows_nothing_is_empty() -> None:
    with pytest.raises(EmptyDocumentError):
        read("<style>.x { display: none }</style><p class=x>Nothing.</p>", "a.html")
