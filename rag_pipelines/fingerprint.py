"""Content hashes and configuration fingerprints: the keys under which stage outputs are memoised.

What belongs here: pure hashing. What does not: deciding what goes into a fingerprint (each stage
knows its own parameters) and storing anything.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID


def sha256(data: bytes) -> bytes:
    """SHA-256 of raw bytes, 32 bytes: the address of an object in the blob store."""
    return hashlib.sha256(data).digest()


def text_key(*parts: str) -> UUID:
    """A 128-bit BLAKE2b key of some strings, as a UUID because Postgres stores that in 16 bytes.

    The parts are length-prefixed, so ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return UUID(bytes=digest.digest())


def fingerprint(value: Any) -> str:
    """A 32-digit hexadecimal fingerprint of a JSON-like value, independent of the order of keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
