"""Tokenizers: what a model counts, built from a small specification that travels between processes.

What belongs here: counting tokens and finding where they start. What does not: finding a model on
disk (`local`), making tensors (`local_openvino`), and running anything.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from rag_pipelines.errors import ConfigError
from rag_pipelines.fingerprint import fingerprint

if TYPE_CHECKING:
    import tokenizers

_ADDITIVE_PRE_TOKENIZERS = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})

_WHITE_SPACE = re.compile(r"\s")
SEGMENT = 100_000
"""Characters tokenised at once."""


class TokenizerSpec(msgspec.Struct, frozen=True):
    """How to build a tokenizer, small enough to send to a worker.

    `file` reads the Hugging Face ``tokenizer.json`` at `path`; `digest` is the hash of its content, so
    that equal tokenizers have equal fingerprints wherever they lie. `characters` counts one token for
    every four characters, `bytes` one for every three bytes of UTF-8 (a cautious estimate for a remote
    model whose tokenizer is not at hand; English prose has about four bytes a token).
    `max_tokens` and `special_tokens` are those of `chunking.base.Tokenizer`.
    """

    kind: Literal["file", "characters", "bytes"]
    max_tokens: int
    special_tokens: int = 0
    path: str = ""
    digest: str = ""

    @property
    def fingerprint(self) -> str:
        """Equal for tokenizers that count alike, independent of where their files lie."""
        return fingerprint([self.kind, self.max_tokens, self.special_tokens, self.digest])


class _SpecTokenizer:
    """What every tokenizer here shares: its specification, by which it is also pickled."""

    additive = False

    def __init__(self, spec: TokenizerSpec) -> None:
        self.spec = spec
        self.fingerprint = spec.fingerprint
        self.max_tokens = spec.max_tokens
        self.special_tokens = spec.special_tokens

    def __reduce__(self):
        return (load_tokenizer, (self.spec,))


class CharacterTokenizer(_SpecTokenizer):
    """One token for every four characters; costs nothing."""

    WIDTH = 4

    def count(self, texts: Sequence[str]) -> list[int]:
        return [-(-len(text) // self.WIDTH) for text in texts]

    def starts(self, text: str) -> Sequence[int]:
        return range(0, len(text), self.WIDTH)


class ByteTokenizer(_SpecTokenizer):
    """One token for every three bytes of UTF-8."""

    WIDTH = 3

    def count(self, texts: Sequence[str]) -> list[int]:
        return [-(-len(text.encode("utf-8", "replace")) // self.WIDTH) for text in texts]

    def starts(self, text: str) -> Sequence[int]:
        if text.isascii():
            return range(0, len(text), self.WIDTH)
        import numpy as np

        points = np.frombuffer(text.encode("utf-32-le", "replace"), dtype="<u4")
        sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
        ends = np.cumsum(sizes)
        return np.searchsorted(ends, np.arange(0, ends[-1], self.WIDTH), side="right").tolist()


class FileTokenizer(_SpecTokenizer):
    """A model's own tokenizer, run by the `tokenizers` library without truncation or padding."""

    def __init__(self, spec: TokenizerSpec) -> None:
        super().__init__(spec)
        self._tokenizer = read_tokenizer_file(spec.path)
        pre_tokenizer = re.match(r"\w+", repr(self._tokenizer.pre_tokenizer))
        self.additive = pre_tokenizer is not None and pre_tokenizer[0] in _ADDITIVE_PRE_TOKENIZERS

    def count(self, texts: Sequence[str]) -> list[int]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding) for encoding in encodings]

    def starts(self, text: str) -> Sequence[int]:
        starts = array("q")
        for begin, end in _segments(text):
            offsets = self._tokenizer.encode(text[begin:end], add_special_tokens=False).offsets
            starts.extend(begin + start for start, _ in offsets)
        return starts


def _segments(text: str) -> Iterator[tuple[int, int]]:
    """Ranges of a long text, ended at white space; an encoding takes a hundred times its text's memory."""
    begin = 0
    while len(text) - begin > SEGMENT:
        end = next((m.start() for m in _WHITE_SPACE.finditer(text, begin + SEGMENT)), len(text))
        yield begin, end
        begin = end
    yield begin, len(text)


_KINDS: dict[str, type[CharacterTokenizer] | type[ByteTokenizer] | type[FileTokenizer]] = {
    "characters": CharacterTokenizer,
    "bytes": ByteTokenizer,
    "file": FileTokenizer,
}


def read_tokenizer_file(path: str | Path) -> tokenizers.Tokenizer:
    """The tokenizer of a ``tokenizer.json``, without truncation or padding.

    Raises:
        ConfigError: the file is missing or is not a tokenizer.
    """
    import tokenizers

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(
            f"cannot read the tokenizer {str(path)!r}: {error}; a Hugging Face tokenizer.json is needed"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@lru_cache(maxsize=8)
def load_tokenizer(spec: TokenizerSpec) -> CharacterTokenizer | ByteTokenizer | FileTokenizer:
    """The tokenizer of a specification; built once in each process.

    Raises:
        ConfigError: the file it names cannot be read.
    """
    return _KINDS[spec.kind](spec)
