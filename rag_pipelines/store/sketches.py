"""Rows of sketches: what tells copies of a content, and the family that it belongs to.

What belongs here: writing them, each with one look-up of those that it may be alike to. What does not: making
sketches (`text.sketch`), and which documents need one (`sync.sketches`).
"""

from __future__ import annotations

from collections.abc import Mapping

from rag_pipelines.config.duplicates import LEAST
from rag_pipelines.store.database import Pg, query
from rag_pipelines.store.profiles import profile_ids
from rag_pipelines.text.sketch import BANDS, BITS, ROWS, Sketch, bits_apart, sketch_fingerprint

ENOUGH = 50
"""Members of a family that are found by their bands; more would make look-ups longer, and find no other."""


def sketch_profile(connection: Pg) -> int:
    """The profile row of the sketches that this code makes."""
    print_ = sketch_fingerprint()
    return profile_ids(connection, "sketch", {print_: {"bits": BITS, "bands": BANDS, "rows": ROWS}})[print_]


def put_sketches(connection: Pg, profile_id: int, sketches: Mapping[bytes, Sketch]) -> int:
    """Inside a transaction: store sketches by the digests of their blocks; returns how many have a copy.

    Those of blocks that are gone meanwhile are left out.
    """
    held = {
        bytes(row["blocks_sha256"]) for row in query(connection, "hold_blocks", {"digests": list(sketches)})
    }
    query(connection, "take_families")
    copies = 0
    for digest in sorted(held):
        sketch = sketches[digest]
        params = {
            "digest": digest,
            "profile_id": profile_id,
            "words": sketch.words,
            "words_key": sketch.words_key,
            "numbers_key": sketch.numbers_key,
            "bits": _bits_text(sketch.bits),
            "bands": list(sketch.bands),
            "apart": bits_apart(LEAST),
            "enough": ENOUGH,
        }
        row = query(connection, "put_sketch", params).fetchone()
        families = row["families"] if row else None
        copies += families is not None
        if families and len(families) > 1:
            query(connection, "join_families", {"family": min(families), "families": families})
    return copies


def _bits_text(bits: bytes) -> str:
    """The bits of a sketch as SQL reads them."""
    return format(int.from_bytes(bits, "big"), f"0{BITS}b")
