"""What is kept of a parsed document: its encoded blocks, and a summary for the catalogue.

What belongs here: the form in which blocks are stored. What does not: storing them (`store.blobs`).
"""

from __future__ import annotations

from collections import Counter

import msgspec

from rag_pipelines.errors import RagError
from rag_pipelines.model import ParsedDocument, Summary
from rag_pipelines.parsing.losses import WORDS_SEEN, LeftOut, Loss
from rag_pipelines.stored import Form

_encoder = msgspec.msgpack.Encoder(enc_hook=str, order="deterministic")
_decoder = msgspec.msgpack.Decoder(ParsedDocument)

PARSED_DOCUMENT = Form("parsed document", ParsedDocument)
"""The first form is written without its number: the bytes are their own address, and what changes them (one
more field of `ParsedDocument`, too) has every document chunked again."""


_FIRST_FIELDS = 9
"""The fields of a block as of 0.1.0: up to its language."""


_ACCOUNT = frozenset({WORDS_SEEN, *Loss, *LeftOut} - {Loss.ATTACHMENTS})
"""Counters that are kept with the summary only; that of attachments was stored before the others came."""


class _Head(msgspec.Struct):
    format: int = 1


_head = msgspec.msgpack.Decoder(_Head)


def encode_parsed(document: ParsedDocument) -> bytes:
    """`document` as MessagePack; equal documents give equal bytes. Metadata of foreign types becomes text.

    The account of what was lost is part of the summary and not of this: a parse that counts otherwise has the
    same blocks. A block without links that was not recognised in a picture has the bytes it had before blocks
    knew of either. So a release with more of both cuts nothing anew whose text is the same.
    """
    counters = {name: count for name, count in document.counters.items() if name not in _ACCOUNT}
    blocks = tuple(
        block
        if block.links or block.confidence is not None
        else msgspec.structs.astuple(block)[:_FIRST_FIELDS]
        for block in document.blocks
    )
    return _encoder.encode(msgspec.structs.replace(document, blocks=blocks, counters=counters))


def decode_parsed(encoded: bytes) -> ParsedDocument:
    """The document that `encode_parsed` encoded, now or earlier. Raises `RagError` for anything else."""
    try:
        if _head.decode(encoded).format == PARSED_DOCUMENT.number:
            return _decoder.decode(encoded)
        return PARSED_DOCUMENT.decode(msgspec.msgpack.decode(encoded))
    except msgspec.MsgspecError as error:
        raise RagError(f"the stored blocks are damaged or of another version: {error}") from error


def summarise(document: ParsedDocument) -> Summary:
    """What the catalogue keeps of a parsed document."""
    counters = dict(document.counters)
    if headed := sum(block.header_rows > 0 for block in document.blocks):
        counters["tables_with_header"] = headed
    return Summary(
        media_type=document.media_type,
        title=document.title,
        pages=document.pages,
        language=document.language,
        characters=len(document.text),
        blocks=dict(Counter(str(block.kind) for block in document.blocks)),
        metadata=msgspec.to_builtins(document.metadata, str_keys=True, enc_hook=str),
        counters=counters,
        warnings=document.warnings,
    )
