#!/usr/bin/env bash
# PyMuPDF 2: `import pymupdf` loads neural networks, and `find_tables` sees other tables than before.
#
# Library    pymupdf 2.0 (which requires pymupdf4llm and pymupdf_layout 2.0 and onnxruntime), beside pymupdf
#            1.28.2
# Behaviour  Since 2.0 the layout package is a requirement and is imported by `import pymupdf` itself: three
#            times the memory, a pool of threads, before anything is asked of it. `page.find_tables()` with its
#            defaults then asks the models, where it asked drawn lines before: a table without rules is found,
#            and a page takes 200 ms where it took 50 (205 pages of five files).
# Seen       pymupdf 1.28.2      47 MB after the import, no models; 0 tables
#            pymupdf 2.0        138 MB after the import, onnxruntime and pymupdf.layout; 1 tables
# Who        Anybody who starts many processes that read PDFs, or compares the tables of two releases. Here the
#            import is held back until a page shows signs of a table (`parsing/pdf/engine.py`), and the models
#            then run on one thread.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pymupdf==2.0' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

import json
import subprocess
import sys

ASK = """
import json, os, resource, sys
import pymupdf
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
loaded = sorted(name for name in ("onnxruntime", "pymupdf.layout") if name in sys.modules)
page = pymupdf.open().new_page()
for y, row in enumerate((("Region", "Limit", "Unit"), ("North", "20", "bar"), ("South", "35", "bar"), ("East", "12", "bar"))):
    for x, text in enumerate(row):
        page.insert_text((72 + x * 120, 100 + y * 20), text)
tables = len(page.find_tables().tables)
print(json.dumps([pymupdf.VersionBind, memory, loaded, tables]))
"""


def probe() -> None:
    old = "old"
    subprocess.run([sys.executable, "-m", "venv", old], check=True)
    install = [f"{old}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "pymupdf==1.28.2"]
    if subprocess.run(install, check=False).returncode:
        raise SystemExit(2)
    found = {}
    for python in (f"{old}/bin/python", sys.executable):
        answer = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=True).stdout
        version, memory, loaded, tables = json.loads(answer.splitlines()[-1])
        found[version] = memory, loaded, tables
        print(f"pymupdf {version:<9} {memory:>4} MB after the import, {' and '.join(loaded) or 'no models'}; {tables} tables")
    (before, none, no_table), (after, models, table) = found["1.28.2"], found["2.0"]
    assert after > 1.7 * before, found
    assert not none, found
    assert models == ["onnxruntime", "pymupdf.layout"], found
    assert (no_table, table) == (0, 1), found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
