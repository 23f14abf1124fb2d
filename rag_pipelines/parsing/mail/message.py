"""Mail messages, whatever file they came in: what is said, what is quoted, what is attached.

What belongs here: the message as all mail formats give it, and its turning into blocks. What does not:
the formats (`eml`, `msg`), HTML bodies (`html`), reading attachments (`parts`).

Why not `unstructured`'s mail partitioner: it drops quotes, attachment names and messages inside messages.

The subject is the title; sender, recipients and date are metadata. Each attachment is a section of its
own under a heading with its name. An attachment that cannot be read costs a warning, not the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from typing import Any

from rag_pipelines.errors import EncryptedDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.html import parse as html
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.markup.text import Paragraphs
from rag_pipelines.parsing.parts import add_attachment, nested, take_part

_FORWARDED = re.compile(
    r"^[ \t]*-{2,}[ \t]*(?:original message|forwarded message|ursprüngliche nachricht)", re.I | re.M
)
_QUOTED_LINE = re.compile(r"^[ \t]*>[ \t>]?")
_BLANK_LINES = re.compile(r"\n\s*\n")

_LONGEST_ENCODED = 50_000
"""Characters of a header; resolving encoded words takes time in the square of their number."""


@dataclass
class MessageBody:
    """One text of a message in the forms it was sent in."""

    plain: str = ""
    html: str = ""


@dataclass
class Attachment:
    """A file with a message, or a message within one."""

    name: str
    content: bytes | Message
    media_type: str | None = None


@dataclass
class Message:
    """A message as every mail format gives it; `metadata` has author, to, cc, created (ISO 8601)."""

    subject: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    bodies: list[MessageBody] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    encrypted: bool = False


def document(message: Message, request: ParseRequest, media_type: str, *, seen: str = "") -> ParsedDocument:
    """`message` as a document: subject, bodies, attachments. `seen` is what a witness read of its bodies.

    Raises:
        EncryptedDocumentError: it holds encrypted content and nothing that can be read.
    """
    builder = DocumentBuilder.of(media_type, request)
    builder.account_for(seen)
    builder.metadata = message.metadata
    builder.add(BlockKind.TITLE, message.subject)
    _add_message(builder, message, request)
    if message.encrypted and not any(body.plain or body.html for body in message.bodies):
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
    for body in message.bodies:
        if body.html.strip():
            html.add_html(builder, body.html)
            builder.leave_out(LeftOut.ALTERNATIVE, body.plain)
        else:
            _add_plain_body(builder, body.plain)
    names = [attachment.name for attachment in message.attachments]
    if names:
        builder.metadata.setdefault("attachments", []).extend(names)
    for attachment in message.attachments:
        content = attachment.content
        if not isinstance(content, Message):
            add_attachment(builder, request, content, attachment.name, attachment.media_type)
        elif take_part(builder):
            _add_inner_message(builder, content, request)


def _add_inner_message(builder: DocumentBuilder, inner: Message, request: ParseRequest) -> None:
    builder.add(BlockKind.HEADING, f"Attached message: {inner.subject or 'no subject'}", level=1)
    sender, date = inner.metadata.get("author"), inner.metadata.get("created")
    if sender:
        builder.add(BlockKind.PARAGRAPH, f"From {sender}{f', {date}' if date else ''}")
    with nested():
        _add_message(builder, inner, request)


def _add_plain_body(builder: DocumentBuilder, text: str) -> None:
    """Add a plain-text body: quoted lines and what follows a forwarding line as quotes, the rest as text."""
    text = text.replace("\r\n", "\n")
    forwarded = _FORWARDED.search(text)
    end = forwarded.start() if forwarded else len(text)
    own: list[str] = []
    quoted: list[str] = []
    for line in [*text[:end].split("\n"), None]:
        is_quoted = line is not None and _QUOTED_LINE.match(line) is not None
        if own and (line is None or is_quoted):
            _add_text(builder, own)
            own = []
        if quoted and not is_quoted:
            _add_quote(builder, "\n".join(quoted))
            quoted = []
        if line is not None:
            (quoted if is_quoted else own).append(_QUOTED_LINE.sub("", line) if is_quoted else line)
    _add_quote(builder, text[end:])


def _add_text(builder: DocumentBuilder, lines: Iterable[str]) -> None:
    paragraphs = Paragraphs(builder, unwrap=True)
    for line in lines:
        paragraphs.add(line)
    paragraphs.flush()


def _add_quote(builder: DocumentBuilder, text: str) -> None:
    for paragraph in _BLANK_LINES.split(text):
        builder.add(BlockKind.QUOTE, paragraph)
