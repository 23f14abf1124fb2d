"""Old binary presentations (PPT, PowerPoint 97 to 2003): the text of the slides in their order.

What belongs here: as much of [MS-PPT] as the text needs; section numbers are of that document. What does
not: what characters look like (`ppt_text`), where the cells of a table stand (`ppt_tables`), OLE2
containers (`ole`).

A page is a slide. Its title is a heading of level 1. Footers, dates and numbers of slides, and what a
master puts on every slide, are furniture. Why not `unstructured` here: it calls LibreOffice, which must be
installed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from rag_pipelines.errors import CorruptDocumentError, EncryptedDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.ole import document_properties, open_ole, read_stream
from rag_pipelines.parsing.office.ppt_tables import Anchor, grid, is_table, read_anchor
from rag_pipelines.parsing.office.ppt_text import Line, read_lines
from rag_pipelines.parsing.witness import ppt as witness
from rag_pipelines.text.titles import choose_title

MEDIA_TYPE = "application/vnd.ms-powerpoint"

# Record types (2.13.24).
_DOCUMENT, _SLIDE, _NOTES, _SLIDE_LIST = 0x03E8, 0x03EE, 0x03F0, 0x0FF0
_SLIDE_PERSIST, _SLIDE_ATOM, _OUTLINE_REFERENCE = 0x03F3, 0x03EF, 0x0F9E
_TEXT_HEADER, _TEXT_UTF16, _TEXT_LATIN = 0x0F9F, 0x0FA0, 0x0FA8
_USER_EDIT, _PERSIST_DIRECTORY, _SLIDE_SHOW_INFO = 0x0FF5, 0x1772, 0x03F9

_GROUP, _MORE_PROPERTIES, _ANCHOR = 0xF003, 0xF122, 0xF00F
_SHAPE, _SHAPE_KIND, _CLIENT_DATA, _PLACEHOLDER, _OBJECT = 0xF004, 0xF00A, 0xF011, 0x0BC3, 0x0BC1
_TEXT_STYLE, _TEXT_STYLE_MORE, _TAG_DATA = 0x0FA1, 0x0FAC, 0x138B
_ADDRESSES, _ADDRESS, _ADDRESS_NUMBER = 0x0409, 0x0FD7, 0x0FD3
_ACTION, _ACTION_ATOM, _LINKED_CHARACTERS = 0x0FF2, 0x0FF3, 0x0FDF
_FONT, _FURNITURE, _FURNITURE_FLAGS, _STRING = 0x0FB7, 0x0FD9, 0x0FDA, 0x0FBA
_OF_SLIDES = 3
_HAS_USER_DATE, _HAS_NUMBER, _HAS_FOOTER = 0x04, 0x08, 0x20
_SHOWS_MASTER = 0x1
_PICTURE_FRAME = 75
_FIELD_ONLY = "*"
"""The text of a placeholder for a number, date or footer."""

_ENCRYPTED_TOKEN = 0xF3D1C4DF
_TITLES = (0, 6)
_IN_TABLE = 4
_BODIES = (1, 5, 7, 8)
_HIDDEN = 0x0004
_BY_CLICK = 0
_SLIDE_PLACE = re.compile(r"\d+,(\d+),")
_CONTAINER = 0xF
_MAX_DEPTH = 32
_MAX_EDITS = 10_000
_LINE_BREAK = "\x0b"


class _Record(NamedTuple):
    kind: int
    instance: int
    data: memoryview
    is_container: bool


class _Text(NamedTuple):
    """A text and what kind of placeholder it is in (2.13.33), with its properties (`ppt_text.read_lines`).

    `links` are the start and end of each link, and the number of its address; `cells` are those of a table,
    with where they stand.
    """

    kind: int
    text: str
    style: bytes = b""
    extension: bytes = b""
    links: tuple[tuple[int, int, int], ...] = ()
    cells: tuple[tuple[Anchor, _Text], ...] = ()


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a presentation, slide by slide: title, texts, speaker notes.

    Raises:
        EncryptedDocumentError: the presentation has a password.
        CorruptDocumentError: its parts cannot be found.
    """
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    with open_ole(request.data) as container:
        token, edit = struct.unpack_from("<12xII", read_stream(container, "Current User"))
        if token == _ENCRYPTED_TOKEN:
            raise EncryptedDocumentError("the presentation is protected with a password")
        data = read_stream(container, "PowerPoint Document")
        builder.metadata = document_properties(container)
    deck = _Deck(memoryview(data), edit)
    opening: str | None = None
    for page, (slide, outline) in enumerate(deck.slides(), 1):
        builder.pages = page
        if _is_hidden(slide):
            builder.counters["hidden_slides"] += 1
            builder.leave_out(LeftOut.HIDDEN, "\n".join(text.text for text in _texts(slide, outline)))
            continue
        title = _add_slide(builder, list(_texts(slide, outline)), page, deck)
        for text in deck.furniture(slide, page):
            builder.add(BlockKind.FOOTER, text, page=page)
        builder.lose(Loss.IMAGES, _count_pictures(slide, with_object=False))
        builder.lose(Loss.ATTACHMENTS, _count_pictures(slide, with_object=True))
        notes = "\n".join(text.text for text in deck.notes(slide) if text.kind == 2)
        builder.add(BlockKind.PARAGRAPH, notes and f"Speaker notes: {notes}", page=page)
        opening = opening or title
    builder.title = choose_title(opening, builder.metadata.get("title"))
    builder.account_for(witness.text(data))
    return builder.finish()


