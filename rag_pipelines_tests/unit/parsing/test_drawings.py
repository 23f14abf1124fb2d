"""Visio drawings and XPS documents, written here part by part."""

from __future__ import annotations

import io
import zipfile

from rag_pipelines.parsing.pdf.engine import mupdf
from rag_pipelines.parsing.signatures import VSDX, XPS
from rag_pipelines_tests.unit.parsing.office import counted, outline, parse, status

VISIO = "http://schemas.microsoft.com/office/visio/2012/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def _package(parts: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("[Content_Types].xml", f'<Types xmlns="{PACKAGE}/content-types"/>')
        for name, part in parts.items():
            package.writestr(name, part)
    return out.getvalue()


def _relations(*targets: str) -> str:
    listed = "".join(
        f'<Relationship Id="r{number}" Type="http://schemas.microsoft.com/visio/2010/relationships/page" '
        f'Target="{target}"/>'
        for number, target in enumerate(targets)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{listed}</Relationships>'


def _shape(text: str | None, x: float = 1, y: float = 1, inside: str = "", more: str = "") -> str:
    shown = "" if text is None else f"<Text>{text}</Text>"
    group = f"<Shapes>{inside}</Shapes>" if inside else ""
    return f'<Shape ID="5" {more}><Cell N="PinX" V="{x}"/><Cell N="PinY" V="{y}"/>{shown}{group}</Shape>'


def _drawing(*pages: tuple[str, str], masters: str = "") -> bytes:
    """A drawing of pages: the attributes of each, and its shapes; `masters` are those of the one master."""
    listed = "".join(
        f'<Page ID="{number}" {about}><Rel r:id="r{number}"/></Page>'
        for number, (about, _) in enumerate(pages)
    )
    root = f'xmlns="{VISIO}" xmlns:r="{OFFICE}"'
    master = '<Master ID="2"><Rel r:id="r0"/></Master>'
    parts = {
        f"visio/pages/page{number}.xml": f"<PageContents {root}><Shapes>{one}</Shapes></PageContents>"
        for number, (_, one) in enumerate(pages)
    }
    return _package(
        {
            "visio/document.xml": f"<VisioDocument {root}/>",
            "visio/pages/pages.xml": f"<Pages {root}>{listed}</Pages>",
            "visio/pages/_rels/pages.xml.rels": _relations(
                *(f"page{number}.xml" for number in range(len(pages)))
            ),
            **parts,
            "visio/masters/masters.xml": f"<Masters {root}>{master}</Masters>",
            "visio/masters/_rels/masters.xml.rels": _relations("one.xml"),
            "visio/masters/one.xml": f"<MasterContents {root}><Shapes>{masters}</Shapes></MasterContents>",
        }
    )


def test_shapes_of_a_drawing_are_read_page_by_page_from_the_top() -> None:
    first = _shape("Approve", 1, 2) + _shape("Begin", 1, 9) + _shape("Reject", 4, 2.05)
    document = parse(
        _drawing(('Name="Process"', first), ('Name="Roles"', _shape("The cashier<cp IX='0'/> pays.")))
    )
    assert document.media_type == VSDX
    assert outline(document) == [
        ("heading 1", "Process"),
        ("paragraph", "Begin"),
        ("paragraph", "Approve"),
        ("paragraph", "Reject"),
        ("heading 1", "Roles"),
        ("paragraph", "The cashier pays."),
    ]
    assert [block.page for block in document.blocks] == [1, 1, 1, 1, 2, 2]


def test_shapes_of_a_group_stand_together() -> None:
    group = _shape("Team", 1, 9, inside=_shape("Anna", 1, 0.5) + _shape("Bob", 2, 0.5))
    document = parse(_drawing(('Name="Org"', _shape("Board", 3, 9.1) + group)))
    assert [text for _, text in outline(document)] == ["Org", "Team", "Anna", "Bob", "Board"]


def test_a_shape_without_text_shows_that_of_its_master() -> None:
    shapes = _shape(None, 1, 9, more='Master="2"') + _shape("Own", 1, 8, more='Master="2"')
    document = parse(_drawing(('Name="Plan"', shapes), masters=_shape("Server")))
    assert [text for _, text in outline(document)] == ["Plan", "Server", "Own"]


def test_what_stands_on_a_background_is_furniture() -> None:
    document = parse(
        _drawing(('Name="Plan"', _shape("Begin")), ('Name="Back" Background="1"', _shape("Secret")))
    )
    assert outline(document) == [("heading 1", "Plan"), ("paragraph", "Begin"), ("header", "Secret")]
    assert document.pages == 1


def test_a_drawing_without_its_pages_is_corrupt() -> None:
    assert status(_package({"visio/document.xml": f'<VisioDocument xmlns="{VISIO}"/>'})) == "corrupt"


def test_an_xps_document_is_read_as_its_pages_are_shown() -> None:
    xps = "http://schemas.microsoft.com/xps/2005/06"
    lines = ("The rent is due on the first of the month.", "Late payment costs five percent.")
    glyphs = "".join(
        f'<Glyphs FontUri="/Resources/f.ttf" FontRenderingEmSize="14" OriginX="90" Fill="#000000" '
        f'OriginY="{100 + 20 * number}" UnicodeString="{line}"/>'
        for number, line in enumerate(lines)
    )
    kind = f'Type="{xps}/fixedrepresentation"'
    start = f'<Relationship Id="r1" {kind} Target="/FixedDocSeq.fdseq"/>'
    reference = '<DocumentReference Source="/1/d.fdoc"/>'
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{start}</Relationships>',
        "FixedDocSeq.fdseq": f'<FixedDocumentSequence xmlns="{xps}">{reference}</FixedDocumentSequence>',
        "1/d.fdoc": f'<FixedDocument xmlns="{xps}"><PageContent Source="/1/1.fpage"/></FixedDocument>',
        "1/1.fpage": f'<FixedPage xmlns="{xps}" Width="816" Height="1056">{glyphs}</FixedPage>',
        "Resources/f.ttf": mupdf().Font("helv").buffer,
    }
    document = parse(_package(parts))
    assert document.media_type == XPS
    assert outline(document) == [("paragraph", " ".join(lines))]
    assert document.blocks[0].page == 1
    assert "words_missing" not in counted(document)
    assert status(_package({"FixedDocSeq.fdseq": "<x/>"})) in ("corrupt", "empty")
