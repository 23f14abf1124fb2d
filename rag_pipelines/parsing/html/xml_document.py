"""XML of any vocabulary as readable text.

What belongs here: the element names that documentation and publishing vocabularies (JATS, DocBook,
DITA, TEI, RSS) share, and a generic reading of the rest. What does not: HTML (`html`), Office formats.

No entity is expanded, no DTD or file is loaded and nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, groupby
from typing import TYPE_CHECKING

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.encoding import decode
from rag_pipelines.text.canonical import one_line
from rag_pipelines.text.superscripts import Line

if TYPE_CHECKING:
    from lxml.etree import _Element


_DECLARED_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)[\"']")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_TITLES = frozenset({"title", "article-title", "head", "heading", "chaptertitle"})
_SECTIONS = frozenset({
    "sec", "section", "chapter", "part", "appendix", "sect1", "sect2", "sect3", "sect4", "div", "topic",
    "abstract", "app", "refsect1", "refsect2",
})  # fmt: skip
_KINDS = {
    "list-item": BlockKind.LIST_ITEM,
    "listitem": BlockKind.LIST_ITEM,
    "li": BlockKind.LIST_ITEM,
    "caption": BlockKind.CAPTION,
    "disp-quote": BlockKind.QUOTE,
    "blockquote": BlockKind.QUOTE,
    "quote": BlockKind.QUOTE,
    "code": BlockKind.CODE,
    "preformat": BlockKind.CODE,
    "programlisting": BlockKind.CODE,
    "codeblock": BlockKind.CODE,
    "screen": BlockKind.CODE,
}
_PROSE = frozenset({"p", "para", "paragraph", "simpara", "text", "line", "l", "ab", "item", "entry", "body"})
_SILENT = frozenset({
    "journal-meta", "article-id", "article-categories", "custom-meta-group", "permissions", "counts",
    "history", "pub-date", "self-uri", "contrib-id", "object-id", "role", "xref",
})  # fmt: skip
"""Parts of a JATS article that only machines read."""

_ROWS = frozenset({"tr", "row"})
_TABLES = frozenset({"table", "tgroup", "simpletable"})
_HAS_MARKUP = re.compile(r"</\w+>|<br\s*/?>|<p[\s>]", re.I)
_NO_FIELDS = _PROSE | _SILENT | _TITLES | frozenset(_KINDS)
_RAISED = ("{*}sup", "{*}superscript")
_MAX_CELL = 300
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def parse(request: ParseRequest) -> ParsedDocument:
    """The text of an XML document, element by element."""
    builder = DocumentBuilder.of("application/xml", request)
    root = _root(request.data, builder)
    builder.language = root.get(_XML_LANG) or root.get("lang")
    _add(builder, root, depth=0)
    return builder.finish()


def _root(data: bytes, builder: DocumentBuilder) -> _Element:
    from lxml import etree

    declared = _DECLARED_ENCODING.search(data[:200])
    text = decode(data, declared[1].decode("ascii") if declared else None)
    markup = _DECLARATION.sub("", text.lstrip("\ufeff")).encode("utf-8", "replace")

    def read(*, recover: bool) -> _Element | None:
        parser = etree.XMLParser(
            encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
            remove_comments=True, remove_pis=True, recover=recover,
        )  # fmt: skip
        return etree.fromstring(markup, parser)

    try:
        root = read(recover=False)
    except etree.XMLSyntaxError as error:
        builder.warnings.append(f"not well-formed XML, read as far as possible: {error}")
        root = read(recover=True)
    if root is None:
        raise CorruptDocumentError("the XML document has no element that can be read")
    return root


def _add(builder: DocumentBuilder, element: _Element, depth: int) -> None:
    """Add an element: as text where it holds text of its own, else its children in turn."""
    name = _name(element)
    children = [child for child in element if isinstance(child.tag, str)]
    if name in _SILENT:
        return
    if name in _TABLES and any(True for _ in _descendants(element, _ROWS)):
        _add_table(builder, element)
    elif name in _TITLES and not any(_name(child) in _TITLES or _name(child) == "p" for child in children):
        text = one_line(_text(element))
        builder.add(BlockKind.HEADING, text, level=max(depth, 1))
        builder.title = builder.title or text
    elif name in _KINDS or _is_text(element, children):
        kind = _KINDS.get(name, BlockKind.PARAGRAPH)
        text = "".join(element.itertext()) if kind is BlockKind.CODE else _text(element)
        builder.add(kind, text, level=1 if kind is BlockKind.LIST_ITEM else None)
    elif _is_record(element, children):
        builder.add(BlockKind.PARAGRAPH, "\n".join(_record_lines(element, children)))
    else:
        _add_children(builder, children, depth + (name in _SECTIONS))


def _add_children(builder: DocumentBuilder, children: list[_Element], depth: int) -> None:
    """Equal flat records that follow one another become a table, named values one paragraph."""
    for _, same in groupby(children, key=lambda child: "" if _is_field(child) else _name(child)):
        run = list(same)
        if len(run) > 1 and _is_field(run[0]):
            lines = [f"{_name(field)}: {_text(field)}" for field in run if _text(field)]
            builder.add(BlockKind.PARAGRAPH, "\n".join(lines))
        elif len(run) > 1 and all(_is_row(record) for record in run):
            _add_records(builder, [{_name(cell): _text(cell) for cell in record} for record in run])
        elif len(run) > 1 and all(_is_row_of_attributes(record) for record in run):
            _add_records(builder, [dict(record.attrib) for record in run])
        else:
            for child in run:
                _add(builder, child, depth)


def _add_records(builder: DocumentBuilder, records: list[dict[str, str]]) -> None:
    """A table with a column for each name that any record has."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    rows = ([record.get(column, "") for column in columns] for record in records)
    builder.add_table(chain([columns], rows), header_rows=1)


