"""Binary workbooks: cells as displayed, what is hidden, merged, linked and remarked. Written here by hand."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from rag_pipelines.parsing.signatures import XLSB
from rag_pipelines_tests.unit.parsing.office import counted, outline, parse, status, tables

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NO_STRING = struct.pack("<I", 0xFFFFFFFF)
PERCENT, DATE, RED = 1, 2, 3


def _record(number: int, data: bytes = b"") -> bytes:
    head = bytes([number & 0x7F | 0x80, number >> 7]) if number > 127 else bytes([number])
    size = len(data)
    while size > 127:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + data


def _string(text: str) -> bytes:
    encoded = text.encode("utf-16-le")
    return struct.pack("<I", len(encoded) // 2) + encoded


def _row(number: int, *cells: bytes, hidden: bool = False) -> bytes:
    flags = bytes([0, 0x10 if hidden else 0, 0])
    return _record(0, struct.pack("<IIH", number, 0, 300) + flags + bytes(4)) + b"".join(cells)


def _cell(kind: int, column: int, value: bytes, style: int = 0) -> bytes:
    return _record(kind, struct.pack("<II", column, style) + value)


def _shared(column: int, number: int) -> bytes:
    return _cell(7, column, struct.pack("<I", number))


def _real(column: int, value: float, style: int = 0) -> bytes:
    return _cell(5, column, struct.pack("<d", value), style)


def _whole(column: int, value: int, style: int = 0) -> bytes:
    return _cell(2, column, struct.pack("<i", value << 2 | 2), style)


def _sheet(*rows: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    return _record(129) + before + _record(145) + b"".join(rows) + _record(146) + after + _record(130)


def _relations(*found: tuple[str, str, str]) -> str:
    listed = "".join(
        f'<Relationship Id="{name}" Type="{OFFICE}/{kind}" Target="{target}"'
        + (' TargetMode="External"/>' if "://" in target else "/>")
        for name, kind, target in found
    )
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{listed}</Relationships>'


def _workbook(
    *sheets: tuple[str, bytes], texts: tuple[bytes, ...] = (), hidden: int | None = None, **more: bytes | str
) -> bytes:
    """A workbook of sheets with their names; `texts` are the shared ones, `more` further parts by name."""
    bundle = b"".join(
        _record(
            156, struct.pack("<II", number == hidden, number + 1) + _string(f"rId{number}") + _string(name)
        )
        for number, (name, _) in enumerate(sheets)
    )
    styles = _record(44, struct.pack("<H", 164) + _string("yyyy-mm-dd"))
    fonts = (struct.pack("<HHHH", 220, 0, 400, raised) + bytes(8) for raised in (0, 1))
    styles += b"".join(_record(43, font) for font in fonts)
    formats = b"".join(_record(47, struct.pack("<HH", 0, code) + bytes(12)) for code in (0, 9, 164))
    styles += _record(617) + formats + _record(618)
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": _relations(("rId1", "officeDocument", "xl/workbook.bin")),
        "xl/workbook.bin": _record(131) + _record(143) + bundle + _record(144) + _record(132),
        "xl/_rels/workbook.bin.rels": _relations(
            *(
                (f"rId{number}", "worksheet", f"worksheets/sheet{number}.bin")
                for number in range(len(sheets))
            ),
            ("rId90", "sharedStrings", "sharedStrings.bin"),
            ("rId91", "styles", "styles.bin"),
        ),
        "xl/sharedStrings.bin": _record(159, bytes(8)) + b"".join(_record(19, one) for one in texts),
        "xl/styles.bin": styles,
        **{f"xl/worksheets/sheet{number}.bin": part for number, (_, part) in enumerate(sheets)},
        **more,
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        for name, part in parts.items():
            package.writestr(name, part)
    return out.getvalue()


def _plain(text: str) -> bytes:
    return b"\0" + _string(text)


TEXTS = (_plain("City"), _plain("Rent"), _plain("Bonn"), _plain("Kiel"))


def test_cells_stand_as_the_workbook_shows_them() -> None:
    sheet = _sheet(
        _row(0, _shared(0, 0), _shared(1, 1)),
        _row(1, _shared(0, 2), _real(1, 0.07, PERCENT), _real(2, 45292.0, DATE)),
        _row(2, _cell(8, 0, _string("by formula")), _cell(4, 1, b"\x01"), _cell(3, 2, b"\x2a")),
        _row(3, _whole(0, 1200), _cell(2, 1, struct.pack("<i", 123456 << 2 | 3)), _real(2, -2.5)),
    )
    document = parse(_workbook(("Rents", sheet), texts=TEXTS))
    assert document.media_type == XLSB
    assert outline(document) == [("heading 1", "Rents")]
    assert tables(document) == [
        [
            ("City", "Rent", ""),
            ("Bonn", "7%", "2024-01-01"),
            ("by formula", "TRUE", "#N/A"),
            ("1200", "1234.56", "-2.5"),
        ]
    ]
    assert counted(document) == {}


def test_hidden_sheets_rows_and_columns_are_left_out_and_counted() -> None:
    columns = _record(60, struct.pack("<IIIIH", 2, 2, 2000, 0, 1))
    shown = _sheet(
        _row(0, _shared(0, 0), _shared(1, 1), _whole(2, 777)),
        _row(1, _shared(0, 2), _whole(1, 1200)),
        _row(2, _shared(0, 3), _whole(1, 900), hidden=True),
        before=columns,
    )
    secret = _sheet(_row(0, _shared(0, 2), _whole(1, 5)))
    document = parse(_workbook(("Rents", shown), ("Secret", secret), texts=TEXTS, hidden=1))
    assert tables(document) == [[("City", "Rent"), ("Bonn", "1200")]]
    assert counted(document) == {"hidden_sheets": 1, "hidden_words": 5}


def test_a_merged_cell_stands_in_each_row_that_it_covers() -> None:
    merge = _record(176, struct.pack("<4I", 1, 2, 0, 0))
    sheet = _sheet(
        _row(0, _shared(0, 0), _shared(1, 1)),
        _row(1, _shared(0, 2), _whole(1, 1200)),
        _row(2, _whole(1, 900)),
        after=merge,
    )
    document = parse(_workbook(("Rents", sheet), texts=TEXTS))
    assert tables(document) == [[("City", "Rent"), ("Bonn", "1200"), ("Bonn", "900")]]


def test_raised_characters_are_kept_apart() -> None:
    runs = struct.pack("<IHHHH", 2, 0, 0, 2, 1)
    sheet = _sheet(_row(0, _shared(0, 0)), _row(1, _whole(0, 7)))
    document = parse(_workbook(("Units", sheet), texts=(b"\x01" + _string("106") + runs,)))
    assert "10^6" in document.text


def test_links_comments_and_page_headers_are_read() -> None:
    link = _record(494, struct.pack("<4I", 0, 0, 0, 0) + _string("rId1") + _string("") * 3)
    page = _record(479, b"\0\0" + _string("&LAcme &P") + NO_STRING * 5)
    author = _record(632, _string("Anna"))
    place = _record(635, struct.pack("<5I", 0, 1, 1, 0, 0) + bytes(16))
    comments = author + place + _record(637, _plain("To be checked."))
    sheet = _sheet(
        _row(0, _shared(0, 0), _shared(1, 1)), _row(1, _shared(0, 2), _whole(1, 5)), after=link + page
    )
    document = parse(
        _workbook(
            ("Rents", sheet),
            texts=TEXTS,
            **{
                "xl/worksheets/_rels/sheet0.bin.rels": _relations(
                    ("rId1", "hyperlink", "https://acme.example/"), ("rId2", "comments", "../comments0.bin")
                ),
                "xl/comments0.bin": comments,
            },
        )
    )
    assert ("paragraph", "Comment by Anna on A2: To be checked.") in outline(document)
    assert ("header", "Acme") in outline(document)
    assert [(link.text, link.target) for block in document.blocks for link in block.links] == [
        ("City", "https://acme.example/")
    ]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_sheet_that_is_cut_off_is_corrupt(share: float) -> None:
    sheet = _sheet(_row(0, _shared(0, 0), _shared(1, 1)), _row(1, _cell(6, 0, _string("a long text " * 9))))
    assert status(_workbook(("Rents", sheet[: int(share * len(sheet))]), texts=TEXTS)) in (
        "corrupt",
        "parsed",
    )
    assert status(_workbook(("Rents", sheet[:-8]), texts=TEXTS)) == "corrupt"
