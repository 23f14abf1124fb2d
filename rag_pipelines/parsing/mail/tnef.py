"""What Outlook wraps for Outlook: ``winmail.dat``, with the text of a mail in rich form and its files.

What belongs here: the stream of attributes ([MS-OXTNEF] 2.1), and the message in it. What does not: where it
stands among the texts of the mail around it (`eml`), rich text (`outlook_rtf`).

Read by our own code: the one kept library, tnefparse, is under the LGPL and was last changed in 2021.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from rag_pipelines.parsing import encoding, parts
from rag_pipelines.parsing.mail import outlook_rtf
from rag_pipelines.parsing.mail.bodies import Alternatives, Text
from rag_pipelines.parsing.mail.message import MEDIA_TYPE, Attachment, Message

SIGNATURE = b"\x78\x9f\x3e\x22"

# Attributes ([MS-OXTNEF] 2.1.3.3) without the type that stands in their upper half.
_CODE_PAGE, _SUBJECT, _BODY, _PROPERTIES = 0x9007, 0x8004, 0x800C, 0x9003
_NEXT_FILE, _FILE_NAME, _FILE_DATA, _FILE_PROPERTIES = 0x9002, 0x8010, 0x800F, 0x9005

# Properties ([MS-OXPROPS]), and their types with the bytes of a value ([MS-OXCDATA] 2.11.1).
_P_SUBJECT, _P_BODY, _P_RTF, _P_HTML, _P_CODE_PAGE = 0x0037, 0x1000, 0x1009, 0x1013, 0x3FDE
_P_DATA, _P_SHORT_NAME, _P_LONG_NAME, _P_MEDIA_TYPE = 0x3701, 0x3704, 0x3707, 0x370E
_SIZES = {2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 2, 20: 8, 64: 8, 72: 16}
_TEXT, _UNICODE, _BINARY, _OBJECT, _SEVERAL = 0x001E, 0x001F, 0x0102, 0x000D, 0x1000
_FIRST_NAMED = 0x8000
_GUID_SIZE = 16

_Values = dict[int, bytes | str]
"""The values of properties, texts as such where the stream says how they are encoded."""


def read(data: bytes, depth: int = 0) -> Message:
    """The message in a TNEF stream; from a fault on, its rest is counted as one part that was not read.

    Raises:
        ValueError: `data` is no TNEF stream.
    """
    if not data.startswith(SIGNATURE):
        raise ValueError(f"a TNEF stream begins with {SIGNATURE.hex(' ')}, not with {data[:4].hex(' ')}")
    own: dict[int, bytes] = {}
    values: _Values = {}
    files: list[tuple[dict[int, bytes], _Values]] = []
    message = Message()
    try:
        for attribute, value in _attributes(data):
            if attribute == _NEXT_FILE:
                files.append(({}, {}))
            elif attribute in (_PROPERTIES, _FILE_PROPERTIES):
                (files[-1][1] if files else values).update(_properties(value))
            else:
                (files[-1][0] if files else own)[attribute] = value
    except EOFError:
        message.parts_not_read += 1
    page = f"cp{int.from_bytes(own.get(_CODE_PAGE, b'')[:4], 'little')}"
    message.subject = _text(own.get(_SUBJECT) or values.get(_P_SUBJECT), page)
    texts = [Text(_text(own.get(_BODY) or values.get(_P_BODY), page)), *_rich_text(values, message)]
    message.bodies.append(Alternatives([[text] for text in texts if text.text.strip()]))
    for attributes, of_file in files:
        name = _text(of_file.get(_P_LONG_NAME), page) or _text(attributes.get(_FILE_NAME), page)
        name = name or _text(of_file.get(_P_SHORT_NAME), page) or "unnamed"
        content = attributes.get(_FILE_DATA) or of_file.get(_P_DATA) or attributes.get(_FILE_DATA)
        if not isinstance(content, bytes):
            message.parts_not_read += 1
        elif not content:
            continue
        elif content.startswith(SIGNATURE) and depth < parts.MAX_DEPTH:
            inner = read(content, depth + 1)
            message.attachments.append(Attachment(inner.subject or name, inner, MEDIA_TYPE))
        else:
            media_type = _text(of_file.get(_P_MEDIA_TYPE), page) or None
            name = name.replace("\\", "/").rpartition("/")[2]
            message.attachments.append(Attachment(name, content, media_type))
    return message


def _rich_text(values: _Values, message: Message) -> Iterator[Text]:
    html, rtf = values.get(_P_HTML), values.get(_P_RTF)
    if isinstance(html, bytes):
        declared = values.get(_P_CODE_PAGE, b"")
        page = f"cp{int.from_bytes(declared, 'little')}" if isinstance(declared, bytes) else None
        yield Text(encoding.decode(html, page), is_html=True)
    elif isinstance(rtf, bytes):
        try:
            text, is_html = outlook_rtf.shown_text(rtf)
        except ValueError:
            message.parts_not_read += 1
        else:
            yield Text(text, is_html=is_html)


def _text(value: bytes | str | None, code_page: str) -> str:
    text = encoding.decode(value.rstrip(b"\0"), code_page) if isinstance(value, bytes) else value or ""
    return text.rstrip("\0")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    stream = io.BytesIO(data[len(SIGNATURE) + 2 :])
    while len(head := stream.read(9)) == 9:
        attribute, size = struct.unpack("<xII", head)
        yield attribute & 0xFFFF, _take(stream, size)
        stream.seek(2, io.SEEK_CUR)


def _properties(data: bytes) -> _Values:
    """The properties in an attribute that have one value ([MS-OXTNEF] 2.1.3.4).

    Raises:
        EOFError: they end too early, or one is of an unknown type, so that its end is not known.
    """
    stream = io.BytesIO(data)
    found: _Values = {}
    for _ in range(_number(stream)):
        tag = _number(stream)
        kind, identity = tag & 0xFFFF, tag >> 16
        if identity >= _FIRST_NAMED:
            _take(stream, _GUID_SIZE)
            has_name, number = _number(stream), _number(stream)
            _padded(stream, number if has_name else 0)
        of_one = kind & ~_SEVERAL
        if of_one not in (*_SIZES, _TEXT, _UNICODE, _BINARY, _OBJECT):
            raise EOFError(f"a property of the unknown type {kind:#06x}")
        for _ in range(1 if kind in _SIZES else _number(stream)):
            value = _padded(stream, _SIZES[of_one] if of_one in _SIZES else _number(stream))
            if kind == _UNICODE:
                found[identity] = value.decode("utf-16-le", "replace")
            elif kind == of_one:
                found[identity] = value[_GUID_SIZE:] if kind == _OBJECT else value
    return found


def _number(stream: io.BytesIO) -> int:
    return int.from_bytes(_take(stream, 4), "little")


def _padded(stream: io.BytesIO, size: int) -> bytes:
    """`size` bytes; what fills them up to a multiple of four is passed over."""
    taken = _take(stream, size)
    stream.seek(-size % 4, io.SEEK_CUR)
    return taken


def _take(stream: io.BytesIO, size: int) -> bytes:
    taken = stream.read(size)
    if len(taken) < size:
        raise EOFError(f"{size} bytes are wanted where {len(taken)} are left")
    return taken
