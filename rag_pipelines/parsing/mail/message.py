"""Mail messages, whatever file they came in: what stands at their head, what is said, what is attached.

What belongs here: the message as all mail formats give it, and its turning into blocks. What does not:
the formats (`eml`, `msg`), the text itself (`bodies`), reading attachments (`parts`).

Why not `unstructured`'s mail partitioner: it drops quotes, attachment names and messages inside messages.

The subject is the title; sender, recipients, date and the names of attachments are one paragraph behind it,
as every mail program shows them, and metadata. Each attachment is a section of its own under a heading with
its name. An attachment that cannot be read costs a warning, not the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.header import decode_header, make_header
from typing import Any

from rag_pipelines.errors import EncryptedDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import Loss
from rag_pipelines.parsing.mail.bodies import Shown, add_bodies, texts_of
from rag_pipelines.parsing.parts import add_attachment, nested, take_part

MEDIA_TYPE = "message/rfc822"
"""A message, also one that lies in a file of another format."""

_LONGEST_ENCODED = 50_000
"""Characters of a header; resolving encoded words takes time in the square of their number."""


@dataclass
class Attachment:
    """A file with a message, or a message within one."""

    name: str
    content: bytes | Message
    media_type: str | None = None


@dataclass
class Message:
    """A message as every mail format gives it; `metadata` has author, to, cc, bcc, created (ISO 8601).

    `parts_not_read` is the number of parts that no reader is known for, or that lie too deep.
    """

    subject: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    bodies: list[Shown] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    encrypted: bool = False
    parts_not_read: int = 0


def document(message: Message, request: ParseRequest, media_type: str, *, seen: str = "") -> ParsedDocument:
    """`message` as a document: subject, head, bodies, attachments.

    `seen` is what a witness read of its bodies.

    Raises:
        EncryptedDocumentError: it holds encrypted content and nothing that can be read.
    """
    builder = DocumentBuilder.of(media_type, request)
    builder.account_for(seen)
    builder.metadata = message.metadata
    builder.add(BlockKind.TITLE, message.subject)
    _add_message(builder, message, request)
    if message.encrypted and not any(text.text.strip() for text in texts_of(message.bodies)):
        raise EncryptedDocumentError(
            "the message is encrypted (S/MIME or PGP); only its recipients can read it"
        )
    return builder.finish()


def decode_words(value: str) -> str:
    """A header with its encoded words (RFC 2047) resolved; as it stands where they are broken or too many."""
    if len(value) <= _LONGEST_ENCODED:
        with suppress(LookupError, UnicodeError, ValueError):
            value = str(make_header(decode_header(value)))
    return " ".join(value.split())


def _add_message(builder: DocumentBuilder, message: Message, request: ParseRequest) -> None:
    names = [attachment.name for attachment in message.attachments]
    if names:
        builder.metadata.setdefault("attachments", []).extend(names)
    if names or message.bodies or message.subject:
        builder.add(BlockKind.PARAGRAPH, "\n".join(_head(message.metadata, names)))
    add_bodies(builder, message.bodies)
    builder.lose(Loss.PARTS, message.parts_not_read)
    for attachment in message.attachments:
        content = attachment.content
        if not isinstance(content, Message):
            add_attachment(builder, request, content, attachment.name, attachment.media_type)
        elif take_part(builder):
            _add_inner_message(builder, content, request)


def _head(metadata: dict[str, Any], attachments: list[str]) -> Iterator[str]:
    """The lines that a mail program shows above a message."""
    shown = {
        "From": metadata.get("author"),
        "To": ", ".join(metadata.get("to", ())),
        "Cc": ", ".join(metadata.get("cc", ())),
        "Bcc": ", ".join(metadata.get("bcc", ())),
        "Date": _minute(metadata.get("created", "")),
        "Attachments": ", ".join(attachments),
    }
    return (f"{name}: {value}" for name, value in shown.items() if value)


def _minute(created: str) -> str:
    """A time in ISO 8601 as a person writes it, in the time zone that it came in."""
    with suppress(ValueError):
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M %z").rstrip()
    return created


def _add_inner_message(builder: DocumentBuilder, inner: Message, request: ParseRequest) -> None:
    builder.add(BlockKind.HEADING, f"Attached message: {inner.subject or 'no subject'}", level=1)
    with nested():
        _add_message(builder, inner, request)
