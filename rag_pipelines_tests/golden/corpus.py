"""The golden corpus: what each stage makes of small documents, and what it made of them when it was pinned.

What belongs here: computing results and keeping expected ones. What does not: what a difference means
(`settling`).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.chunking.factory import make_chunker
from rag_pipelines.chunking.fingerprints import STRATEGIES, chunker_stage
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.embedding.tokenizer import TokenizerSpec, load_tokenizer
from rag_pipelines.errors import DocumentError
from rag_pipelines.index.words import words_stage
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing import detect, registry
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.fingerprints import parser_stage
from rag_pipelines.parsing.formats import FORMATS
from rag_pipelines.provenance.stages import StageCode
from rag_pipelines.store.database import Pg

Results = dict[str, Any]
"""JSON values by the name of what they are made of."""

FOLDER = Path(__file__).parent
DOCUMENTS = FOLDER / "documents"
EXPECTED = FOLDER / "expected"

DECLARED = {".confluence": detect.CONFLUENCE, ".jira": detect.JIRA_ISSUE}
"""Types that a source declares, because nothing in the bytes tells them."""

READ_HERE = sorted(media_type for media_type, known in FORMATS.items() if not known.recognised)
"""The media types that are read without an engine for pictures, which differs between machines."""

CHUNKED = ("handbook.md", "page.html", "datasheet.pdf", "bands.xlsx", "legacy.doc", "tool.py")
"""Documents of which every strategy cuts the expected parse, so that a parser's change is not a chunker's."""

BLOCK_FIELDS, CHUNK_FIELDS = 9, 10
"""How many fields a block and a chunk had in the first release."""

TOKENIZER = TokenizerSpec("characters", 64, 2)

WORDS = (
    (
        "english",
        "Restarted pumps: E-4417 at https://example.com/a/b_c, version v3.11.2 of getLevel() in C++ and C#.",
    ),
    ("german", "Die Prüfungen der Häuser dauerten länger; siehe Anlage_7 und PROJ-12/34."),
    ("simple", "level level levels 1,200.50 and/or <ann@example.com>"),
    ("french", "Les employés de Łódź, 10⁶ unités chez AT&T sous .NET, § 15a; 报销单据, 出張旅費, ลาพักร้อน."),
)
"""Texts in the languages they are read in."""

WORDS_QUERY = """
SELECT words::text AS words, rag.text_length(words) AS length,
       rag.bm25_weights(words, 1.2, 1.5)::text AS weights,
       (SELECT string_agg(encode(rag.posting(7, rag.impact(cardinality(positions), 1.2, 1.5)), 'hex'), ' '
                          ORDER BY lexeme COLLATE "C") FROM unnest(words)) AS postings
FROM (SELECT rag.words(%(language)s::regconfig, %(text)s) AS words) AS one
"""

LANGUAGES_QUERY = """
SELECT rag.language_of(NULL, %(text)s, 'english', '{"de": "german", "fr": "french"}')::text AS language
"""


def stages() -> list[StageCode]:
    """Every stage that has a fingerprint from its code."""
    return [
        *(parser_stage(media_type) for media_type in READ_HERE),
        *(chunker_stage(strategy) for strategy in STRATEGIES),
        words_stage(),
    ]


def parses() -> dict[str, Results]:
    """What the parsers make of every document, by the key of the stage."""
    made: dict[str, Results] = {parser_stage(media_type).key: {} for media_type in READ_HERE}
    for name, data in documents():
        declared = DECLARED.get(Path(name).suffix)
        stage = parser_stage(detect.detect(data, name, declared))
        try:
            parsed = registry.parse(ParseRequest(data, name, declared))
            made[stage.key][name] = _without_defaults(msgspec.to_builtins(parsed, enc_hook=str))
        except DocumentError as error:
            made[stage.key][name] = {"status": error.status}
    return made


def _without_defaults(parsed: dict[str, Any]) -> dict[str, Any]:
    """A parse without the later fields of its blocks that are at their default, which are no change."""
    return {**parsed, "blocks": [_up_to_defaults(block, BLOCK_FIELDS) for block in parsed["blocks"]]}


def _up_to_defaults(values: Sequence[Any], first: int) -> list[Any]:
    """The `first` fields, which the first release had, and later ones up to the last that says something."""
    later = list(values[first:])
    while later and not later[-1]:
        later.pop()
    return [*values[:first], *later]


def documents() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the corpus; large ones are kept compressed."""
    for path in sorted(DOCUMENTS.iterdir()):
        data = path.read_bytes()
        yield (path.stem, gzip.decompress(data)) if path.suffix == ".gz" else (path.name, data)


def chunks(strategy: str, parses: Mapping[str, Any]) -> Results:
    """What a strategy makes of parses, by document: of the `CHUNKED` ones among `parses`."""
    options = ChunkOptions(overlap_tokens=8, min_tokens=8)
    if strategy == "whole":
        options = replace(options, whole_document=True)
    else:
        options = replace(options, strategy=strategy)  # type: ignore[arg-type]
    embedder = HashEmbedder(EmbeddingProfile(provider="hash"))
    chunker = make_chunker(options, load_tokenizer(TOKENIZER), embedder)
    made = {
        name: msgspec.to_builtins(chunker.chunk(msgspec.convert(parses[name], ParsedDocument), "A title"))
        for name in CHUNKED
    }
    return {name: [_up_to_defaults(chunk, CHUNK_FIELDS) for chunk in chunks] for name, chunks in made.items()}


def words(connection: Pg) -> Results:
    """What the schema's functions make of the texts."""
    found: dict[str, Any] = {}
    for language, text in WORDS:
        params = {"language": language, "text": text}
        row = connection.execute(WORDS_QUERY, params).fetchone()
        assert row is not None
        found[language] = {**row, **(connection.execute(LANGUAGES_QUERY, params).fetchone() or {})}
    return found


def expected(stage: str) -> Results:
    """The results of a stage as they were pinned, by document; empty if there are none yet."""
    files = sorted((EXPECTED / _folder(stage)).glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def expected_parses() -> Results:
    """The expected parse of every document by its name."""
    return {
        name: result
        for media_type in READ_HERE
        for name, result in expected(parser_stage(media_type).key).items()
    }


def keep(stage: str, results: Results) -> None:
    """Make these results the expected ones."""
    folder = EXPECTED / _folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        path.unlink()
    for name, result in results.items():
        text = json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False)
        (folder / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


def as_kept(results: Results) -> Results:
    """Results as they are read again."""
    return json.loads(json.dumps(results))


def _folder(stage: str) -> str:
    return "".join(letter if letter.isalnum() or letter in ".+" else "-" for letter in stage)
