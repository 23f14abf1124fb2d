"""The Word, PowerPoint and Excel documents of the demo corpus.

What belongs here: their text and structure (heading levels, nested lists, merged cells, notes).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import docx
import openpyxl
import pptx
from openpyxl.styles import Font
from pptx.util import Cm, Pt

WRITTEN = datetime(2026, 10, 5, 9, 0, 0)


def build(corpus: Path) -> None:
    """Write every office document below `corpus`."""
    onboarding(corpus / "acme-sensors/handbook/onboarding-checklist.docx")
    sampling(corpus / "brightwater/sampling-procedure.docx")
    architecture(corpus / "acme-sensors/engineering/meadow-architecture.pptx")
    calibration(corpus / "acme-sensors/operations/calibration-schedule.xlsx")
    salaries(corpus / "acme-sensors/hr/salary-bands-2026.xlsx")


def onboarding(path: Path) -> None:
    """Three heading levels, two list levels, a table with merged cells, a header and a footer."""
    document = docx.Document()
    _furniture(document, "Acme Sensors · People", "Onboarding checklist, version 12, 1 September 2026")
    document.add_heading("Onboarding checklist", 0)
    document.add_paragraph("For the new colleague, the team lead and the buddy. Tick what is done.")
    document.add_heading("Before the first day", 1)
    document.add_heading("The team lead", 2)
    _list(
        document,
        [
            (
                "Order the laptop at least ten working days ahead",
                ["Field staff: the rugged model", "Freiburg: ISO keyboard"],
            ),
            ("Name a buddy from another team", []),
            ("Ask the slipway desk for a locker and an access card", []),
        ],
    )
    document.add_heading("People", 2)
    _list(
        document,
        [("Send the contract and this checklist", []), ("Enter the bank account in Meadow People", [])],
    )
    document.add_heading("The first week", 1)
    document.add_heading("Everybody", 2)
    _list(
        document,
        [
            ("Monday: tour, canteen, the pipe", []),
            (
                "Tuesday: security briefing with Samir Haddad",
                ["Passphrase and second factor", "Extension 4040"],
            ),
            ("Thursday at 14:00: listen to the reading of the field event reports", []),
        ],
    )
    document.add_heading("Field staff", 2)
    document.add_heading("Swimming test", 3)
    document.add_paragraph(
        "Field staff swim 100 metres in clothes and tread water for five minutes before their first visit. "
        "The test is in the pool at Ferrow Bay and is repeated every three years."
    )
    document.add_heading("Equipment", 3)
    table = document.add_table(rows=6, cols=4, style="Table Grid")
    rows = [
        ("Item", "Field", "Lab", "Office"),
        ("Safety boots, class S5", "2 pairs", "1 pair", "none"),
        ("Life jacket", "1, personal", "shared", ""),
        ("Laptop", "rugged", "standard", ""),
        ("Telephone", "yes", "on request", ""),
        ("Return by the last working day", "", "", ""),
    ]
    for cells, texts in zip(table.rows, rows, strict=True):
        for cell, text in zip(cells.cells, texts, strict=True):
            cell.text = text
    table.cell(2, 2).merge(table.cell(2, 3))
    table.cell(3, 2).merge(table.cell(3, 3))
    table.cell(4, 2).merge(table.cell(4, 3))
    table.cell(5, 0).merge(table.cell(5, 3))
    document.add_heading("The first three months", 1)
    document.add_paragraph(
        "There is a talk after two, six and twelve weeks. The probation period is six months in Port Ferrow "
        "and in Freiburg; during it, either side may end the contract with two weeks' notice."
    )
    _save(document, path, "Onboarding checklist", "Ruth Calder")


def sampling(path: Path) -> None:
    """A numbered procedure with a table, of the other tenant."""
    document = docx.Document()
    _furniture(document, "Brightwater Monitoring", "SOP-11, issue 3, 2 March 2026")
    document.add_heading("SOP-11: Taking a water sample", 0)
    document.add_heading("When", 1)
    document.add_paragraph(
        "At every station with an FS-340 once a month, and within 24 hours of a turbidity alarm. A sample "
        "that is taken later says nothing about the alarm."
    )
    document.add_heading("How", 1)
    for step in (
        "Rinse the bottle three times with the water you are about to sample.",
        "Hold it 20 centimetres below the surface, mouth upstream, and let it fill to the shoulder.",
        "Write station, date, time and your initials on the bottle before you fill the next one.",
        "Put it into the cool box at once. It must be below 8 degrees within two hours.",
    ):
        document.add_paragraph(step, style="List Number")
    document.add_heading("Bottles", 1)
    table = document.add_table(rows=4, cols=3, style="Table Grid")
    rows = [
        ("Parameter", "Bottle", "Keep for at most"),
        ("Nitrate, phosphate", "white cap, 500 ml", "24 hours"),
        ("Metals", "red cap, acidified, 250 ml", "28 days"),
        ("Coliforms", "blue cap, sterile, 300 ml", "12 hours"),
    ]
    for cells, texts in zip(table.rows, rows, strict=True):
        for cell, text in zip(cells.cells, texts, strict=True):
            cell.text = text
    document.add_heading("To the laboratory", 1)
    document.add_paragraph(
        "The courier leaves Kelder Bridge at 15:45 on working days. Owen Tibbs has the key of the fridge."
    )
    _save(document, path, "SOP-11: Taking a water sample", "Owen Tibbs")


def architecture(path: Path) -> None:
    """Four slides: title, bullets on two levels, a table, and facts that only the speaker notes hold."""
    deck = pptx.Presentation()
    title = deck.slides.add_slide(deck.slide_layouts[0])
    title.shapes.title.text = "How Meadow works"
    title.placeholders[1].text = "Priya Raman, platform team, September 2026"
    title.notes_slide.notes_text_frame.text = "For new engineers. Takes 25 minutes with questions."

    path_of_reading = deck.slides.add_slide(deck.slide_layouts[1])
    path_of_reading.shapes.title.text = "The way of a reading"
    frame = path_of_reading.placeholders[1].text_frame
    frame.text = "A sensor speaks to a gateway by radio"
    for text, level in (
        ("The gateway spools up to 30 days of readings", 1),
        ("The gateway sends batches to the ingest service", 0),
        ("Schema check, then the queue", 1),
        ("The alarm engine reads the queue, not the database", 0),
    ):
        paragraph = frame.add_paragraph()
        paragraph.text, paragraph.level = text, level
    path_of_reading.notes_slide.notes_text_frame.text = (
        "The read replica in Kelder Bridge lags by up to 40 seconds. "
        "That is why the alarm engine never reads from it."
    )

    components = deck.slides.add_slide(deck.slide_layouts[5])
    components.shapes.title.text = "Who owns what"
    rows = [
        ("Component", "Written in", "Team", "Restart takes"),
        ("Ingest", "Go", "Platform", "8 s"),
        ("Alarm engine", "Rust", "Platform", "3 s"),
        ("Time-series store", "PostgreSQL", "Data", "4 min"),
        ("Dashboards", "TypeScript", "Web", "20 s"),
    ]
    table = components.shapes.add_table(len(rows), 4, Cm(2), Cm(5), Cm(21), Cm(7)).table
    for number, texts in enumerate(rows):
        for column, text in enumerate(texts):
            cell = table.cell(number, column)
            cell.text = text
            cell.text_frame.paragraphs[0].font.size = Pt(16)
    components.notes_slide.notes_text_frame.text = (
        "The store was a separate product until 2023; we do not miss it."
    )

    plans = deck.slides.add_slide(deck.slide_layouts[1])
    plans.shapes.title.text = "What comes next"
    plans.placeholders[1].text_frame.text = "A second trust anchor for gateways in the first quarter of 2027"
    _save(deck, path, "How Meadow works", "Priya Raman")


def calibration(path: Path) -> None:
    """Two sheets; the second holds two tables below each other."""
    book = openpyxl.Workbook()
    schedule = book.active
    schedule.title = "Schedule 2026"
    _rows(
        schedule,
        1,
        [
            ("Serial", "Product", "Last calibrated", "Next due", "Interval (months)", "Technician"),
            ("340-0077", "FS-340", date(2026, 1, 19), date(2027, 1, 19), 12, "Elspeth Munro"),
            ("340-0081", "FS-340", date(2025, 11, 24), date(2026, 11, 24), 12, "Hamish Orr"),
            ("340-0096", "FS-340", date(2026, 6, 8), date(2027, 6, 8), 12, "Hamish Orr"),
            ("220-1187", "FS-220-B", date(2025, 3, 3), date(2028, 3, 3), 36, "Elspeth Munro"),
            ("220-1204", "FS-220-B", date(2026, 4, 27), date(2029, 4, 27), 36, "Bea Lindqvist"),
            ("110-5530", "FS-110", date(2024, 9, 16), date(2026, 9, 16), 24, "Bea Lindqvist"),
        ],
    )
    standards = book.create_sheet("Lab")
    standards["A1"] = "Reference standards"
    _rows(
        standards,
        2,
        [
            ("Standard", "Certificate", "Valid until"),
            ("Radar target, 5 m rail", "NML-20417", date(2027, 5, 31)),
            ("pH buffers 4/7/10", "HB-88120", date(2026, 12, 15)),
            ("Formazin 4,000 NTU", "HB-88164", date(2026, 11, 30)),
        ],
    )
    standards["A8"] = "Turnaround in the lab"
    _rows(
        standards,
        9,
        [
            ("Product", "Working days", "Price of an external calibration (GBP)"),
            ("FS-110", 3, 48.5),
            ("FS-220-A", 6, 135),
            ("FS-220-B", 6, 149),
            ("FS-340", 9, 310),
        ],
    )
    _save(book, path, "Calibration schedule 2026", "Elspeth Munro")


def salaries(path: Path) -> None:
    """A confidential table."""
    book = openpyxl.Workbook()
    bands = book.active
    bands.title = "Bands 2026"
    _rows(
        bands,
        1,
        [
            ("Band", "Typical roles", "Minimum (GBP)", "Midpoint (GBP)", "Maximum (GBP)"),
            ("A", "Assembly, stores", 26400, 28900, 31600),
            ("B", "Field technician, support", 31000, 34800, 38900),
            ("C", "Engineer, hydrologist", 39500, 46200, 53800),
            ("D", "Senior engineer, team lead", 52500, 61400, 70900),
            ("E", "Head of department", 68000, 79500, 92000),
        ],
    )
    _save(book, path, "Salary bands 2026", "Ruth Calder")


def _furniture(document, header: str, footer: str) -> None:
    section = document.sections[0]
    section.header.paragraphs[0].text = header
    section.footer.paragraphs[0].text = footer


def _list(document, items: Sequence[tuple[str, Sequence[str]]]) -> None:
    for text, below in items:
        document.add_paragraph(text, style="List Bullet")
        for line in below:
            document.add_paragraph(line, style="List Bullet 2")


def _rows(sheet, first: int, rows: Sequence[Sequence[object]]) -> None:
    for number, row in enumerate(rows, first):
        for column, value in enumerate(row, 1):
            cell = sheet.cell(number, column, value)
            cell.font = Font(bold=number == first)
            if isinstance(value, date):
                cell.number_format = "yyyy-mm-dd"


def _save(document, path: Path, title: str, author: str) -> None:
    properties = getattr(document, "core_properties", None) or document.properties
    properties.title = title
    properties.created = properties.modified = WRITTEN
    setattr(properties, "creator" if hasattr(properties, "creator") else "author", author)
    document.save(path)
    _freeze(path)


def _freeze(path: Path) -> None:
    """Replace the clock times that the libraries write, so that a rebuild gives the same bytes."""
    with zipfile.ZipFile(path) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts:
            if name == "docProps/core.xml":
                stamp = WRITTEN.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>" + stamp, content)
            archive.writestr(zipfile.ZipInfo(name, WRITTEN.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)
