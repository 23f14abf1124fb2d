"""Mail messages in the standard format (EML, RFC 822 and MIME), read with Python's own mail library.

What belongs here: MIME parts, headers and their encodings. What does not: turning a message into blocks
(`mail`).
"""

from __future__ import annotations

import email
import email.policy
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from email.message import Message as Mime
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing import encoding
from rag_pipelines.parsing.account import words
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.mail import tnef
from rag_pipelines.parsing.mail.bodies import Alternatives, Shown, Text, texts_of, unflow
from rag_pipelines.parsing.mail.message import MEDIA_TYPE, Attachment, Message, decode_words, document
from rag_pipelines.parsing.witness import mail

MAX_MULTIPART_DEPTH = 50

_SIGNATURES = {"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"}
_ENVELOPES = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_SHOWN = {"text/plain", "text/html", "text/rfc822-headers"}
_ONLY_FOR_MACHINES = {"text/x-amp-html", "text/watch-html"}
_PGP_MESSAGE = "-----BEGIN PGP MESSAGE-----"


class _AnyEncoding(email.policy.Compat32):
    """Headers that hold characters beyond ASCII as they are: in UTF-8 (RFC 6532), or against the rules."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        """The header as text, where Python's own rule puts a mark in the place of such characters."""
        if value.isascii():
            return super().header_fetch_parse(name, value)
        return encoding.decode(value.encode("utf-8", "surrogateescape"))


_HEADERS_IN_ANY_ENCODING = _AnyEncoding()


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
        mime = email.message_from_bytes(data.lstrip(), policy=_HEADERS_IN_ANY_ENCODING)
    except RecursionError as error:
        raise CorruptDocumentError(
            "message parts are nested too deeply; no mail program writes this"
        ) from error
    decoded: dict[int, str] = {}
    message = _read(mime, decoded)
    return document(message, request, MEDIA_TYPE, seen=mail.text(mime, decoded))


def _read(mime: Mime, decoded: dict[int, str], depth: int = 0) -> Message:
    """The message of a MIME tree; texts of its parts go into `decoded`, by the identity of the part."""
    reader = _Reader(Message(subject=_header(mime, "Subject"), metadata=_metadata(mime)), decoded)
    reader.collect(mime, reader.message.bodies, depth)
    reader.attach_unused_images()
    reader.unwrap()
    return reader.message


class _Reader:
    """Takes the parts of one message to where they belong: its bodies or its attachments."""

    def __init__(self, message: Message, decoded: dict[int, str]) -> None:
        self.message = message
        self._decoded = decoded
        self._images: dict[str, Attachment] = {}
        self._markup: list[str] = []
        self._wrapped: list[Message] = []

    def collect(self, part: Any, shown: list[Shown], depth: int, *, is_choice: bool = False) -> None:
        """Put `part` and all below it into the message; its texts are shown behind those of `shown`.

        `is_choice` is set where the part is one of several alternatives.
        """
        kind = part.get_content_type()
        payload = part.get_payload()
        if kind == "multipart/encrypted" or (
            kind in _ENVELOPES and part.get_param("smime-type") != "signed-data"
        ):
            self.message.encrypted = True
        elif kind == "message/rfc822" and isinstance(payload, list) and payload:
            inner = _read(payload[0], self._decoded, depth + 1)
            self.message.attachments.append(Attachment(inner.subject or "message", inner, MEDIA_TYPE))
        elif isinstance(payload, list) and depth >= MAX_MULTIPART_DEPTH:
            self.message.parts_not_read += 1
        elif isinstance(payload, list) and kind.startswith("message/"):
            shown.append(Text("\n\n".join(map(_notice, payload))))
        elif kind == "multipart/alternative" and isinstance(payload, list):
            alternatives = Alternatives()
            shown.append(alternatives)
            for child in payload:
                choice: list[Shown] = []
                self.collect(child, choice, depth + 1, is_choice=True)
                if choice:
                    alternatives.choices.append(choice)
        elif isinstance(payload, list):
            for child in payload:
                self.collect(child, shown, depth + 1, is_choice=is_choice and child is payload[0])
        elif kind not in _SIGNATURES:
            self._collect_leaf(part, kind, shown, is_choice=is_choice)

    def attach_unused_images(self) -> None:
        """Pictures that are sent along for a text, and that no text shows, are attachments like others."""
        markup = "".join(self._markup)
        self.message.attachments += [
            image for name, image in self._images.items() if f"cid:{name}" not in markup
        ]

    def unwrap(self) -> None:
        """Take what Outlook wrapped: the text of the mail in another form, if it says the same, and files."""
        for inner in self._wrapped:
            own = list(self.message.bodies)
            if _says_the_same(own, inner.bodies):
                self.message.bodies[:] = [Alternatives([inner.bodies, own])]
            else:
                self.message.bodies += inner.bodies
            self.message.attachments += inner.attachments
            self.message.parts_not_read += inner.parts_not_read
            self.message.subject = self.message.subject or inner.subject

    def _collect_leaf(self, part: Mime, kind: str, shown: list[Shown], *, is_choice: bool) -> None:
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes) or not data.strip():
            return
        if data.startswith(tnef.SIGNATURE):
            self._wrapped.append(tnef.read(data))
            return
        name = _filename(part)
        place = part.get_content_disposition()
        is_body = is_choice or not name or (place is None and not shown)
        if kind in _SHOWN and place != "attachment" and is_body:
            text = self._decoded[id(part)] = encoding.decode(data, part.get_content_charset())
            if text.lstrip().startswith(_PGP_MESSAGE):
                self.message.encrypted = True
            elif kind == "text/html":
                self._markup.append(text)
                shown.append(Text(text, is_html=True))
            else:
                shown.append(Text(_flowed(part, text)))
        elif kind in _ONLY_FOR_MACHINES and is_choice:
            return
        elif (identity := part.get("Content-ID")) and part.get_content_maintype() == "image":
            self._images[str(identity).strip(" <>")] = Attachment(name or f"unnamed {kind}", data, kind)
        else:
            self.message.attachments.append(Attachment(name or f"unnamed {kind}", data, kind))


def _says_the_same(one: Iterable[Shown], other: Iterable[Shown]) -> bool:
    """Whether most words of one text are in the other."""
    said, again = (
        Counter(words("\n".join(text.shown() for text in texts_of(parts)))) for parts in (one, other)
    )
    return 2 * (said & again).total() > said.total()


def _notice(status: Any) -> str:
    """The fields of a report on delivery (RFC 3464) as lines."""
    return "\n".join(f"{name}: {decode_words(str(value))}" for name, value in status.items())


def _flowed(part: Mime, text: str) -> str:
    if str(part.get_param("format", "")).lower() != "flowed":
        return text
    return unflow(text, delete_space=str(part.get_param("delsp", "")).lower() == "yes")


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
        "bcc": _addresses(mime, "Bcc"),
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
