#!/usr/bin/env bash
# MarkItDown: whole numbers of a sheet lose their digits where another cell of their column is empty.
#
# Library    markitdown 0.1.9 (reads XLSX by pandas and openpyxl)
# Behaviour  A column with an empty cell becomes a column of floats, and floats are written with seven
#            significant digits: an id of thirteen digits loses its last six, 42 becomes 42.0, TRUE becomes
#            1.0. Below a second table on the same sheet every column has empty cells. Without an empty cell
#            all digits stay. Nothing is said.
# Seen       alone                        | 4006381333931 | 42 | True |
#            above a row with empty cells | 4006381333931 | 42.0 | 1.0 |
#            above an order without id    | 4.006381e+12 | 42 | True |
# Who        Anybody who indexes order, item or account numbers by it: they are not found any more, and a wrong
#            number is quoted.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'markitdown[xlsx]==0.1.9' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def probe() -> None:
    import openpyxl
    from markitdown import MarkItDown

    def read(*rows: tuple[object, ...]) -> list[str]:
        """The lines of the table that MarkItDown makes of these rows."""
        workbook = openpyxl.Workbook()
        for row in [("Order", "Pieces", "Paid"), *rows]:
            workbook.active.append(row)
        workbook.save("orders.xlsx")
        lines = MarkItDown(enable_plugins=False).convert("orders.xlsx").text_content.splitlines()
        return [line for line in lines if line.startswith("|") and "---" not in line and "Order" not in line]

    order = (4006381333931, 42, True)
    alone, beside_an_empty_row = read(order), read(order, (None, None, None), ("Note", None, None))
    (below_nothing, below_an_empty_row) = alone[0], read(order, (4006381333948, None, None))[0]
    print(f"alone                        {below_nothing}")
    print(f"above a row with empty cells {below_an_empty_row}")
    (gap, *_) = read(order, (None, 1, False), (4006381333948, 2, False))
    print(f"above an order without id    {gap}")
    assert below_nothing == "| 4006381333931 | 42 | True |", below_nothing
    assert below_an_empty_row == "| 4006381333931 | 42.0 | 1.0 |", below_an_empty_row
    assert gap == "| 4.006381e+12 | 42 | True |", gap
    assert beside_an_empty_row, "nothing was read"


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
