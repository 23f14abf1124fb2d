"""Filled PDF forms: ticks, choices and values, with and without an appearance of their own."""

from __future__ import annotations

from typing import Any

import pytest

from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.pdf.engine import mupdf
from rag_pipelines.parsing.pdf.forms import signs_of
from rag_pipelines.parsing.pdf.parse import parse

pymupdf = mupdf()

BOX, RADIO = pymupdf.PDF_WIDGET_TYPE_CHECKBOX, pymupdf.PDF_WIDGET_TYPE_RADIOBUTTON
TEXT, LIST, COMBO = (
    pymupdf.PDF_WIDGET_TYPE_TEXT, pymupdf.PDF_WIDGET_TYPE_LISTBOX, pymupdf.PDF_WIDGET_TYPE_COMBOBOX
)  # fmt: skip


def form(*fields: dict[str, Any], changed: dict[str, str] | None = None) -> bytes:
    """A form with one labelled field a row; `changed` are entries set in each field's dictionary."""
    document = pymupdf.open()
    page = document.new_page()
    for number, values in enumerate(fields):
        top = 100 + 60 * number
        page.insert_text((60, top + 12), f"Field {chr(65 + number)}:")
        field = pymupdf.Widget()
        field.field_name = f"field{number}"
        field.rect = pymupdf.Rect(140, top, 140 + values.pop("width", 14), top + values.pop("height", 14))
        for name, value in values.items():
            setattr(field, name, value)
        page.add_widget(field)
        for key, value in (changed or {}).items():
            document.xref_set_key(field.xref, key, value)
    return bytes(document.tobytes())


def shown(data: bytes) -> str:
    document = parse(ParseRequest(data, options=ParseOptions(pdf="fast")))
    assert "words_missing" not in document.counters
    return " ".join(document.text.split())


def test_a_ticked_box_differs_from_an_empty_one() -> None:
    data = form({"field_type": BOX, "field_value": True}, {"field_type": BOX, "field_value": False})
    assert shown(data) == "Field A: ☒ Field B: ☐"


@pytest.mark.parametrize("appearance", ["null", "<</N <</Off null>>>>"])
def test_a_tick_without_an_appearance_is_a_tick(appearance: str) -> None:
    data = form({"field_type": BOX, "field_value": True}, changed={"AP": appearance})
    assert shown(data) == "Field A: ☒"


def test_the_chosen_radio_button_is_ticked_and_the_others_are_not() -> None:
    values = {"field_type": RADIO, "field_value": True}
    document = pymupdf.open(stream=form(dict(values), dict(values)))
    first = next(document[0].widgets())
    document.xref_set_key(first.xref, "AS", "/Off")
    assert shown(document.tobytes()) == "Field A: ☐ Field B: ☒"


@pytest.mark.parametrize("changed", [{}, {"AP": "null"}])
def test_what_is_written_and_chosen_stands_once_beside_its_label(changed: dict[str, str]) -> None:
    data = form(
        {"field_type": TEXT, "field_value": "Ann Example", "width": 200},
        {"field_type": COMBO, "field_value": "Spain", "choice_values": ["France", "Spain"], "width": 100},
        changed=changed,
    )
    assert shown(data) == "Field A: Ann Example Field B: Spain"


def test_the_chosen_option_of_a_list_is_ticked() -> None:
    data = form(
        {
            "field_type": LIST,
            "field_value": "red",
            "choice_values": ["red", "blue"],
            "width": 90,
            "height": 40,
        }
    )
    assert {"☒ red", "☐ blue"} <= {
        part.strip() for part in shown(data).replace("☐", "|☐").replace("☒", "|☒").split("|")
    }


def test_the_value_of_a_field_with_an_empty_appearance_is_read() -> None:
    document = pymupdf.open(stream=form({"field_type": TEXT, "field_value": "4417-0093", "width": 200}))
    field = next(document[0].widgets())
    appearance = int(document.xref_get_key(field.xref, "AP/N")[1].split()[0])
    document.update_stream(appearance, b" ")
    assert shown(document.tobytes()) == "Field A: 4417-0093"


def test_hidden_fields_are_not_read() -> None:
    data = form({"field_type": TEXT, "field_value": "draft", "width": 200}, changed={"F": "2"})
    assert shown(data) == "Field A:"


@pytest.mark.parametrize(
    ("font", "text", "signs"),
    [
        ("ZapfDingbats", "4 3 8", "✔ ✓ ✘"),
        ("ABCDEF+Wingdings-Regular", "\uf0fe \uf0a8 x", "☑ ☐ ☒"),
        ("Wingdings2", "PR", "✓☑"),
        ("Wingdings 3", "p", "p"),
        ("Helvetica", "4", "4"),
        ("Brandingsans", "4", "4"),
    ],
)
def test_codes_of_symbol_fonts_are_the_signs_that_they_show(font: str, text: str, signs: str) -> None:
    assert signs_of(font, text) == signs
