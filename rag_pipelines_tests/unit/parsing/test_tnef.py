"""What Outlook wraps as ``winmail.dat``: its text and files are those of the mail that it came with."""

from __future__ import annotations

import struct
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.mail import tnef
from rag_pipelines_tests.unit.parsing.office import outline, parse
from rag_pipelines_tests.unit.parsing.test_outlook_rtf import HELLO

MESSAGE, FILE = 1, 2
CODE_PAGE = (MESSAGE, 0x00069007, struct.pack("<II", 1250, 0))
SUBJECT = (MESSAGE, 0x00018004, b"Offer\0")
NEXT_FILE = (FILE, 0x00069002, bytes(14))
TEXT = "The price of the ladder is 80 EUR until Friday."


def stream(*attributes: tuple[int, int, bytes]) -> bytes:
    written = tnef.SIGNATURE + b"\1\0"
    for level, attribute, value in attributes:
        written += struct.pack("<BII", level, attribute, len(value)) + value
        written += struct.pack("<H", sum(value) & 0xFFFF)
    return written


def properties(*values: tuple[int, bytes], of: int = MESSAGE) -> tuple[int, int, bytes]:
    """Properties by tag, of one value each."""
    data = struct.pack("<I", len(values))
    for tag, value in values:
        count = struct.pack("<II", 1, len(value)) if tag & 0xFFFF in (0x1E, 0x1F, 0x102, 0xD) else b""
        data += struct.pack("<I", tag) + count + value + bytes(-len(value) % 4)
    return of, 0x00069003 if of == MESSAGE else 0x00069005, data


def mail(wrapped: bytes, text: str | None = None, kind: str = "ms-tnef") -> ParsedDocument:
    """A mail with a TNEF stream, which is all that it says if there is no `text`."""
    made = EmailMessage()
    made["Subject"], made["From"] = "Offer", "ann@example.com"
    if text is None:
        made.set_content(wrapped, maintype="application", subtype=kind)
    else:
        made.set_content(text)
        made.add_attachment(wrapped, maintype="application", subtype=kind, filename="winmail.dat")
    return parse(made.as_bytes(), "offer.eml")


PLAIN = (MESSAGE, 0x0002800C, TEXT.encode() + b"\0")
IN_UNICODE = properties((0x1000001F, f"{TEXT}\0".encode("utf-16-le")))
AS_HTML = properties((0x3FDE0003, struct.pack("<I", 65001)), (0x10130102, f"<p><b>{TEXT}</b></p>".encode()))


@pytest.mark.parametrize("kind", ["ms-tnef", "vnd.ms-tnef", "octet-stream"])
@pytest.mark.parametrize("body", [PLAIN, IN_UNICODE, AS_HTML], ids=["plain", "in Unicode", "HTML"])
def test_a_mail_that_is_only_wrapped_shows_its_text(body: tuple[int, int, bytes], kind: str) -> None:
    document = mail(stream(CODE_PAGE, SUBJECT, body), kind=kind)
    assert outline(document)[-1] == ("paragraph", TEXT)
    assert "attachments" not in document.metadata
    assert "attachments_not_read" not in document.counters


def test_rich_text_that_is_compressed_is_read() -> None:
    document = mail(stream(properties((0x10090102, HELLO))))
    assert outline(document)[-1] == ("paragraph", "hello world")


@pytest.mark.parametrize("body", [PLAIN, IN_UNICODE, AS_HTML], ids=["plain", "in Unicode", "HTML"])
def test_a_text_that_the_mail_has_itself_is_shown_once(body: tuple[int, int, bytes]) -> None:
    document = mail(stream(body), TEXT)
    assert document.text.count(TEXT) == 1
    assert document.counters["alternative_words"] == len(TEXT.split())


def test_a_text_that_says_something_else_is_shown_beside_that_of_the_mail() -> None:
    document = mail(stream(PLAIN), "Sent on behalf of the works council.")
    assert "Sent on behalf of the works council." in document.text
    assert TEXT in document.text


