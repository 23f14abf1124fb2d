"""What chunks are known by: the fingerprint of whatever cuts them out of the same blocks.

What belongs here: which code a chunking profile runs. What does not: how code becomes a digest
(`provenance`), and cutting.
"""

from __future__ import annotations

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.fingerprint import fingerprint, lasting
from rag_pipelines.provenance.stages import StageCode, made_by

_ROOM = __name__.rpartition(".")[0]

STRATEGIES = {
    "structure": "structure",
    "recursive": "windows",
    "tokens": "windows",
    "semantic": "semantic",
    "whole": "whole",
}
"""The module that each strategy begins with; ``whole`` is what `ChunkOptions.whole_document` asks for."""


_FIRST_OPTIONS = frozenset(
    {
        "strategy",
        "max_tokens",
        "min_tokens",
        "overlap_tokens",
        "context",
        "whole_document",
        "semantic_percentile",
    }
)
"""Options that every fingerprint holds; later ones are in it where they are not at their default."""


def chunker_stage(strategy: str) -> StageCode:
    """The code of a strategy: its module, and of the factory the choice among them alone."""
    modules = (f"{_ROOM}.{STRATEGIES[strategy]}",)
    return StageCode(f"chunker:{strategy}", modules, alone=(f"{_ROOM}.factory",))


def chunker_codes() -> dict[str, str]:
    """What stored fingerprints call the code of each strategy."""
    return {strategy: made_by(chunker_stage(strategy)).code for strategy in STRATEGIES}


def chunker_fingerprint(options: ChunkOptions, tokenizer: str, *parts: str) -> str:
    """What chunks depend on beside the document: code, parameters, the tokenizer, `parts`, libraries."""
    made = made_by(chunker_stage("whole" if options.whole_document else options.strategy))
    return fingerprint(
        [made.code, lasting(options, _FIRST_OPTIONS), tokenizer, *parts, *made.libraries.items()]
    )