def _is_field(element: _Element) -> bool:
    """Whether the element is one short named value, rather than a piece of prose."""
    name = _name(element)
    text = (element.text or "").strip()
    return len(element) == 0 and 0 < len(text) <= _MAX_CELL and name not in _NO_FIELDS


def _add_table(builder: DocumentBuilder, table: _Element) -> None:
    rows = list(_descendants(table, _ROWS))
    cells = [[one_line(_text(cell)) for cell in row if isinstance(cell.tag, str)] for row in rows]
    header_rows = 0
    for row in rows:
        parent = row.getparent()
        if parent is None or _name(parent) != "thead":
            break
        header_rows += 1
    builder.add_table(cells, header_rows=header_rows)


def _is_text(element: _Element, children: list[_Element]) -> bool:
    """Whether text stands directly in the element, among whatever is inside it."""
    if element.text and element.text.strip():
        return True
    return any(child.tail and child.tail.strip() for child in children)


def _is_record(element: _Element, children: list[_Element]) -> bool:
    """Whether the element is a bundle of named values: its children are leaves, or it has attributes only."""
    if not children:
        return bool(element.attrib)
    names = {_name(child) for child in children}
    leaves = all(len(child) == 0 and not _is_row_of_attributes(child) for child in children)
    return len(names) > 1 and leaves and not names & (_TITLES | {"p"})


def _is_row(element: _Element) -> bool:
    children = [child for child in element if isinstance(child.tag, str)]
    names = [_name(child) for child in children]
    return (
        len(set(names)) == len(names) > 1
        and not (element.text or "").strip()
        and not set(names) & {"p", "sec"}
        and all(len(child) == 0 and len(child.text or "") <= _MAX_CELL for child in children)
    )


def _is_row_of_attributes(element: _Element) -> bool:
    return len(element) == 0 and bool(element.attrib) and not (element.text or "").strip()


def _record_lines(element: _Element, children: list[_Element]) -> Iterator[str]:
    for key, value in element.attrib.items():
        if not key.startswith("{"):
            yield f"{key}: {value}"
    for child in children:
        if text := _text(child):
            yield f"{_name(child)}: {text}"


def _descendants(element: _Element, names: frozenset[str]) -> Iterator[_Element]:
    return (inner for inner in element.iter() if isinstance(inner.tag, str) and _name(inner) in names)


def _name(element: _Element) -> str:
    """The local name of an element, in lower case."""
    return str(element.tag).rpartition("}")[2].lower()


def _text(element: _Element) -> str:
    """All text inside an element on one line; escaped HTML in it (as feeds have) as its text."""
    text = one_line(_joined(element))
    if "<" in text and _HAS_MARKUP.search(text):
        from rag_pipelines.parsing.html.parse import fragment_text

        return fragment_text(text)
    return text


def _joined(element: _Element) -> str:
    """The text inside an element, with superscripts kept apart from what they stand behind."""
    from lxml import etree

    if next(element.iter(*_RAISED), None) is None:
        return "".join(element.itertext())
    line = Line()
    for event, inner in etree.iterwalk(element, events=("start", "end", "comment", "pi")):
        raised = inner is not element and isinstance(inner.tag, str) and _is_raised(inner)
        if event == "start":
            if raised:
                line.begin_raised()
            line.add(inner.text or "")
        else:
            if raised:
                line.end_raised()
            if inner is not element:
                line.add(inner.tail or "")
    return line.take()


def _is_raised(element: _Element) -> bool:
    """Whether JATS, DITA or DocBook call the element a superscript."""
    return _name(element) in ("sup", "superscript")
