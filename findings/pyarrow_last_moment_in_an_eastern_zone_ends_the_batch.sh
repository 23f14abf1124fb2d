#!/usr/bin/env bash
# pyarrow: the end of the year 9999 in a zone east of Greenwich ends `to_pylist` of its whole batch.
#
# Library    pyarrow 26.0.1
# Behaviour  "Valid for ever" is 9999-12-31T23:59:59Z in many tables. Where the column's zone is UTC it is
#            read; where it is Europe/Berlin it would be 00:59 of the year 10000, which Python does not have,
#            and `to_pylist` raises OverflowError: one such value costs all rows of its batch. Casting to UTC
#            first gives it.
# Seen       2026-01-01T00:00:00Z and 9999-12-31T23:59:59Z in a column of zone
#            UTC                  2 values
#            Europe/Berlin        OverflowError: date value out of range
#            Europe/Berlin, cast  2 values
# Who        Anybody who reads contracts, prices or memberships from Parquet that was written in local time.
#            Here such a value is read alone, as the text of its moment in UTC (`connectors/arrow_values.py`).
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pyarrow==26.0.1' 'tzdata' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def probe() -> None:
    import pyarrow as pa

    def read(zone: str, *, cast: bool = False) -> str:
        column = pa.array([1_767_225_600, 253_402_300_799], pa.timestamp("s", zone))
        try:
            return f"{len((column.cast(pa.timestamp('s', 'UTC')) if cast else column).to_pylist())} values"
        except OverflowError as error:
            return f"OverflowError: {error}"

    found = {"UTC": read("UTC"), "Europe/Berlin": read("Europe/Berlin"), "Europe/Berlin, cast": read("Europe/Berlin", cast=True)}
    print("2026-01-01T00:00:00Z and 9999-12-31T23:59:59Z in a column of zone")
    for name, text in found.items():
        print(f"{name:<20} {text}")
    assert found["UTC"] == found["Europe/Berlin, cast"] == "2 values", found
    assert found["Europe/Berlin"].startswith("OverflowError"), found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
