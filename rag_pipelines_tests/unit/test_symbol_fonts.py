"""Symbol fonts: what a reader sees, not the letter that is stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.text.symbol_fonts import is_symbol_font, read_symbols


@pytest.mark.parametrize(
    ("font", "stored", "seen"),
    [
        ("Symbol", "5\uf0b1\uf0b0 DT", "5±° ΔΤ"),
        ("Symbol", "a \xa3 b", "α ≤ β"),
        ("Wingdings", "\uf0fe \uf0a8 \uf0fd", "☑ ☐ ☒"),
        ("Wingdings", "ü", "✓"),
        ("Wingdings 2", "\uf052 \uf0a3", "☑ ☐"),
        ("WINGDINGS 3", "\uf070", "▲"),
        ("Webdings", "a c", "✔ ☐"),
        ("Arial", "a \uf0b0", "a \uf0b0"),
        (None, "abc", "abc"),
    ],
)
def test_a_character_reads_as_it_looks_in_its_font(font: str | None, stored: str, seen: str) -> None:
    assert read_symbols(stored, font) == seen


@given(st.text(), st.sampled_from(["Symbol", "Wingdings", "Wingdings 2", "Wingdings 3", "Webdings"]))
def test_any_text_has_as_many_characters_in_a_symbol_font(text: str, font: str) -> None:
    assert is_symbol_font(font)
    assert len(read_symbols(text, font)) == len(text)