def _add_slide(builder: DocumentBuilder, texts: list[_Text], page: int, deck: _Deck) -> str | None:
    texts = [text for text in texts if text.text.strip() != _FIELD_ONLY]
    title = next((text for text in texts if text.kind in _TITLES and text.text.strip()), None)
    shown = " ".join(line.text for line in deck.lines(title)) if title else f"Slide {page}"
    if texts:
        builder.add(BlockKind.HEADING, shown, level=1, page=page)
    for text in texts:
        if text is title:
            continue
        if text.cells:
            _add_table(builder, text, page, deck)
            continue
        lines = deck.lines(text)
        is_list = text.kind in _BODIES and len(lines) > 1
        for line in lines:
            if is_list or line.is_numbered:
                builder.add(BlockKind.LIST_ITEM, line.text, level=line.depth + 1, page=page)
            else:
                builder.add(BlockKind.PARAGRAPH, line.text, page=page)
    return shown.strip() if title else None


def _add_table(builder: DocumentBuilder, table: _Text, page: int, deck: _Deck) -> None:
    rows = grid([
        (anchor, " ".join(line.text for line in deck.lines(text))) for anchor, text in table.cells
    ])  # fmt: skip
    builder.add_table(rows, header_rows=int(len(rows) > 1), page=page)


class _Deck:
    """The live objects of a presentation: saving only appends, and a directory says what counts (2.1.2)."""

    def __init__(self, stream: memoryview, edit: int) -> None:
        self._stream = stream
        self._offsets: dict[int, int] = {}
        document = 0
        for _ in range(_MAX_EDITS):
            record = _record_at(stream, edit)
            if record is None or record.kind != _USER_EDIT:
                raise CorruptDocumentError("the presentation has no record of its last edit")
            previous, directory, reference = struct.unpack_from("<8xIII", record.data)
            document = document or reference
            for identifier, offset in _read_persist_directory(_record_at(stream, directory)):
                self._offsets.setdefault(identifier, offset)
            if not previous or previous >= edit:
                break
            edit = previous
        found = self._object(document)
        if found is None or found.kind != _DOCUMENT:
            raise CorruptDocumentError("the presentation has no document record")
        self._document = found
        self._fonts = [_font_name(record) for record in _below(found, _FONT)]
        self._addresses = dict(_read_addresses(found))
        self._notes = self._notes_by_slide()
        self._masters = {identifier: self._object(place) for place, identifier, _ in self._list_texts(1)}

    def slides(self) -> Iterator[tuple[_Record, list[_Text]]]:
        """Each slide in order, with the texts that the outline keeps for it."""
        for reference, _, outline in self._list_texts(0):
            slide = self._object(reference)
            if slide is not None and slide.kind == _SLIDE:
                yield slide, outline

    def lines(self, text: _Text) -> list[Line]:
        """The paragraphs of a text as they look, with their links."""
        links = [
            (start, end, self._addresses[number])
            for start, end, number in text.links
            if number in self._addresses
        ]
        shown = text.text.replace(_LINE_BREAK, " ")
        return read_lines(shown, text.style, text.extension, self._fonts, links)

    def notes(self, slide: _Record) -> list[_Text]:
        """The texts of a slide's notes page."""
        atom = next((record for record in _children(slide) if record.kind == _SLIDE_ATOM), None)
        identifier = struct.unpack_from("<16xI", atom.data)[0] if atom and len(atom.data) >= 20 else 0
        page = self._notes.get(identifier)
        return list(_texts(page, [])) if page else []

    def furniture(self, slide: _Record, page: int) -> Iterator[str]:
        """The footer, date and number that a slide shows, and the texts of its master (2.4.15)."""
        own = [record for record in _children(slide) if record.kind == _FURNITURE]
        shared = [
            record
            for record in _children(self._document)
            if record.kind == _FURNITURE and record.instance == _OF_SLIDES
        ]
        for found in (own or shared)[:1]:
            strings = {record.instance: record for record in _children(found) if record.kind == _STRING}
            atom = next((record for record in _children(found) if record.kind == _FURNITURE_FLAGS), None)
            flags = int.from_bytes(atom.data[2:4], "little") if atom else 0
            for flag, instance in ((_HAS_FOOTER, 2), (_HAS_USER_DATE, 0)):
                if flags & flag and instance in strings:
                    yield bytes(strings[instance].data).decode("utf-16-le", "replace")
            if flags & _HAS_NUMBER:
                yield str(page)
        atom = next((record for record in _children(slide) if record.kind == _SLIDE_ATOM), None)
        if atom is None or len(atom.data) < 22:
            return
        master, flags = struct.unpack_from("<12xI4xH", atom.data)
        below = self._masters.get(master)
        if below is not None and flags & _SHOWS_MASTER:
            for text in _texts(below, [], placeholders=False):
                yield "\n".join(line.text for line in self.lines(text))

    def _notes_by_slide(self) -> dict[int, _Record]:
        found = ((identifier, self._object(reference)) for reference, identifier, _ in self._list_texts(2))
        return {identifier: page for identifier, page in found if page is not None and page.kind == _NOTES}

    def _list_texts(self, instance: int) -> Iterator[tuple[int, int, list[_Text]]]:
        """Reference, identifier and outline texts of each slide (instance 0) or notes page (2)."""
        for one in _children(self._document):
            if one.kind != _SLIDE_LIST or one.instance != instance:
                continue
            reference = identifier = -1
            texts: list[_Text] = []
            for record in _children(one):
                if record.kind == _SLIDE_PERSIST:
                    if reference >= 0:
                        yield reference, identifier, texts
                    reference, identifier = struct.unpack_from("<I8xI", record.data)
                    texts = []
                else:
                    _add_text(record, texts)
            if reference >= 0:
                yield reference, identifier, texts

    def _object(self, reference: int) -> _Record | None:
        offset = self._offsets.get(reference)
        return None if offset is None else _record_at(self._stream, offset)


