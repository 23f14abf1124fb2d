"""Mail messages in the standard format (EML, RFC 822 and MIME), read with Python's own mail library.

What belongs here: MIME parts, headers and their encodings. What does not: turning a message into blocks
(`mail`).
"""

from __future__ import annotations

import email
from contextlib import suppress
from datetime import datetime
from email.message import Message as Mime
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing import encoding
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.mail.message import Attachment, Message, MessageBody, decode_words, document
from rag_pipelines.parsing.witness import mail

MEDIA_TYPE = "message/rfc822"

MAX_MULTIPART_DEPTH = 50

_SIGNATURES = {"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"}
_ENVELOPES = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_PGP_MESSAGE = "-----BEGIN PGP MESSAGE-----"


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an RFC 822 message.

    Raises:
        EncryptedDocumentError: the content is encrypted with S/MIME or PGP.
        CorruptDocumentError: parts are nested too deeply to be a message.
    """
    data = request.data
    if encoding.wide_encoding(data) or data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        data = encoding.decode(data).encode()
    try:
        mime = email.message_from_bytes(data.lstrip())
    except RecursionError as error:
        raise CorruptDocumentError(
            "message parts are nested too deeply; no mail program writes this"
        ) from error
    return document(_read(mime), request, MEDIA_TYPE, seen=mail.text(mime))


def _read(mime: Mime) -> Message:
    """The message of a MIME tree."""
    message = Message(subject=_header(mime, "Subject"), metadata=_metadata(mime))
    _collect(mime, message, None, 0)
    return message


def _collect(part: Any, message: Message, body: MessageBody | None, depth: int) -> None:
    """Put `part` and all below it into `message`; `body` takes the texts of one set of alternatives."""
    kind = part.get_content_type()
    payload = part.get_payload()
    if kind == "multipart/encrypted" or (
        kind in _ENVELOPES and part.get_param("smime-type") != "signed-data"
    ):
        message.encrypted = True
    elif kind == "message/rfc822" and isinstance(payload, list) and payload:
        _attach_message(payload[0], message, depth)
    elif isinstance(payload, list) and depth < MAX_MULTIPART_DEPTH:
        if kind == "multipart/alternative" and body is None:
            body = MessageBody()
            message.bodies.append(body)
        for child in payload:
            _collect(child, message, body, depth + 1)
    elif not isinstance(payload, list) and kind not in _SIGNATURES:
        _collect_leaf(part, kind, message, body)


def _attach_message(mime: Any, message: Message, depth: int) -> None:
    inner = Message(subject=_header(mime, "Subject"), metadata=_metadata(mime))
    _collect(mime, inner, None, depth + 1)
    message.attachments.append(Attachment(inner.subject or "message", inner, MEDIA_TYPE))


def _collect_leaf(part: Mime, kind: str, message: Message, body: MessageBody | None) -> None:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes) or not data.strip():
        return
    name = _filename(part)
    if kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment" and not name:
        text = encoding.decode(data, part.get_content_charset())
        if text.lstrip().startswith(_PGP_MESSAGE):
            message.encrypted = True
            return
        if body is None:
            body = MessageBody()
            message.bodies.append(body)
        if kind == "text/html":
            body.html += text
        else:
            body.plain += text
    elif not (part.get("Content-ID") and part.get_content_maintype() == "image"):
        message.attachments.append(Attachment(name or f"unnamed {kind}", data, kind))


def _filename(part: Mime) -> str:
    try:
        name = part.get_filename()
    except (LookupError, UnicodeError, ValueError):
        return "unnamed"
    return decode_words(name).replace("\\", "/").rpartition("/")[2] if name else ""


def _metadata(mime: Mime) -> dict[str, Any]:
    values = {
        "author": _header(mime, "From"),
        "to": _addresses(mime, "To"),
        "cc": _addresses(mime, "Cc"),
        "created": _date(mime),
        "message_id": _header(mime, "Message-ID"),
        "in_reply_to": _header(mime, "In-Reply-To"),
    }
    return {name: value for name, value in values.items() if value}


def _header(mime: Mime, name: str) -> str:
    return decode_words(str(mime.get(name) or ""))


def _addresses(mime: Mime, name: str) -> list[str]:
    headers = [decode_words(str(header)) for header in mime.get_all(name) or []]
    return [
        f"{person} <{address}>" if person else address for person, address in getaddresses(headers) if address
    ]


def _date(mime: Mime) -> str | None:
    for parse_date in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(TypeError, ValueError, IndexError):
            return parse_date(str(mime.get("Date")).strip()).isoformat()
    return None
