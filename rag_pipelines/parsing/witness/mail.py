"""The words of mail messages: the texts of a MIME message without its attachments.

What belongs here: which parts of a message are its text. What does not: HTML (`html`), attachments, each of
which is a document with an account of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message

from rag_pipelines.parsing.encoding import decode
from rag_pipelines.parsing.witness import html


def text(message: Message) -> str:
    """All texts of a MIME message, alternatives too, and of messages inside it."""
    return "\n".join(_texts(message))


def _texts(message: Message) -> Iterator[str]:
    for part in message.walk():
        kind = part.get_content_type()
        if kind not in ("text/plain", "text/html") or part.get_content_disposition() == "attachment":
            continue
        content = part.get_payload(decode=True)
        if isinstance(content, bytes) and not part.get_filename():
            found = decode(content, part.get_content_charset())
            yield html.text(found) if kind == "text/html" else found