@pytest.mark.parametrize("kept", ["as an attribute", "as a property"])
def test_files_are_attachments_of_the_mail(kept: str) -> None:
    data, name = b"Ladder,80\nRope,12\n", "Ceník.csv"
    file: tuple[tuple[int, int, bytes], ...]
    if kept == "as an attribute":
        file = ((FILE, 0x00018010, name.encode("cp1250") + b"\0"), (FILE, 0x0006800F, data))
    else:
        long_name = (0x3707001F, f"{name}\0".encode("utf-16-le"))
        file = (properties(long_name, (0x37010102, data), of=FILE),)
    note = ((FILE, 0x00018010, b"note.txt\0"), (FILE, 0x0006800F, b"Call Ann."))
    document = mail(stream(CODE_PAGE, PLAIN, NEXT_FILE, *file, NEXT_FILE, *note), TEXT)
    assert document.metadata["attachments"] == [name, "note.txt"]
    assert ("heading 1", f"Attachment: {name}") in outline(document)
    assert "Rope | 12" in document.text
    assert outline(document)[-2:] == [("heading 1", "Attachment: note.txt"), ("paragraph", "Call Ann.")]


def test_a_message_within_is_read_as_one() -> None:
    inner = stream((MESSAGE, 0x00018004, b"Re: Offer\0"), (MESSAGE, 0x0002800C, b"We take it.\0"))
    file = properties((0x3701000D, bytes(16) + inner), of=FILE)
    found = outline(mail(stream(PLAIN, NEXT_FILE, file)))
    assert found[-2:] == [("heading 1", "Attached message: Re: Offer"), ("paragraph", "We take it.")]


@pytest.mark.parametrize("depth", [2, 40])
def test_messages_within_messages_end_somewhere(depth: int) -> None:
    wrapped = stream(PLAIN)
    for _ in range(depth):
        wrapped = stream(PLAIN, NEXT_FILE, properties((0x3701000D, bytes(16) + wrapped), of=FILE))
    document = mail(wrapped)
    assert document.text.count(TEXT) == min(depth + 1, 5)
    assert ("attachments_not_read" in document.counters) == (depth > 5)


def test_what_is_passed_over_does_not_hide_what_follows() -> None:
    """Values of all sizes, several values, names in words and numbers."""
    named = bytes(16) + struct.pack("<II", 1, 6) + "Ab\0".encode("utf-16-le") + b"\0\0"
    numbered = bytes(16) + struct.pack("<II", 0, 7)
    values = (
        struct.pack("<I", 0x0E170003) + struct.pack("<I", 1),
        struct.pack("<I", 0x0E1B000B) + struct.pack("<HH", 1, 0),
        struct.pack("<I", 0x30070040) + bytes(8),
        struct.pack("<I", 0x10031003) + struct.pack("<III", 2, 5, 6),
        struct.pack("<I", 0x8001001F) + named + struct.pack("<II", 1, 2) + b"x\0\0\0",
        struct.pack("<I", 0x80020003) + numbered + struct.pack("<I", 9),
        struct.pack("<I", 0x1004101E) + struct.pack("<III", 2, 1, 0x61) + struct.pack("<II", 1, 0x62),
        struct.pack("<I", 0x10000 * 0x1000 + 0x1E) + struct.pack("<II", 1, len(TEXT)) + TEXT.encode(),
    )
    data = struct.pack("<I", len(values)) + b"".join(values)
    document = mail(stream((MESSAGE, 0x00069003, data)))
    assert outline(document)[-1] == ("paragraph", TEXT)


@pytest.mark.parametrize("cut", [12, 60, 200])
def test_what_a_cut_stream_lacks_is_counted(cut: int) -> None:
    whole = stream(PLAIN, NEXT_FILE, (FILE, 0x00018010, b"a.txt\0"), (FILE, 0x0006800F, b"Call Ann. " * 30))
    document = mail(whole[:-cut], TEXT)
    assert document.counters["parts_not_read"] >= 1
    assert TEXT in document.text


@given(st.binary(max_size=300))
def test_damage_ends_as_a_message(damage: bytes) -> None:
    assert tnef.read(tnef.SIGNATURE + damage).attachments is not None
    assert tnef.read(stream((MESSAGE, 0x00069003, damage), PLAIN)) is not None


def test_what_is_no_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="a TNEF stream begins with 78 9f 3e 22, not with 50 4b"):
        tnef.read(b"PK\3\4")
