"""Content hashes and configuration fingerprints: the keys under which stage outputs are memoised.

What belongs here: pure hashing. What does not: deciding what goes into a fingerprint (each stage
knows its own parameters) and storing anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from functools import cache
from typing import Any
from uuid import UUID

import msgspec


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


def lasting(value: Any, first: Collection[str]) -> dict[str, Any]:
    """The fields of `value` that its fingerprint is taken of: one that is added later changes none stored.

    Args:
        value: a struct or dataclass whose fingerprint is a stored key.
        first: the fields that are always in it: those that the first release had. Any other is in it only
            where it is not at its default, so a default may never change.
    """
    plain = msgspec.to_builtins(value)
    later = {field.encode_name: field for field in _fields(value.__class__) if field.name not in first}
    return {
        name: one
        for name, one in plain.items()
        if name not in later or later[name].required or one != _default(later[name])
    }


@cache
def _fields(kind: Any) -> tuple[msgspec.inspect.Field, ...]:
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType | msgspec.inspect.DataclassType)
    return described.fields


def _default(field: msgspec.inspect.Field) -> Any:
    factory = field.default_factory
    return msgspec.to_builtins(field.default if factory is msgspec.NODEFAULT else factory())


def fingerprint(value: Any) -> str:
    """A 32-digit hexadecimal fingerprint of a JSON-like value, independent of the order of keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
