"""Mailboxes in one file (mbox): each message with its head, its text and its attachments."""

from __future__ import annotations

import email.message
import struct
from pathlib import Path

import pytest

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.parsing import detect
from rag_pipelines.parsing.mail import mbox
from rag_pipelines_tests.unit.parsing.office import counted, outline, parse

GOLDEN = Path(__file__).parents[2] / "golden" / "documents"


def _mail(
    number: int, text: str = "It is ready.\n", attached: bytes | None = None
) -> email.message.EmailMessage:
    mail = email.message.EmailMessage()
    mail["From"] = f"Anna <anna{number}@acme.example>"
    mail["To"] = "Bob <bob@acme.example>"
    mail["Subject"] = f"Plan {number}"
    mail["Date"] = f"Mon, {number:02} Jun 2026 10:00:00 +0200"
    mail.set_content(text)
    if attached:
        mail.add_attachment(attached, maintype="text", subtype="csv", filename="rents.csv")
    return mail


def _mailbox(*mails: email.message.EmailMessage, end: bytes = b"\n") -> bytes:
    """As mail programs write it: each message behind a line that begins with From."""
    return b"".join(
        b"From anna@acme.example Mon Jun  1 10:00:00 2026\n"
        + mail.as_bytes().replace(b"\nFrom ", b"\n>From ")
        + end
        for mail in mails
    )


def test_each_message_of_a_mailbox_is_a_section_with_its_head() -> None:
    document = parse(
        _mailbox(_mail(1), _mail(2, attached=b"city,rent\nBonn,1200\nKiel,900\nUlm,800\n"), _mail(3))
    )
    assert document.media_type == detect.MBOX
    assert outline(document) == [
        ("heading 1", "Plan 1"),
        (
            "paragraph",
            "From: Anna <anna1@acme.example>\nTo: Bob <bob@acme.example>\nDate: 2026-06-01 10:00 +0200",
        ),
        ("paragraph", "It is ready."),
        ("heading 1", "Plan 2"),
        (
            "paragraph",
            "From: Anna <anna2@acme.example>\nTo: Bob <bob@acme.example>\nDate: 2026-06-02 10:00 +0200\n"
            "Attachments: rents.csv",
        ),
        ("paragraph", "It is ready."),
        ("heading 2", "Attachment: rents.csv"),
        ("heading 1", "Plan 3"),
        (
            "paragraph",
            "From: Anna <anna3@acme.example>\nTo: Bob <bob@acme.example>\nDate: 2026-06-03 10:00 +0200",
        ),
        ("paragraph", "It is ready."),
    ]
    assert "Bonn | 1200" in document.text
    assert counted(document) == {}


@pytest.mark.parametrize("name", ["", "inbox", "inbox.mbox", "inbox.txt"])
def test_a_mailbox_is_known_by_its_content(name: str) -> None:
    assert detect.detect(_mailbox(_mail(1), _mail(2)), name) == detect.MBOX
    assert detect.detect(_mailbox(_mail(1)), name) == detect.MAIL


def test_lines_of_windows_part_messages_too() -> None:
    data = _mailbox(_mail(1), _mail(2)).replace(b"\n", b"\r\n")
    assert [text for kind, text in outline(parse(data)) if kind == "heading 1"] == ["Plan 1", "Plan 2"]


def test_a_sentence_that_begins_with_from_begins_no_message() -> None:
    data = _mailbox(_mail(1, "Dear Bob,\n\nFrom here on we wait for 2027.\nAnna\n"), _mail(2))
    document = parse(data)
    assert "From here on we wait for 2027." in document.text
    assert [text for kind, text in outline(document) if kind == "heading 1"] == ["Plan 1", "Plan 2"]


def test_messages_over_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbox, "MAX_MESSAGES", 101)
    document = parse(_mailbox(*(_mail(1 + number % 28) for number in range(105))))
    assert document.text.count("It is ready.") == 101
    assert counted(document) == {"attachments_not_read": 4}


def test_a_mailbox_of_messages_that_cannot_be_read_is_corrupt() -> None:
    data = b"From a@b Mon Jun  1 10:00:00 2026\nFrom: a\nTo: b\nMessage-ID: x\n\n" * 2
    data = data.replace(b"\n\n", b"\nContent-Type: multipart/encrypted\n\nx\n\n")
    with pytest.raises(CorruptDocumentError, match="none of the 2 messages"):
        parse(data)


@pytest.mark.parametrize(("page", "codec"), [(950, "cp950"), (936, "gbk"), (874, "cp874"), (1251, "cp1251")])
def test_an_outlook_message_of_8_bit_strings_is_read_in_its_code_page(page: int, codec: str) -> None:
    """The subject of the sample is made a string of bytes, as long as before, and its code page is noted."""
    subjects = {
        950: "\u6703\u8b70\u8a18\u9304" * 5 + "\u6703",
        936: "\u4f1a\u8bae\u7eaa\u5f55" * 5 + "\u9555",
        874: "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35" * 7,
        1251: "\u041f\u0440\u043e\u0442\u043e\u043a\u043e\u043b " * 4 + "\u0432\u0441\u0435\u0445 \u0432",
    }
    subject = subjects[page]
    encoded = subject.encode(codec)
    data = (GOLDEN / "attachment.msg").read_bytes()
    before = "Email with Attachment".encode("utf-16-le")
    assert len(encoded) == len(before)
    for old, new in (
        (b"\x1f\0\x37\0\x06", b"\x1e\0\x37\0\x06"),
        (
            b"\x03\0\x0d\x34\x06\0\0\0" + struct.pack("<I", 0x40000),
            b"\x03\0\xfd\x3f\x06\0\0\0" + struct.pack("<I", page),
        ),
        ("__substg1.0_0037001F".encode("utf-16-le"), "__substg1.0_0037001E".encode("utf-16-le")),
    ):
        assert data.count(old) == 1
        data = data.replace(old, new)
    data = data.replace(before, encoded, 1)
    assert outline(parse(data))[0] == ("title", subject.strip())
