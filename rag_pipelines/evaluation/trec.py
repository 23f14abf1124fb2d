"""Files that other evaluation tools read and write: BEIR folders, TREC judgements, TREC runs.

What belongs here: these forms and nothing else's. What does not: the project's own form (`golden`).

A BEIR folder has ``queries.jsonl`` (``_id``, ``text``) and ``qrels/<split>.tsv`` (query, document, grade,
under a header line). Queries may also be ``queries.tsv`` (id, text), judgements TREC's four columns (query,
iteration, document, grade). Only judged queries are asked. The document's name is its external id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.questions import GoldenSet, Problems, Question, Reference


def read_beir(folder: Path, split: str | None = None) -> GoldenSet:
    """The judged queries of a BEIR folder, in the order of their file.

    Args:
        split: which file of ``qrels``; needed where there are several.

    Raises:
        UsageError: a file is missing, or there are several splits and none was named.
        ConfigError: a line cannot be read; every problem is listed.
    """
    judged = _judgements(_qrels_file(folder, split))
    texts = _queries(_queries_file(folder, split))
    problems = Problems(folder)
    for identity in judged.keys() - texts.keys():
        problems.add(1, f"query {identity!r} is judged but not among the queries")
    problems.raise_any()
    questions = (
        Question(
            id=identity,
            query=text,
            expect=tuple(Reference(id=document, grade=grade) for document, grade in judged[identity]),
        )
        for identity, text in texts.items()
        if judged.get(identity)
    )
    return GoldenSet(f"{folder.name}/{split}" if split else folder.name, tuple(questions))


def write_run(file: TextIO, rankings: Iterable[tuple[str, Sequence[tuple[str, float]]]], name: str) -> None:
    """Write rankings as a TREC run: ``query Q0 document rank score name``, white space in names escaped.

    Args:
        rankings: a query's id with (document, score), best first. Where scores do not fall strictly, the
            score written is the one that keeps this order: tools sort by it, trec_eval in single precision.
    """
    from numpy import float32, inf, nextafter

    for identity, ranking in rankings:
        last = float32(inf)
        for rank, (document, score) in enumerate(ranking, 1):
            last = min(float32(score), nextafter(last, float32(-inf)))
            file.write(f"{_word(identity)} Q0 {_word(document)} {rank} {last:.9g} {_word(name)}\n")


def _word(text: str) -> str:
    return quote(text, safe="/:@!$&'()*+,;=?#[]~{}|^<>\"\\`") if any(map(str.isspace, text)) else text


def _qrels_file(folder: Path, split: str | None) -> Path:
    files = {path.stem: path for path in sorted((folder / "qrels").glob("*.*"))}
    if split is None and len(files) == 1:
        return next(iter(files.values()))
    if split not in files:
        asked = f"has no split {split!r}" if split else "has several splits; name one with --split"
        raise UsageError(f"{folder} {asked}; valid: {', '.join(files) or 'none, there is no qrels/*.tsv'}")
    return files[split]


def _queries_file(folder: Path, split: str | None) -> Path:
    names = ["queries.jsonl", "queries.tsv"]
    if split:
        names = [f"queries_{split}.jsonl", f"queries-{split}.jsonl", *names]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{folder} has no queries; looked for {', '.join(names)}")


class _Query(msgspec.Struct):
    id: str = msgspec.field(name="_id")
    text: str


def _queries(path: Path) -> dict[str, str]:
    problems = Problems(path)
    found: dict[str, str] = {}
    for number, line in _lines(path):
        try:
            if path.suffix == ".jsonl":
                query = msgspec.json.decode(line, type=_Query)
            else:
                identity, _, text = line.partition("\t")
                query = _Query(identity, text.strip())
        except msgspec.DecodeError as error:
            problems.add(number, str(error))
            continue
        if not query.text.strip():
            problems.add(number, f"query {query.id!r} has no text")
        if query.id in found:
            problems.add(number, f"query {query.id!r} came before")
        found[query.id] = query.text
    problems.raise_any()
    return found


def _judgements(path: Path) -> dict[str, list[tuple[str, int]]]:
    """Document and grade of what is relevant, by query; judged but not relevant is left out."""
    problems = Problems(path)
    found: dict[str, list[tuple[str, int]]] = {}
    for number, line in _lines(path):
        cells = line.rstrip("\n").split("\t") if "\t" in line else line.split()
        if len(cells) not in (3, 4):
            problems.add(number, f"has {len(cells)} columns; valid: query, document, grade, or TREC's four")
            continue
        identity, document, grade = cells[0], cells[-2], cells[-1].strip()
        if not grade.lstrip("+-").isdigit():
            if number > 1:
                problems.add(number, f"the grade is {grade!r}; valid: a whole number")
            continue
        judged = found.setdefault(identity, [])
        if int(grade) > 0:
            judged.append((document, int(grade)))
    problems.raise_any()
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as file:
        yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
