"""Rebuilds the binary documents of the demo corpus: ``python tools/demo_corpus/build.py [TARGET]``.

The text documents of the corpus are edited where they stand, in `rag_pipelines/demo/corpus`; PDF,
office files and e-mails are made here, so that a change of their text can be reviewed as text.
A rebuild gives the same bytes, except for the encrypted PDF, whose key is drawn at random.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mail
import office
import pdf

CORPUS = Path(__file__).parents[2] / "rag_pipelines" / "demo" / "corpus"
FOLDERS = (
    "acme-sensors/handbook",
    "acme-sensors/products",
    "acme-sensors/operations",
    "acme-sensors/engineering",
    "acme-sensors/hr",
    "acme-sensors/finance",
    "acme-sensors/support",
    "brightwater/contracts",
)

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS
    for folder in FOLDERS:
        (target / folder).mkdir(parents=True, exist_ok=True)
    for part in (pdf, office, mail):
        part.build(target)
