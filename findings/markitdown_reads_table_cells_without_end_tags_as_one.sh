#!/usr/bin/env bash
# MarkItDown: the cells of an HTML table become one cell where their end tags are left out.
#
# Library    markitdown 0.1.9 (BeautifulSoup with Python's html.parser)
# Behaviour  HTML lets the end tags of cells and rows be left out, and so do writers of hand-made and generated
#            pages. The parser that MarkItDown chooses knows no optional tags: it puts each cell into the one
#            before. The header of two columns is one, and values have lost what they belong to.
# Seen       with end tags     '| Region | Limit |\n| North | 20 |'
#            without end tags  '| Region Limit|  |  | | --- | --- | | North 20 | | | |'
# Who        Anybody who indexes older intranet pages, or what a generator writes that minifies its HTML. The
#            page is valid by HTML, 13.1.2.4; a browser shows two columns.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'markitdown==0.1.9' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def probe() -> None:
    import io

    from markitdown import MarkItDown, StreamInfo

    def read(page: str) -> str:
        stream = io.BytesIO(("<!doctype html><title>Limits</title>" + page).encode())
        converted = MarkItDown(enable_plugins=False).convert_stream(stream, stream_info=StreamInfo(extension=".html"))
        lines = converted.text_content.splitlines()
        return "\n".join(line for line in lines if any(name in line for name in ("Region", "North")))

    cells = "<table><tr><th>Region<th>Limit<tr><td>North<td>20</table>"
    closed = cells.replace("<th>Limit<tr>", "</th><th>Limit</th></tr><tr>").replace("<td>20", "</td><td>20</td></tr>")
    print(f"with end tags     {read(closed)!r}")
    print(f"without end tags  {read(cells)!r}")
    assert read(closed) == "| Region | Limit |\n| North | 20 |", read(closed)
    assert read(cells).startswith("| Region Limit|"), read(cells)


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
