"""The words of mail messages: the texts of a MIME message without its attachments.

What belongs here: which parts of a message are its text. What does not: HTML (`html`), attachments, each of
which is a document with an account of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message

from rag_pipelines.parsing.encoding import decode
from rag_pipelines.parsing.witness import html


def text(message: Message, decoded: Mapping[int, str]) -> str:
    """All texts of a MIME message, alternatives too, and of messages inside it; those in HTML come first.

    `decoded` are texts of parts that have been decoded already, by the identity of the part.
    """
    plain: list[str] = []
    markup: list[str] = []
    for part in message.walk():
        if (kind := part.get_content_type()) not in ("text/plain", "text/html"):
            continue
        found = decoded.get(id(part))
        if found is None:
            if part.get_content_disposition() == "attachment" or part.get_filename():
                continue
            content = part.get_payload(decode=True)
            found = decode(content, part.get_content_charset()) if isinstance(content, bytes) else ""
        if kind == "text/html":
            markup.append(html.text(found))
        else:
            plain.append(found)
    return "\n".join(markup + plain)
