#!/usr/bin/env bash
# Kreuzberg: a duration in a sheet becomes a day of the year 1900, a time of day one of 1899.
#
# Library    kreuzberg 4.10.4; its successor xberg 1.3.9 reads both right
# Behaviour  A cell of 30 hours and 15 minutes, format [h]:mm, is written as "1900-01-01 06:15:00": a day of
#            the spreadsheet's calendar, and six hours left. 07:30, format HH:MM, is "1899-12-31 07:30:00". A
#            date without a time gets midnight. The formats that say what is meant are read by the library to
#            tell dates from numbers, and not to write them.
# Seen       shown as 30:15       1900-01-01 06:15:00
#            shown as 07:30       1899-12-31 07:30:00
#            shown as 04.03.2026  2026-03-04 00:00:00
# Who        Anybody who indexes time sheets, opening hours or service levels by it: the hours are gone or
#            wrong.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'kreuzberg==4.10.4' 'openpyxl==3.1.5' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def probe() -> None:
    import datetime

    import kreuzberg
    import openpyxl

    workbook = openpyxl.Workbook()
    sheet = workbook.active
    shown = {"30:15": "[h]:mm", "07:30": "HH:MM", "04.03.2026": "DD.MM.YYYY"}
    sheet.append([f"shown as {name}" for name in shown])
    sheet.append([datetime.timedelta(hours=30, minutes=15), datetime.time(7, 30), datetime.date(2026, 3, 4)])
    for cell, form in zip(sheet[2], shown.values(), strict=True):
        cell.number_format = form
    workbook.save("hours.xlsx")

    config = kreuzberg.ExtractionConfig(use_cache=False)
    header, read = kreuzberg.extract_file_sync("hours.xlsx", config=config).tables[0].cells
    for name, value in zip(header, read, strict=True):
        print(f"{name:<20} {value}")
    assert read == ["1900-01-01 06:15:00", "1899-12-31 07:30:00", "2026-03-04 00:00:00"], read


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
