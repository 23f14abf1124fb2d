#!/usr/bin/env bash
# pyarrow: reading a Parquet file by small batches holds a whole row group, whatever `buffer_size` says.
#
# Library    pyarrow 26.0.1
# Behaviour  `ParquetFile.iter_batches(batch_size=100)` reads the column chunks of a row group in advance and
#            keeps them to its end: memory is the size of the row group, which many writers make of a million
#            rows. `buffer_size` alone changes nothing, because `pre_buffer` is true by default and goes before
#            it; nor would `pre_buffer=False` alone, because then a chunk is read as one piece. Only both
#            together stream.
# Seen       one row group of 20000 rows, read by 100; held at most, as a share of the file:
#            defaults           1.01
#            buffer_size=65536  1.01
#            pre_buffer=False   1.01
#            both               0.07
# Who        Anybody who reads tables with long texts by batches to save memory: +437 MB were seen for a file
#            of 396 MB. Here both are given (`connectors/row_readers.py`).
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pyarrow==26.0.1' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

import os


def probe() -> None:
    import pyarrow as pa
    from pyarrow import parquet

    rows = 20_000
    table = pa.table({"id": range(rows), "body": [os.urandom(600).hex() for _ in range(rows)]})
    parquet.write_table(table, "rows.parquet", row_group_size=rows, compression="none", use_dictionary=False)
    del table
    size = os.path.getsize("rows.parquet")

    def most_held(**options: object) -> float:
        """The most that pyarrow's memory pool held at the end of a batch, as a share of the file."""
        pool = pa.default_memory_pool()
        before, most = pool.bytes_allocated(), 0
        for batch in parquet.ParquetFile("rows.parquet", **options).iter_batches(batch_size=100):
            most = max(most, pool.bytes_allocated() - before)
            del batch
        return round(most / size, 2)

    given = {
        "defaults": {},
        "buffer_size=65536": {"buffer_size": 65536},
        "pre_buffer=False": {"pre_buffer": False},
        "both": {"buffer_size": 65536, "pre_buffer": False},
    }
    held = {name: most_held(**options) for name, options in given.items()}
    print(f"one row group of {rows} rows, read by 100; held at most, as a share of the file:")
    for name, share in held.items():
        print(f"{name:<18} {share}")
    assert min(held["defaults"], held["buffer_size=65536"], held["pre_buffer=False"]) > 0.9, held
    assert held["both"] < 0.1, held


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