def _read_persist_directory(directory: _Record | None) -> Iterator[tuple[int, int]]:
    """Identifier and offset of each object in a directory (2.3.4)."""
    if directory is None or directory.kind != _PERSIST_DIRECTORY:
        return
    words = [word for (word,) in struct.iter_unpack("<I", directory.data[: len(directory.data) // 4 * 4])]
    at = 0
    while at < len(words):
        first, count = words[at] & 0xFFFFF, words[at] >> 20
        yield from enumerate(words[at + 1 : at + 1 + count], first)
        at += 1 + count


def _read_addresses(document: _Record) -> Iterator[tuple[int, str]]:
    """Where links lead, by number (2.10.16): addresses, and slides as pages ("256,2,Title")."""
    for held in _children(document):
        for link in _children(held) if held.kind == _ADDRESSES else ():
            if link.kind != _ADDRESS:
                continue
            parts = {(part.kind, part.instance): bytes(part.data) for part in _children(link)}
            number = int.from_bytes(parts.get((_ADDRESS_NUMBER, 0), b"")[:4], "little")
            address, place = (parts.get((_STRING, one), b"").decode("utf-16-le", "replace") for one in (1, 3))
            if slide := _SLIDE_PLACE.match(place):
                place = f"page={slide[1]}"
            yield number, f"{address}#{place}" if place else address


def _record_at(data: memoryview, at: int) -> _Record | None:
    if at + 8 > len(data):
        return None
    head, kind, size = struct.unpack_from("<HHI", data, at)
    return _Record(kind, head >> 4, data[at + 8 : at + 8 + size], head & 0xF == _CONTAINER)


def _children(record: _Record) -> Iterator[_Record]:
    at = 0
    while (child := _record_at(record.data, at)) is not None:
        yield child
        at += 8 + len(child.data)


def _below(record: _Record, kind: int, depth: int = 0) -> Iterator[_Record]:
    """The records of a kind at any depth, also in the data of programmable tags."""
    for child in _children(record):
        if child.kind == kind:
            yield child
        elif (child.is_container or child.kind == _TAG_DATA) and depth < _MAX_DEPTH:
            yield from _below(child, kind, depth + 1)


def _texts(
    record: _Record, outline: list[_Text], depth: int = 0, *, placeholders: bool = True
) -> Iterator[_Text]:
    """The texts below a slide; a reference stands for the text that the outline keeps."""
    found: list[_Text] = []
    for child in _children(record):
        if child.kind == _SHAPE:
            yield from _shape_texts(child, outline, depth, placeholders=placeholders)
        elif child.kind == _GROUP and _is_table(child):
            yield from _table(child, outline, depth)
        elif child.is_container and child.kind != _ACTION and depth < _MAX_DEPTH:
            yield from _texts(child, outline, depth + 1, placeholders=placeholders)
        elif child.kind == _OUTLINE_REFERENCE:
            (place,) = struct.unpack_from("<I", child.data)
            if place < len(outline):
                yield outline[place]
        else:
            _add_text(child, found)
    yield from (text for text in found if text.text.strip("\r\x0b "))


def _shape_texts(
    shape: _Record, outline: list[_Text], depth: int, *, placeholders: bool = True
) -> Iterator[_Text]:
    data = [part for part in _children(shape) if part.kind == _CLIENT_DATA]
    if not placeholders and any(True for part in data for _ in _below(part, _PLACEHOLDER)):
        return
    more = next((one for part in data for one in _below(part, _TEXT_STYLE_MORE)), None)
    action = next((one for part in data for one in _children(part) if one.kind == _ACTION), None)
    for text in _texts(shape, outline, depth + 1):
        if more is not None:
            text = text._replace(extension=bytes(more.data))
        if action is not None and action.instance == _BY_CLICK and "\r" not in text.text:
            text = text._replace(links=((0, len(text.text), _linked(action)),))
        yield text


def _is_table(group: _Record) -> bool:
    first = next((shape for shape in _children(group) if shape.kind == _SHAPE), None)
    properties = [] if first is None else [one for one in _children(first) if one.kind == _MORE_PROPERTIES]
    return any(is_table(one.data, one.instance) for one in properties)


def _table(group: _Record, outline: list[_Text], depth: int) -> Iterator[_Text]:
    """A table as one text; what is in its group and in no cell comes before it."""
    cells: list[tuple[Anchor, _Text]] = []
    for shape in _children(group):
        if shape.kind != _SHAPE:
            continue
        place = next((one for one in _children(shape) if one.kind == _ANCHOR), None)
        anchor = None if place is None else read_anchor(place.data)
        texts = list(_shape_texts(shape, outline, depth))
        if anchor is None:
            yield from texts
        else:
            cells += [(anchor, text) for text in texts or [_Text(0, "")]]
    if text := "\r".join(text.text for _, text in cells if text.text):
        yield _Text(_IN_TABLE, text, cells=tuple(cells))


def _add_text(record: _Record, texts: list[_Text]) -> None:
    """Take up a record of text: a header begins one, the characters and their properties follow."""
    if record.kind == _TEXT_HEADER:
        texts.append(_Text(int.from_bytes(record.data[:4], "little"), ""))
    elif record.kind in (_TEXT_UTF16, _TEXT_LATIN) and texts:
        encoding = "utf-16-le" if record.kind == _TEXT_UTF16 else "latin-1"
        texts[-1] = _Text(texts[-1].kind, bytes(record.data).decode(encoding, "replace"))
    elif record.kind == _ACTION and record.instance == _BY_CLICK and texts:
        texts[-1] = texts[-1]._replace(links=(*texts[-1].links, (0, 0, _linked(record))))
    elif record.kind == _LINKED_CHARACTERS and record.instance == _BY_CLICK and texts and texts[-1].links:
        *before, (_, _, number) = texts[-1].links
        start, end = struct.unpack_from("<II", record.data) if len(record.data) >= 8 else (0, 0)
        texts[-1] = texts[-1]._replace(links=(*before, (start, end, number)))
    elif record.kind == _TEXT_STYLE and texts:
        texts[-1] = texts[-1]._replace(style=bytes(record.data))


def _linked(action: _Record) -> int:
    """The number of the address that an action leads to (2.8.49), 0 for none."""
    atom = next((one for one in _children(action) if one.kind == _ACTION_ATOM), None)
    return 0 if atom is None else int.from_bytes(atom.data[4:8], "little")


def _count_pictures(slide: _Record, *, with_object: bool) -> int:
    """The pictures on a slide: those of embedded objects, or the others."""
    count = 0
    for shape in _below(slide, _SHAPE):
        kind = next((part for part in _children(shape) if part.kind == _SHAPE_KIND), None)
        if kind is not None and kind.instance == _PICTURE_FRAME:
            count += any(True for _ in _below(shape, _OBJECT)) is with_object
    return count


def _font_name(record: _Record) -> str:
    return bytes(record.data[:64]).decode("utf-16-le", "replace").partition("\0")[0]


def _is_hidden(slide: _Record) -> bool:
    info = next((record for record in _children(slide) if record.kind == _SLIDE_SHOW_INFO), None)
    return info is not None and bool(int.from_bytes(info.data[10:12], "little") & _HIDDEN)
