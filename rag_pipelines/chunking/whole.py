"""One chunk a document, for corpora of short records; the model cuts off what it cannot read."""

from __future__ import annotations

from collections.abc import Iterable

from rag_pipelines.chunking.body import Body, BodyChunker, ChunkSpan
from rag_pipelines.model import Chunk, ParsedDocument


class WholeDocumentChunker(BodyChunker):
    """The whole body as one chunk, whatever its length."""

    def chunk(self, document: ParsedDocument, title: str | None) -> list[Chunk]:
        body = Body(document, title, self.options, self.tokenizer)
        return body.assemble(self.spans(body), bounded=False) if body.blocks else []

    def spans(self, body: Body) -> Iterable[ChunkSpan]:
        return [ChunkSpan(body.start, body.end)]
