"""What a mail program shows of a message: headers, the richest text, names of attachments.

What belongs here: taking messages apart, with the standard library and with olefile. What does not: showing
their HTML (`browser`).
"""

from __future__ import annotations

import email
import email.message
import email.policy
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import olefile

SHOWN_HEADERS = ("Subject", "From", "To", "Cc")
LABELS = "From To Cc Bcc Date Subject Attachment Attachments"
"""What a mail program may write beside them, in its own words."""


@dataclass
class Message:
    """`headers` and `attachments` (their names) are texts, `bodies` are (is HTML, content) in order. `unseen`
    is the text of whatever else the file holds; `opaque` says that some of it is no text."""

    headers: list[str] = field(default_factory=list)
    bodies: list[tuple[bool, str]] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    opaque: bool = False


def read_eml(data: bytes) -> Message:
    """A message of RFC 5322 with its MIME parts."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16").encode()
    elif b"\0" in data[:200]:
        data = data.decode("utf-16-be" if data[0] == 0 else "utf-16-le").encode()
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    message = Message(unseen=[LABELS])
    _fill(message, parsed)
    return message


def _fill(message: Message, parsed: email.message.Message) -> None:
    for name, value in parsed.items():
        (message.headers if name.title() in SHOWN_HEADERS else message.unseen).append(str(value))
        if name.title() == "Date" and (sent := getattr(value, "datetime", None)):
            message.unseen.append(sent.isoformat())
    shown = {id(part) for part in _shown(parsed)}
    for part in parsed.walk():
        if part.is_multipart() and part.get_content_type() != "message/rfc822":
            continue
        name = part.get_filename()
        text = _text(part)
        if id(part) in shown and text is not None:
            message.bodies.append((part.get_content_type() == "text/html", text))
        elif text is not None:
            message.unseen.append(text)
        else:
            message.opaque = True
        if name:  # a picture in the text is shown without its name
            (message.unseen if part["Content-ID"] else message.attachments).append(name)


def _shown(part: email.message.Message) -> Iterator[email.message.Message]:
    """The parts that are shown one below the other: of alternatives the last that can be shown."""
    kind = part.get_content_type()
    if part.get_content_disposition() == "attachment":
        return
    if kind == "multipart/alternative":
        for choice in reversed(part.get_payload()):
            if found := list(_shown(choice)):
                yield from found
                return
    elif part.is_multipart() and kind != "message/rfc822":
        for inner in part.get_payload():
            yield from _shown(inner)
    elif kind in ("text/plain", "text/html"):
        yield part


def _text(part: email.message.Message) -> str | None:
    if part.get_content_maintype() != "text":
        return None
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return str(part.get_payload())
    for charset in (part.get_content_charset(), "utf-8", "cp1252"):
        try:
            return data.decode(charset or "utf-8")
        except (LookupError, UnicodeDecodeError):
            continue
    return data.decode("latin-1")


_SUBJECT, _SENDER, _SENDER_ADDRESS = "0037", "0C1A", "5D01"
_TO, _CC = "0E04", "0E03"
_BODY, _HTML = "1000", "1013"
_TIME = 0x40
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_LAST = 4_000_000_000_000_000_000
_LONG_NAME, _SHORT_NAME = "3707", "3704"


def read_msg(path: Path) -> Message:
    """A message of [MS-OXMSG]: each property is a stream named by its id and type."""
    with olefile.OleFileIO(path) as ole:
        message = Message(unseen=[LABELS])
        for wanted in (_SUBJECT, _SENDER, _SENDER_ADDRESS, _TO, _CC):
            message.headers.append(_property(ole, [], wanted))
        html, plain = _property(ole, [], _HTML), _property(ole, [], _BODY)
        message.bodies.append((bool(html), html or plain))
        message.unseen += [plain, *_texts(ole), *_times(ole)]
        for storage in ole.listdir(streams=False, storages=True):
            if len(storage) == 1 and storage[0].startswith("__attach"):
                name = _property(ole, storage, _LONG_NAME) or _property(ole, storage, _SHORT_NAME)
                message.attachments.append(name)
                message.opaque = True
        return message


def _texts(ole: olefile.OleFileIO) -> Iterator[str]:
    """Every text property, those of recipients and attachments too."""
    for name in ole.listdir():
        if name[-1].startswith("__substg1.0_") and name[-1].endswith("001F"):
            yield ole.openstream(name).read().decode("utf-16-le", "replace")


def _times(ole: olefile.OleFileIO) -> Iterator[str]:
    """When it was sent and received: 16 bytes a property after a header of 32 ([MS-OXMSG] 2.4)."""
    data = ole.openstream("__properties_version1.0").read()
    for at in range(32, len(data) - 15, 16):
        tag, _, ticks = struct.unpack_from("<IIQ", data, at)
        if tag & 0xFFFF == _TIME and ticks < _LAST:
            yield (_EPOCH + timedelta(microseconds=ticks // 10)).isoformat(timespec="seconds")


def _property(ole: olefile.OleFileIO, storage: list[str], wanted: str) -> str:
    for kind, encoding in (("001F", "utf-16-le"), ("001E", "cp1252"), ("0102", "utf-8")):
        name = [*storage, f"__substg1.0_{wanted}{kind}"]
        if ole.exists(name):
            return ole.openstream(name).read().decode(encoding, "replace")
    return ""
