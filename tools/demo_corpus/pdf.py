"""The PDF documents of the demo corpus: flowed text, columns, tables, a scan, an encrypted and a broken file.

What belongs here: how a page is drawn. The running text stands in `pages/*.html`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pymupdf

PAGES = Path(__file__).parent / "pages"
STYLE = """
body { font-family: sans-serif; line-height: 1.35 }
h1 { font-size: 1.9em; margin: 0 0 0.5em 0 } h2 { font-size: 1.4em; margin: 0.7em 0 0.3em 0 }
h3 { font-size: 1.15em; margin: 0.6em 0 0.3em 0 } p { margin: 0 0 0.6em 0 }
table { border-collapse: collapse; margin: 0.4em 0 0.8em 0 }
th, td { border: 0.6pt solid black; padding: 0.2em 0.5em 0.2em 0.5em; text-align: left }
"""
A4 = pymupdf.paper_rect("a4")
A5 = pymupdf.paper_rect("a5")
A6 = pymupdf.paper_rect("a6")

FS_220 = [
    ("Parameter", "FS-220-A", "FS-220-B"),
    ("Measuring range", "0.3 to 10 m", "0.3 to 15 m"),
    ("Accuracy", "±2 mm", "±2 mm"),
    ("Beam angle", "12°", "12°"),
    ("Supply voltage", "6 to 30 V", "9 to 30 V"),
    ("Current, asleep", "85 µA", "92 µA"),
    ("Current, measuring", "14 mA", "14 mA"),
    ("Heated window", "no", "1.8 W"),
    ("Operating temperature", "−20 to +60 °C", "−35 to +60 °C"),
    ("Protection", "IP68, 1.5 m for 7 days", "IP68, 1.5 m for 7 days"),
    ("Weight", "1.1 kg", "1.4 kg"),
]
FS_340 = [
    ("Parameter", "Range", "Accuracy", "Service"),
    ("pH", "2 to 12", "±0.1", "every 6 weeks"),
    ("Dissolved oxygen", "0 to 20 mg/l", "±0.2 mg/l", "membrane every 12 months"),
    ("Turbidity", "0 to 4,000 NTU", "±3 %", "wiper every 18 months"),
    ("Conductivity", "0 to 70 mS/cm", "±0.5 %", "every 6 months"),
    ("Temperature", "−5 to +50 °C", "±0.1 °C", "none"),
    ("Depth", "0 to 60 m", "±0.05 m", "every 12 months"),
]


def build(corpus: Path) -> None:
    """Write every PDF below `corpus`."""
    acme = corpus / "acme-sensors"

    guide = flow("fs-220-installation-guide", A5, margins=(48, 64, 48, 60))
    furniture(guide, "FS-220 Installation Guide", "IG-220-06 · Acme Sensors Ltd · Port Ferrow")
    save(
        guide, acme / "products/fs-220-installation-guide.pdf", "FS-220 Installation Guide", "Ingrid Solheim"
    )

    manual = flow("field-operations-manual", A6, margins=(28, 38, 28, 36), size=9)
    furniture(manual, "Field Operations Manual, edition 7", "Acme Sensors", size=6, margin=20)
    save(manual, acme / "operations/field-operations-manual.pdf", "Field Operations Manual", "Tom Okafor")

    paper = two_columns(
        "radar-or-ultrasonic", "Radar or ultrasonic?", "Ingrid Solheim and Elspeth Munro, June 2025"
    )
    furniture(paper, "Acme Sensors White Paper 7", "Radar or ultrasonic?")
    save(paper, acme / "products/radar-or-ultrasonic.pdf", "Radar or ultrasonic?", "Ingrid Solheim")

    for name, rows, widths, ruled in (
        ("fs-220-datasheet", FS_220, (150, 150, 150), True),
        ("fs-340-datasheet", FS_340, (110, 105, 90, 145), False),
    ):
        sheet = flow(name, A4, margins=(72, 72, 72, 72))
        draw_table(sheet[0], 72, 200, rows, widths, ruled)
        title = f"{name[:6].upper()} data sheet"
        save(sheet, acme / f"products/{name}.pdf", title, "Ingrid Solheim")

    agreement = flow("acme-service-agreement", A4, margins=(80, 80, 80, 80))
    save(
        agreement,
        corpus / "brightwater/contracts/acme-service-agreement.pdf",
        "Service Agreement",
        "Nell Pargeter",
    )

    inspection = flow("bridge-inspection-scan", A4, margins=(90, 100, 90, 100), size=13)
    save(scanned(inspection), acme / "operations/bridge-inspection-2026-04-scan.pdf", "", "")

    bank = flow("supplier-bank-details", A4, margins=(80, 80, 80, 80))
    save(
        bank,
        acme / "finance/supplier-bank-details.pdf",
        "Supplier bank details",
        "Finance",
        password="slipway-1824",
    )

    broken = acme / "operations/commissioning-report-2019.pdf"
    save(flow("commissioning-report-2019", A4, margins=(80, 80, 80, 80)), broken, "Commissioning report", "")
    broken.write_bytes(broken.read_bytes()[:256])


def flow(
    name: str, paper: pymupdf.Rect, margins: tuple[float, float, float, float], size: float = 10
) -> pymupdf.Document:
    """`pages/NAME.html` in one column of `size` points; margins are left, top, right, bottom in points."""
    left, top, right, bottom = margins
    column = pymupdf.Rect(left, top, paper.width - right, paper.height - bottom)
    return _set(name, paper, lambda _page: [column], size)


def two_columns(name: str, title: str, authors: str) -> pymupdf.Document:
    """`pages/NAME.html` in two columns on A4, under a title that spans both on the first page."""

    def columns(page: int) -> list[pymupdf.Rect]:
        top = 140 if page == 0 else 80
        return [pymupdf.Rect(60, top, 288, 762), pymupdf.Rect(308, top, 536, 762)]

    document = _set(name, A4, columns, 11)
    heading = f"<h1>{title}</h1><p>{authors}</p>"
    document[0].insert_htmlbox(pymupdf.Rect(60, 70, 536, 132), heading, css=STYLE)
    return document


def furniture(
    document: pymupdf.Document, header: str, footer: str, size: float = 8, margin: float = 40
) -> None:
    """The same header, footer and a page number on every page."""
    for page in document:
        page.insert_text((margin, margin), header, fontsize=size, fontname="helv")
        bottom = page.rect.height - margin + size
        page.insert_text((margin, bottom), footer, fontsize=size, fontname="helv")
        number = f"Page {page.number + 1} of {document.page_count}"
        width = pymupdf.get_text_length(number, "helv", size)
        page.insert_text((page.rect.width - margin - width, bottom), number, fontsize=size, fontname="helv")


def draw_table(
    page: pymupdf.Page,
    left: float,
    top: float,
    rows: Sequence[Sequence[str]],
    widths: Sequence[float],
    ruled: bool,
) -> None:
    """A table drawn cell by cell, with lines around every cell or with none at all."""
    height = 20
    for number, row in enumerate(rows):
        x, y = left, top + number * height
        for text, width in zip(row, widths, strict=True):
            font = "hebo" if number == 0 else "helv"
            page.insert_text((x + 5, y + 13.5), text.replace("−", "-"), fontsize=9, fontname=font)
            if ruled:
                page.draw_rect(pymupdf.Rect(x, y, x + width, y + height), width=0.6)
            x += width


def scanned(document: pymupdf.Document) -> pymupdf.Document:
    """The same pages as slightly crooked grey pictures without any text."""
    from PIL import Image

    scan = pymupdf.open()
    for page in document:
        pixels = page.get_pixmap(dpi=110, colorspace=pymupdf.csGRAY)
        picture = Image.frombytes("L", (pixels.width, pixels.height), pixels.samples)
        crooked = picture.rotate(0.8, fillcolor=236, resample=Image.Resampling.BICUBIC)
        jpeg = io.BytesIO()
        crooked.point(lambda grey: min(grey, 244)).save(jpeg, "JPEG", quality=55)
        scan.new_page(width=page.rect.width, height=page.rect.height).insert_image(
            page.rect, stream=jpeg.getvalue()
        )
    return scan


def save(
    document: pymupdf.Document, path: Path, title: str, author: str, password: str | None = None
) -> None:
    """Write with fixed dates and no random id, so that a rebuild gives the same file (but for encryption)."""
    moment = "D:20261005090000Z"
    document.set_metadata(
        {
            "title": title,
            "author": author,
            "creationDate": moment,
            "modDate": moment,
            "producer": "",
            "creator": "",
        }
    )
    options: dict[str, object] = {"garbage": 4, "deflate": True, "no_new_id": True}
    if password:
        options |= {
            "encryption": pymupdf.PDF_ENCRYPT_AES_256,
            "user_pw": password,
            "owner_pw": password[::-1],
        }
    document.subset_fonts()
    document.save(path, **options)


def _set(
    name: str, paper: pymupdf.Rect, columns: Callable[[int], Sequence[pymupdf.Rect]], size: float
) -> pymupdf.Document:
    html = (PAGES / f"{name}.html").read_text(encoding="utf-8")
    story = pymupdf.Story(html, user_css=f"{STYLE} body {{ font-size: {size}pt }}", em=size)
    output = io.BytesIO()
    writer = pymupdf.DocumentWriter(output)
    page, more = 0, 1
    while more:
        device = writer.begin_page(paper)
        for column in columns(page):
            more, _filled = story.place(column)
            story.draw(device)
            if not more:
                break
        writer.end_page()
        page += 1
    writer.close()
    return pymupdf.open("pdf", output.getvalue())
