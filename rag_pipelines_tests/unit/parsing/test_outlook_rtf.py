"""Rich text of Outlook: the compression and the HTML inside, by the examples of Microsoft's papers."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.parsing.mail.outlook_rtf import decompress, encapsulated_html

HELLO = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af3 2068656c090020627705b06c647d0a800fa0"
)
"""[MS-OXRTFCP] 3.1.1."""

REPEATED = bytes.fromhex("1a0000001c0000004c5a4675e2d44b5141000420 5758595a0d6e7d010eb0")
"""[MS-OXRTFCP] 3.1.2: a reference into what it writes itself."""


def test_compressed_rich_text_is_read():
    assert decompress(HELLO) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert decompress(REPEATED) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"


def test_rich_text_that_is_not_compressed_is_read():
    content = b"{\\rtf1 x}"

    assert (
        decompress(struct.pack("<IIII", len(content) + 12, len(content), 0x414C454D, 0) + content) == content
    )


@pytest.mark.parametrize("data", [b"", b"LZFu", HELLO[:8] + b"nope" + HELLO[12:], HELLO[:-3]])
def test_what_is_no_compressed_rich_text_is_refused(data: bytes):
    with pytest.raises(ValueError, match="compressed RTF"):
        decompress(data)


@given(st.binary(max_size=400))
def test_damage_ends_as_such_or_as_some_text(damage: bytes):
    with suppress(ValueError):
        decompress(HELLO[:16] + damage)
    assert isinstance(html_of(damage), str)


def html_of(body: bytes, head: bytes = b"\\ansicpg1252") -> str | None:
    return encapsulated_html(
        b"{\\rtf1\\ansi" + head + b"\\fromhtml1 \\deff0{\\fonttbl{\\f0 Arial;}}" + body + b"}"
    )


@pytest.mark.parametrize(
    ("body", "markup"),
    [
        (b"{\\*\\htmltag64 <p>}Hello{\\*\\htmltag72 </p>}", "<p>Hello</p>"),
        (b"\\htmlrtf {\\b shown by RTF\\htmlrtf0 x", "x"),
        (b"{\\*\\htmltag84 &lt;}\\htmlrtf <\\htmlrtf0 a", "&lt;a"),
        (b"{\\*\\mhtmltag <img src=x>}a\\par b", "a\nb"),
        (b"\\'e4\\'f6 \\u8364?5 \\{c\\}", "äö €5 {c}"),
        (b"a\r\n b\\~c \\lquote d\\rquote", "a b\u00a0c ‘d’"),
    ],
)
def test_html_inside_rich_text_is_taken_out(body: bytes, markup: str):
    assert html_of(body) == markup


def test_bytes_are_read_by_the_code_page_of_the_message_or_of_the_font():
    assert html_of(b"\\'cf\\'f0", b"\\ansicpg1251") == "Пр"
    fonts = b"\\ansicpg1252{\\fonttbl{\\f3\\fswiss\\fcharset204 Arial;}{\\f4\\fcharset128 MS Gothic;}}"
    assert html_of(b"{\\f3 \\'cf\\'f0}{\\f4 \\'93\\'fa}\\'e4", fonts) == "Пр日ä"


def test_rich_text_that_was_made_from_something_else_holds_no_html():
    assert encapsulated_html(b"{\\rtf1\\ansi\\fromtext hello}") is None
