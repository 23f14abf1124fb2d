"""Chunking quality by character ranges, after Chroma's "Evaluating Chunking Strategies for Retrieval" (2024).

What belongs here: reading the judged corpora, and the table beside the published figures. What does not: any
cutting, embedding or scoring (those are the package's own: `rag_pipelines.evaluation.chunking`).

All chunks of all corpora are in one collection; each question takes its top 5. The default strategy
(`structure` at the model's own size) should be above a published row in recall and IoU at once, and below
none.

The data folder has three of the five public corpora. ``--folder`` takes all that lie in another one of
the same form, such as ``general_evaluation_data`` of the study's own repository. Run with::

    python benchmarks/chunk_evaluation.py [--sizes 256 200] [--top 5] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import sys
import tempfile
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import numpy as np
from history import Figures
from rich.console import Console
from rich.table import Table

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.chunking.factory import make_chunker
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.evaluation.chunking import ChunkingScores, RangeQuestion, judge_chunking
from rag_pipelines.evaluation.embeddings import RememberingEmbedders
from rag_pipelines.evaluation.ranges import TextSpan
from rag_pipelines.model import Block, BlockKind, ParsedDocument

FIGURES = Figures("chunk_evaluation")

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
CORPORA = ("chatlogs", "state_of_the_union", "wikitexts")
HEADING = re.compile(r"(=(?: =)*) (.+?) \1$")

PUBLISHED = {
    "Recursive 250/125": ("94.6 (7.0)", "91.2 (3.7)", "82.7 (4.9)", "87.5 (5.0)"),
    "TokenText 250/125": ("100.0 (5.3)", "88.7 (2.6)", "84.2 (3.6)", "88.6 (3.7)"),
    "Recursive 250/0": ("98.2 (7.6)", "82.5 (3.6)", "85.7 (5.4)", "87.4 (5.4)"),
    "TokenText 250/0": ("97.7 (5.1)", "82.0 (2.4)", "79.1 (3.3)", "83.7 (3.4)"),
    "Recursive 200/0": ("96.5 (9.2)", "82.7 (4.6)", "76.9 (5.9)", "82.5 (6.2)"),
    "TokenText 200/0": ("98.7 (6.4)", "80.5 (2.9)", "78.7 (4.1)", "83.3 (4.2)"),
    "ClusterSemantic 250/0": ("95.9 (8.3)", "85.0 (5.4)", "78.7 (6.1)", "83.9 (6.4)"),
    "ClusterSemantic 200/0": ("91.1 (9.5)", "85.0 (6.9)", "78.1 (7.4)", "82.6 (7.7)"),
}
"""Recall % (IoU %) with all-MiniLM-L6-v2 and five chunks; sizes in cl100k tokens. The five public corpora
were in one collection there, so a run over three should come out equal or a little higher."""
OVER_FIVE = {"Recursive 200/0": "75.7 (6.5)"}
"""The same over all five corpora."""


def read_corpus(path: Path) -> ParsedDocument:
    """A corpus as one document whose text is the file's own, so that offsets agree with the judgements.

    Every line is a block; lines in the heading markup of WikiText are headings.
    """
    text = path.read_text(encoding="utf-8")
    blocks: list[Block] = []
    path: list[str] = []
    for match in re.finditer(r"\S.*", text):
        end = match.start() + len(match[0].rstrip())
        heading = HEADING.fullmatch(match[0].rstrip())
        if heading:
            level = heading[1].count("=")
            path = path[: level - 1]
            blocks.append(Block(BlockKind.HEADING, match.start(), end, tuple(path), level=level))
            path = [*path, heading[2]]
        else:
            blocks.append(Block(BlockKind.PARAGRAPH, match.start(), end, tuple(path)))
    return ParsedDocument("text/plain", text, tuple(blocks))


def read_questions(folder: Path, corpora: Container[str]) -> list[RangeQuestion]:
    """The judged questions of `corpora`."""
    with (folder / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        return [
            RangeQuestion(
                row["question"],
                tuple(
                    TextSpan(row["corpus_id"], reference["start_index"], reference["end_index"])
                    for reference in json.loads(row["references"])
                ),
            )
            for row in csv.DictReader(file)
            if row["corpus_id"] in corpora
        ]


def cells(found: ChunkingScores, questions: Sequence[RangeQuestion], corpora: Sequence[str]) -> list[str]:
    """The figures of a strategy: `corpora`, all, precision, Precision Ω, chunks, their mean length."""
    scores = np.array(found.questions)
    of_corpus = np.array([question.wanted[0].document for question in questions])
    return [
        *(_cell(scores[of_corpus == name]) for name in corpora),
        _cell(scores),
        f"{scores[:, 1].mean() * 100:.1f}",
        f"{np.mean(found.ideal) * 100:.1f}",
        str(found.chunks),
        f"{found.mean_length:.0f}",
    ]


def strategies(sizes: Sequence[int]) -> Iterator[tuple[str, ChunkOptions]]:
    """What is compared, with its name."""
    for size in sizes:
        yield f"structure {size}", ChunkOptions("structure", max_tokens=size)
        yield f"recursive {size}/0", ChunkOptions("recursive", max_tokens=size)
        yield (
            f"recursive {size}/{size // 2 - 8}",
            ChunkOptions("recursive", max_tokens=size, overlap_tokens=size // 2 - 8),
        )
        yield f"tokens {size}/0", ChunkOptions("tokens", max_tokens=size)
        yield (
            f"tokens {size}/{size // 2 - 8}",
            ChunkOptions("tokens", max_tokens=size, overlap_tokens=size // 2 - 8),
        )
        yield f"semantic {size}", ChunkOptions("semantic", max_tokens=size)


def _cell(scores: np.ndarray) -> str:
    recall, _, iou = scores.mean(axis=0) * 100
    return f"{recall:.1f} ({iou:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[256, 200], help="tokens of the model, all included"
    )
    parser.add_argument("--top", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, default=DATA / "chunkeval", help="corpora and questions_df.csv"
    )
    arguments = parser.parse_args()
    paths = {path.stem: path for path in sorted((arguments.folder / "corpora").glob("*.md"))}
    if not paths:
        sys.exit(f"no corpora in {arguments.folder}; set RAG_DATA_DIR, or --folder")
    corpora = list(paths)

    table = Table(title=f"recall % (IoU %), {arguments.top} chunks, all-MiniLM-L6-v2")
    for column in ("chunking", *corpora, "all", "precision", "Precision Ω", "chunks", "characters"):
        table.add_column(column, justify="left" if column == "chunking" else "right")
    with tempfile.TemporaryDirectory() as folder:
        embedder = RememberingEmbedders(Embedders(Path(folder))).of(EmbeddingProfile())
        documents = {name: read_corpus(path) for name, path in paths.items()}
        questions = read_questions(arguments.folder, paths)
        for name, options in strategies(arguments.sizes):
            chunker = make_chunker(options, embedder.tokenizer, embedder)
            found = judge_chunking(documents, questions, chunker, embedder, top=arguments.top)
            table.add_row(name, *cells(found, questions, corpora))
            scores = np.array(found.questions).mean(axis=0)
            FIGURES.ratio(f"recall, {name}", scores[0])
            FIGURES.ratio(f"precision, {name}", scores[1])
    table.add_section()
    for name, (*each, three) in PUBLISHED.items():
        known = dict(zip(CORPORA, each, strict=True))
        together = three if tuple(corpora) == CORPORA else OVER_FIVE.get(name, "")
        table.add_row(f"{name} (published)", *(known.get(corpus, "") for corpus in corpora), together)
    Console(width=150).print(table)
    FIGURES.record(sizes=arguments.sizes, top=arguments.top, corpora=corpora)


if __name__ == "__main__":
    main()
