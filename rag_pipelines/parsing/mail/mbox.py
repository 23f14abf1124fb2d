"""Mailboxes in one file (mbox, RFC 4155): each message is a section under its subject.

What belongs here: parting the messages. What does not: reading one (`eml`), and how many parts of a document
are read (`parts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.mail.mailboxes import BEGINS
from rag_pipelines.parsing.mail.message import MEDIA_TYPE as MESSAGE
from rag_pipelines.parsing.parts import add_document, allow_parts, read_part

MEDIA_TYPE = "application/mbox"
MAX_MESSAGES = 10_000
"""Read in one mailbox, their attachments included; further ones are counted."""

_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of all messages, in the order of the mailbox; one that cannot be read is counted.

    Raises:
        CorruptDocumentError: none of them can be read.
    """
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    allow_parts(MAX_MESSAGES)
    number = 0
    for number, message in enumerate(_messages(request.data), 1):
        parsed = read_part(builder, request, message, f"message {number}", MESSAGE)
        if parsed is not None:
            builder.add(BlockKind.HEADING, parsed.title or f"Message {number}", level=1)
            below_title = tuple(block for block in parsed.blocks if block.kind is not BlockKind.TITLE)
            add_document(builder, msgspec.structs.replace(parsed, blocks=below_title), below=1)
    if not builder:
        raise CorruptDocumentError(
            f"none of the {number:,} messages of the mailbox can be read: {'; '.join(builder.warnings[:3])}"
        )
    builder.metadata["messages"] = number
    return builder.finish()


def _messages(data: bytes) -> Iterator[bytes]:
    """The messages; the marks are off that keep a line of their text from being taken for a beginning."""
    begins = [(match.start(), match.end()) for match in BEGINS.finditer(data)]
    ends = [start for start, _ in begins[1:]] + [len(data)]
    for (_, start), end in zip(begins, ends, strict=True):
        yield _QUOTED_FROM.sub(rb"\1", data[start:end])
