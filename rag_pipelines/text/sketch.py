"""The sketch of a text: enough to tell exact and near copies of it, and not the text.

What belongs here: words, shingles, the signature, and how alike two are. What does not: storing sketches and
finding those that may be alike (`store.sketches`), and what is done about copies.

Two texts are as alike as their sets of three words in a row: the Jaccard coefficient (Broder 1997). It is
estimated by MinHash. Of each of the least hashes one bit is kept (Li and König 2010): two sketches agree in a
share `e` of these bits, and ``2 e - 1`` estimates the coefficient, at .85 with a standard error of .02.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.fingerprint import fingerprint, text_key
from rag_pipelines.provenance.stages import StageCode, made_by

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BITS = 512
"""Hashes of a signature, of each of which one bit is kept."""

BANDS, ROWS = 32, 8
"""Sketches that share one of so many bands, each of so many least hashes, are looked at. Texts that are alike
to .75 share one with a probability of .966, to .85 of .9999."""

_SHINGLE = 3
_SEED = 1
_ALONE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SIGN = re.compile(rf"[{_ALONE}]")
"""Of scripts that put no space between words: each is a word by itself."""

_WORD, _WORD_OR_SIGN = re.compile(r"[^\W_]+"), re.compile(rf"[{_ALONE}]|(?:(?![{_ALONE}])[^\W_])+")
"""Letters and digits in a row. The second knows signs, and takes three times as long."""

STAGE = StageCode("sketch", (__name__,))
"""The code that sketches come from."""


class Sketch(msgspec.Struct, frozen=True):
    """What is kept of a text.

    Texts with one `words_key` have the same words in the same order, whatever their format; with one
    `numbers_key` the same numbers. `bits` are `BITS` bits; `bands` are `BANDS` signed numbers of 32 bits.
    """

    words: int
    words_key: UUID
    numbers_key: UUID
    bits: bytes
    bands: tuple[int, ...]


def sketch_fingerprint() -> str:
    """What sketches depend on beside the text: code, and the version of the library."""
    made = made_by(STAGE)
    return fingerprint([made.code, *made.libraries.items()])


def sketch_of(text: str) -> Sketch | None:
    """The sketch of a canonical text; None where it has no words. Raises `UsageError` without the library."""
    try:
        from rensa import RMinHash
    except ImportError as error:
        raise UsageError(f"{error}; install it with: pip install 'rag-pipelines[duplicates]'") from error
    import numpy as np

    words = words_of(text)
    if not words:
        return None
    made = RMinHash(BITS, _SEED)
    made.update(" ".join(words[at : at + _SHINGLE]) for at in range(max(len(words) - _SHINGLE + 1, 1)))
    least = np.asarray(made.digest(), dtype=np.uint32)
    return Sketch(
        words=len(words),
        words_key=text_key(*words),
        numbers_key=text_key(*sorted(numbers(words))),
        bits=np.packbits((least & 1).astype(np.uint8)).tobytes(),
        bands=tuple(
            _band(number, rows) for number, rows in enumerate(least[: BANDS * ROWS].reshape(BANDS, ROWS))
        ),
    )


def words_of(text: str) -> list[str]:
    """The words of a text as sketches see them."""
    return (_WORD_OR_SIGN if _SIGN.search(text) else _WORD).findall(text.casefold())


def numbers(words: Sequence[str]) -> list[str]:
    """Those of some words that hold a digit: numbers, dates, amounts, identifiers."""
    return [word for word in words if not word.isalpha()]


def bits_apart(similarity: float) -> int:
    """In how many bits two sketches that are alike to this degree may differ."""
    return int(BITS * (1 - similarity) / 2)


def similarities(bits: Sequence[bytes], others: Sequence[bytes]) -> NDArray[np.float64]:
    """How alike each of `bits` is to each of `others`, in [0, 1], shape (len(bits), len(others))."""
    import numpy as np

    first, second = (
        np.frombuffer(b"".join(one), dtype=np.uint64).reshape(len(one), -1) for one in (bits, others)
    )
    apart = np.bitwise_count(first[:, None, :] ^ second[None, :, :]).sum(axis=2, dtype=np.int64)
    return np.maximum(1 - 2 * apart / BITS, 0.0)


def _band(number: int, rows: NDArray[np.uint32]) -> int:
    """The key of one band, which no other band has but by chance."""
    digest = blake2b(rows.tobytes(), digest_size=4, salt=number.to_bytes(2, "big")).digest()
    return int.from_bytes(digest, "big", signed=True)
