"""Outlook messages (MSG), opened with python-oxmsg, the reader that unstructured uses and brings along.

What belongs here: Outlook's own format. What does not: turning a message into blocks (`message`).
"""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing import encoding, parts
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.mail import message as mail
from rag_pipelines.parsing.mail import outlook_rtf
from rag_pipelines.parsing.mail.bodies import Alternatives, Text, every_text
from rag_pipelines.parsing.witness import html as witness

if TYPE_CHECKING:
    from oxmsg import Message as OutlookMessage
    from oxmsg.attachment import Attachment as OutlookAttachment

MEDIA_TYPE = "application/vnd.ms-outlook"

# Property ids and sizes of [MS-OXPROPS] and [MS-OXMSG].
_DISPLAY_TO, _DISPLAY_CC, _HTML = 0x0E04, 0x0E03, 0x1013
_IN_REPLY_TO, _MESSAGE_ID, _SHORT_NAME = 0x1042, 0x1035, 0x3704
_RTF, _RECIPIENT_TYPE = 0x1009, 0x0C15
_TO, _CC, _BCC = 1, 2, 3
_EMBEDDED_MESSAGE = "__substg1.0_3701000D"
_EMBEDDED_HEADER_SIZE = 24
_MAX_DEPTH = parts.MAX_DEPTH + 1


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an Outlook message.

    Raises:
        EncryptedDocumentError: the content is encrypted with S/MIME or PGP.
    """
    from oxmsg import Message

    _decode_as_declared()
    message = _read(Message.load(request.data), 0)
    texts = sorted(every_text(message.bodies), key=lambda text: not text.is_html)
    seen = "\n".join(witness.text(text.text) if text.is_html else text.text for text in texts)
    return mail.document(message, request, MEDIA_TYPE, seen=seen)


@functools.cache
def _decode_as_declared() -> None:
    """Have the library take code pages by our names, and strings that do not fit theirs as `encoding` does.

    python-oxmsg 0.0.2 names some that Python does not know (950), and some narrower ones than Outlook writes.
    """
    from oxmsg import properties
    from oxmsg.domain import constants, encodings

    def value(found: Any) -> str:
        declared = found._body_encoding if found.pid == constants.PID_BODY else found._str_prop_encoding
        return encoding.decode(found._storage.property_stream_bytes(found.pid, found.ptyp), declared)

    library: Any = encodings
    library.encoding_from_codepage = lambda number: encoding.code_page(number) or "cp1252"
    strings: Any = properties.String8Property
    strings.value = property(value)


def _read(outlook: OutlookMessage, depth: int) -> mail.Message:
    properties = outlook.properties
    headers = outlook.message_headers
    content_type = next(
        (value for name, value in headers.items() if name.lower() == "content-type"), ""
    ).lower()
    kind = outlook.message_class.lower()
    message = mail.Message(subject=outlook.subject, metadata=_metadata(outlook))
    message.encrypted = "encrypted" in content_type or (
        kind.endswith(".smime") and "signed-data" not in content_type
    )
    texts = [Text(outlook.body or ""), Text(_html(properties, outlook), is_html=True)]
    if not texts[1].text.strip():
        _add_rich_text(properties, texts, message)
    message.bodies.append(Alternatives([[text] for text in texts if text.text.strip()]))
    if message.encrypted:
        return message
    for attachment in outlook.attachments:
        if (found := _attachment(attachment, depth)) is not None:
            message.attachments.append(found)
    return message


def _metadata(outlook: OutlookMessage) -> dict[str, Any]:
    properties = outlook.properties
    sent: datetime | None = outlook.sent_date
    values = {
        "author": mail.decode_words(outlook.sender or ""),
        "to": _recipients(outlook, _TO) or _names(properties.str_prop_value(_DISPLAY_TO)),
        "cc": _recipients(outlook, _CC) or _names(properties.str_prop_value(_DISPLAY_CC)),
        "bcc": _recipients(outlook, _BCC),
        "created": sent.isoformat() if sent else None,
        "message_id": properties.str_prop_value(_MESSAGE_ID),
        "in_reply_to": properties.str_prop_value(_IN_REPLY_TO),
    }
    return {name: value for name, value in values.items() if value}


def _recipients(outlook: OutlookMessage, kind: int) -> list[str]:
    """The recipients of a kind, with their addresses where these are of the internet."""
    shown: list[str] = []
    for recipient in outlook.recipients:
        if recipient.properties.int_prop_value(_RECIPIENT_TYPE) == kind:
            name, address = recipient.name.strip("\0 "), recipient.email_address.strip("\0 ")
            has_both = name and "@" in address and address not in name
            shown.append(f"{name} <{address}>" if has_both else name or address)
    return list(filter(None, shown))


def _names(joined: str | None) -> list[str]:
    return [name.strip() for name in (joined or "").split(";") if name.strip("\0 ")]


def _html(properties: Any, outlook: OutlookMessage) -> str:
    """The HTML body. Decoded here, because the code page that Outlook notes is often not the one used."""
    data: bytes | None = properties.binary_prop_value(_HTML)
    return encoding.decode(data, properties.body_encoding) if data else outlook.html_body or ""


def _add_rich_text(properties: Any, texts: list[Text], message: mail.Message) -> None:
    """Add the text that is only there as RTF: Outlook's HTML inside it, or a message without a plain form."""
    data: bytes | None = properties.binary_prop_value(_RTF)
    if not data:
        return
    try:
        text, is_html = outlook_rtf.shown_text(data)
    except ValueError:
        message.parts_not_read += 1
        return
    if is_html or not texts[0].text.strip():
        texts.append(Text(text, is_html=is_html))


def _attachment(attachment: OutlookAttachment, depth: int) -> mail.Attachment | None:
    name = attachment.file_name or attachment.properties.str_prop_value(_SHORT_NAME) or "unnamed"
    storages: Any = attachment._storage
    inner = next((one for one in storages.storages if one.name == _EMBEDDED_MESSAGE), None)
    if inner is not None:
        if depth >= _MAX_DEPTH:
            return None
        message = _read(_open_embedded(inner), depth + 1)
        return mail.Attachment(message.subject or name, message, mail.MEDIA_TYPE)
    data = attachment.file_bytes
    return (
        mail.Attachment(name.replace("\\", "/").rpartition("/")[2], data, attachment.mime_type)
        if data
        else None
    )


def _open_embedded(storage: Any) -> OutlookMessage:
    """The message in an attachment's storage, whose property stream has a shorter header than a file's."""
    from oxmsg import Message
    from oxmsg.properties import Properties

    class EmbeddedMessage(Message):
        @property
        def properties(self) -> Properties:
            return Properties(self._storage, properties_header_offset=_EMBEDDED_HEADER_SIZE)

    return EmbeddedMessage(storage)
