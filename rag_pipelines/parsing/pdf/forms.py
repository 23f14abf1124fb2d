"""Filled forms: what is ticked, chosen and written in the fields of a page.

What belongs here: the fields of interactive forms, and the tick fonts that forms use. What does not: reading
the rest of the page (`page`).

A tick is the glyph of a symbol font, whose code is a digit or a letter: read as text, a ticked box is "4".
Here it is "☒", and a box that is not ticked "☐", whatever the producer drew in it. Fields without an
appearance are shown by viewers all the same (ISO 32000-1, 12.7.3.3), and so they are here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rag_pipelines.parsing.pdf.engine import mupdf

TICKED, NOT_TICKED = "☒", "☐"

_UNSEEN = 1 << 1 | 1 << 5
"""Annotation flags Hidden and NoView (ISO 32000-1, table 165)."""

_ZAPF_DINGBATS = {"3": "✓", "4": "✔", "5": "✕", "6": "✖", "7": "✗", "8": "✘", "H": "★", "l": "●", "m": "❍",
                  "n": "■", "o": "❏", "p": "❐", "q": "❑", "r": "❒", "u": "◆"}  # fmt: skip
_WINGDINGS = {"l": "●", "m": "❍", "n": "■", "o": "☐", "p": "☐", "q": "❑", "r": "❒", "u": "◆", "x": "☒",
              "\xa7": "▪", "\xa8": "☐", "\xb7": "•", "\xd8": "➢", "\xfb": "✗", "\xfc": "✓", "\xfd": "☒",
              "\xfe": "☑"}  # fmt: skip
_WINGDINGS_2 = {"O": "✗", "P": "✓", "Q": "☒", "R": "☑", "S": "☒", "T": "☒", "U": "☒", "V": "☒", "\xa3": "☐"}
_PRIVATE = 0xF000
"""Symbol fonts have their codes at this place, too."""


def _table(signs: dict[str, str]) -> dict[int, str]:
    return {ord(code) + place: sign for code, sign in signs.items() for place in (0, _PRIVATE)}


SYMBOL_FONTS: tuple[tuple[str, dict[int, str]], ...] = (
    ("Dingbats", _table(_ZAPF_DINGBATS)),
    ("Wingdings2", _table(_WINGDINGS_2)),
    ("Wingdings-2", _table(_WINGDINGS_2)),
    ("Wingdings3", {}),
    ("Wingdings-3", {}),
    ("Wingdings", _table(_WINGDINGS)),
)
"""Part of the name of each symbol font, and what its codes show."""


def signs_of(font: str, text: str) -> str:
    """`text` of a symbol font as the signs that it shows; other text as it is."""
    if "ing" in font:
        for name, signs in SYMBOL_FONTS:
            if name in font.replace(" ", ""):
                return text.translate(signs)
    return text


class Field(NamedTuple):
    """A field and its rectangle (left, top, right, bottom).

    `tick` is set for a box or button to tick; `values` is what is written or chosen, `options` what a list
    box shows to choose from.
    """

    box: tuple[float, float, float, float]
    tick: str = ""
    values: Sequence[str] = ()
    options: Sequence[str] = ()


def read_fields(page: Any) -> Iterator[Field]:
    """The fields of a MuPDF page that a person sees, apart from buttons and signatures."""
    document, pymupdf = page.parent, mupdf()
    if not document.is_form_pdf:
        return
    for field in page.widgets() or ():
        box, kind = tuple(field.rect), field.field_type
        flags = document.xref_get_key(field.xref, "F")[1]
        if flags.isdigit() and int(flags) & _UNSEEN:
            continue
        if kind in (pymupdf.PDF_WIDGET_TYPE_CHECKBOX, pymupdf.PDF_WIDGET_TYPE_RADIOBUTTON):
            shown, state = document.xref_get_key(field.xref, "AS")
            on = state != "/Off" if shown == "name" else field.field_value not in (None, False, "", "Off")
            yield Field(box, tick=TICKED if on else NOT_TICKED)
        elif kind in (pymupdf.PDF_WIDGET_TYPE_COMBOBOX, pymupdf.PDF_WIDGET_TYPE_LISTBOX):
            options = [_pair(option) for option in field.choice_values or ()]
            chosen = field.field_value if isinstance(field.field_value, list) else [field.field_value]
            values = [dict(options).get(value) or value for value in chosen if value]
            listed = kind == pymupdf.PDF_WIDGET_TYPE_LISTBOX
            yield Field(box, values=values, options=[shown for _, shown in options] if listed else ())
        elif kind == pymupdf.PDF_WIDGET_TYPE_TEXT and field.field_value:
            yield Field(box, values=str(field.field_value).splitlines())


def _pair(option: Any) -> tuple[str, str]:
    """An option of a choice field as its value and what is shown for it (ISO 32000-1, table 231)."""
    return (option, option) if isinstance(option, str) else (option[0], option[1])
