"""The plain values that pass between the stages: access rules, blocks, parsed documents, chunks.

What belongs here: immutable values with no behaviour beyond trivial derivations. What does not:
I/O, SQL, configuration, anything that only one stage needs. Values that are stored in the blob
store or cross a process boundary are `msgspec.Struct`, because they are encoded in bulk.

All offsets are Python string offsets (code points) into the canonical text of a parsed document;
all pages count from 1.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

EVERYONE = "everyone"
"""The principal that every caller has."""


class AccessRule(msgspec.Struct, frozen=True):
    """Who may see a document: every clause must name one of the caller's principals, and `deny` none.

    A rule with no clauses is visible to everyone of the tenant; `CLOSED` is visible to nobody.
    Principals are strings such as ``user:ann@example.com``, ``group:hr`` or `EVERYONE`.
    """

    clauses: tuple[tuple[str, ...], ...] = ()
    deny: tuple[str, ...] = ()

    def normalised(self) -> AccessRule:
        """The same rule with sorted, duplicate-free principals and clauses, for content addressing."""
        clauses = tuple(sorted({tuple(sorted(set(clause))) for clause in self.clauses}))
        return AccessRule(clauses, tuple(sorted(set(self.deny))))

    @property
    def named(self) -> int:
        """How many principals it names."""
        return sum(map(len, self.clauses)) + len(self.deny)

    @property
    def closed(self) -> bool:
        """Whether nobody can meet it."""
        return not all(self.clauses)


PUBLIC = AccessRule()
CLOSED = AccessRule(clauses=((),))


class BlockKind(StrEnum):
    """What a block is. HEADER and FOOTER are page furniture; they stand after the body in the text."""

    TITLE = "title"
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE = "table"
    CODE = "code"
    QUOTE = "quote"
    CAPTION = "caption"
    HEADER = "header"
    FOOTER = "footer"


class TableRow(msgspec.Struct, frozen=True, array_like=True):
    """One row of a table: its cells, and its span in the canonical text (one line, cells joined by ' | ')."""

    cells: tuple[str, ...]
    start: int
    end: int


class Link(msgspec.Struct, frozen=True, array_like=True):
    """A link of a block: the text that a reader sees, and where it leads.

    `target` is an address, as absolute as the document tells. A place of the same document is ``#`` and the
    heading it is under, or ``#page=7`` (RFC 8118) where only the page is known.
    """

    text: str
    target: str


class Block(msgspec.Struct, frozen=True, array_like=True):
    """One piece of a document; ``document.text[block.start:block.end]`` is exactly its text.

    `level` is the heading level (1 is the highest) or the nesting depth of a list item (1 is the
    outermost). `heading_path` holds the headings above the block, outermost first, without the
    block itself. `rows` and `header_rows` are set on tables, `language` on code where it is known.
    `links` stand in the order of the text, each once.
    `confidence` (0 to 1) is set on text that was recognised in a picture: how sure the engine is of it.
    """

    kind: BlockKind
    start: int
    end: int
    heading_path: tuple[str, ...] = ()
    page: int | None = None
    level: int | None = None
    rows: tuple[TableRow, ...] = ()
    header_rows: int = 0
    language: str | None = None
    links: tuple[Link, ...] = ()
    confidence: float | None = None


class ParsedDocument(msgspec.Struct, frozen=True):
    """The parsed form of one revision.

    `title` comes from the content only (never from a file name). `text` is the canonical text: NFC,
    no NUL, no lone surrogates, no bidi or other control characters but newline and tab. `counters`
    counts what was mended on the way (e.g. ``nul_removed``) and what a reader of figures wants
    (``layout_pages``). `metadata` holds what the file says about itself (author, created, front matter).
    """

    media_type: str
    text: str
    blocks: tuple[Block, ...]
    title: str | None = None
    pages: int | None = None
    language: str | None = None
    metadata: dict[str, Any] = {}
    counters: dict[str, int] = {}
    warnings: tuple[str, ...] = ()


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """The unit that is embedded and retrieved; ``document.text[chunk.start:chunk.end] == chunk.text``.

    `context` is what a reader needs in front of `text` but does not stand there (the repeated header
    of a table that was cut). `embedding_input` is exactly what the model sees (title, heading path,
    context, text), without the model's own document prompt. `tokens` counts `embedding_input` in the
    model's tokenizer, special tokens included. `pages` is first and last page, or None. `forced` says
    that the text had to be cut inside a table row or a word, because that alone is above the budget.
    `confidence` is that of the block in it that the recognition of text was least sure of. `links` are those
    whose text stands in `text`, in its order, each once.
    """

    ordinal: int
    text: str
    start: int
    end: int
    tokens: int
    embedding_input: str
    heading_path: tuple[str, ...] = ()
    pages: tuple[int, int] | None = None
    context: str = ""
    forced: bool = False
    confidence: float | None = None
    links: tuple[Link, ...] = ()


def user_principal(user: str) -> str:
    """The principal of a user: ``ann@example.com`` is ``user:ann@example.com``; addresses are lower case."""
    if user.startswith("user:"):
        return user
    return f"user:{user.lower() if '@' in user else user}"


class Summary(msgspec.Struct, frozen=True):
    """A parsed document without its text; `blocks` counts by kind, `metadata` holds JSON values."""

    media_type: str
    title: str | None
    pages: int | None
    language: str | None
    characters: int
    blocks: dict[str, int]
    metadata: dict[str, Any]
    counters: dict[str, int]
    warnings: tuple[str, ...]
