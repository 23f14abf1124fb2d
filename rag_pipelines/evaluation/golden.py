"""Golden sets: questions with what should and what must not come back, read and checked.

What belongs here: reading and writing the project's own form. What does not: the values (`questions`), BEIR
and TREC files (`trec`), finding the documents that a question names (`catalogue`), scoring (`scoring`).

A golden set is JSON Lines, one question a line, or YAML with the questions under ``queries``::

    {"id": "wading", "query": "when is the current too strong to wade", "tenant": "acme",
     "user": "ann@example.com", "as": ["group:field"], "tags": ["safety"],
     "expect": [{"path": "manual.pdf", "page": 12, "quote": "If the result is above 0.6, stay out"}],
     "must_not_return": [{"path": "hr/pay.xlsx", "because": "access"}]}

`expect` names what answers the question, each a document by exactly one of ``path`` (with or without the
source's name in front), ``id`` (the external id) and ``url``; ``page``, ``quote`` and ``grade`` (1 is
the least relevant) narrow it. An empty `expect`, or ``"unanswerable": true``, says that there is no
answer for this caller; where it is left out, only `must_not_return` is checked. Only `id` and `query` are
required beside one of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.questions import GoldenSet, Problems, Question, Reference
from rag_pipelines.evaluation.trec import read_beir
from rag_pipelines.model import EVERYONE
from rag_pipelines.query.filters import Filter, filter_from_json
from rag_pipelines.query.hits import Filters


def read_golden(path: Path, split: str | None = None) -> GoldenSet:
    """The golden set in `path`: a file of this module's form, or a BEIR folder (`split` of its qrels).

    Raises:
        UsageError: there is no such file or folder.
        ConfigError: something is wrong with it; every problem is listed with its file and line.
    """
    if path.is_dir():
        return read_beir(path, split)
    if not path.is_file():
        raise UsageError(
            f"there is no golden set {path}; give a .jsonl or .yaml file, or a folder in BEIR form"
        )
    problems = Problems(path)
    rows = _yaml_rows(path, problems) if path.suffix in (".yaml", ".yml") else _json_rows(path, problems)
    questions = tuple(_validate(rows, problems))
    if not questions and not problems.found:
        problems.add(1, "there is no question in it")
    problems.raise_any()
    return GoldenSet(path.stem, questions)


def write_golden(path: Path, questions: Iterable[Question]) -> int:
    """Write questions as JSON Lines; returns their number."""
    encoder = msgspec.json.Encoder()
    lines = [encoder.encode(question) for question in questions]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return len(lines)


def _json_rows(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield number, msgspec.json.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    problems.add(number, f"is not JSON: {error}")


def _yaml_rows(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    import yaml

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problems.add(mark.line + 1 if mark else 1, f"is not YAML: {getattr(error, 'problem', error)}")
        return
    found = {key.value: value for key, value in root.value} if isinstance(root, yaml.MappingNode) else {}
    listed = found.get("queries")
    if not isinstance(listed, yaml.SequenceNode):
        problems.add(1, "has no list of questions; put them under 'queries:'")
        return
    for node in listed.value:
        yield node.start_mark.line + 1, loader.construct_object(node, deep=True)


def _validate(rows: Iterable[tuple[int, Any]], problems: Problems) -> Iterator[Question]:
    seen: dict[str, int] = {}
    for line, row in rows:
        try:
            question = msgspec.convert(row, Question)
            question = msgspec.structs.replace(question, filters=_filters(question.filters))
        except (msgspec.ValidationError, UsageError) as error:
            problems.add(line, f"{error}{_valid_keys(error)}")
            continue
        wrong = list(_problems_of(question))
        if question.id in seen:
            wrong.append(f"the id {question.id!r} came before, in line {seen[question.id]}")
        seen.setdefault(question.id, line)
        for problem in wrong:
            problems.add(line, problem)
        if not wrong:
            yield question


def _filters(given: Any) -> Filters | Filter:
    """What a question is narrowed to. A filter that does not exist is refused: it would narrow nothing."""
    if isinstance(given, Filters):
        return given
    unknown = set(given) - set(Filters.__struct_fields__) if isinstance(given, dict) else set()
    if unknown and unknown & {"field", "all", "any", "not"}:
        return filter_from_json(given, "filters")
    if unknown:
        valid = ", ".join(Filters.__struct_fields__)
        raise UsageError(
            f"there is no filter {', '.join(map(repr, sorted(unknown)))}; valid: {valid}, or a filter with "
            "'field', 'all', 'any' or 'not'"
        )
    return msgspec.convert(given, Filters)


def _valid_keys(error: Exception) -> str:
    """What a question may say, where it says something else."""
    said = str(error)
    if not said.startswith("Object contains unknown field") or " - at " in said:
        return ""
    return f"; valid: {', '.join(field.encode_name for field in msgspec.structs.fields(Question))}"


def _problems_of(question: Question) -> Iterator[str]:
    if not question.id.strip():
        yield "the id is empty"
    if not question.query.strip():
        yield "the query is empty"
    if question.unanswerable and question.expect:
        yield "it is unanswerable and expects something; drop one of them"
    if question.answerable is None and not question.must_not_return and not question.weak:
        yield "it says neither what to expect, nor what must not return, nor that it is unanswerable"
    if EVERYONE in question.principals:
        yield f"'as' need not name {EVERYONE!r}; every caller has it"
    for number, expected in enumerate(question.expect or ()):
        yield from _problems_of_reference(f"expect[{number}]", expected)
    for number, forbidden in enumerate(question.must_not_return):
        yield from _problems_of_reference(f"must_not_return[{number}]", forbidden.reference)


def _problems_of_reference(place: str, reference: Reference) -> Iterator[str]:
    given: Mapping[str, str | None] = {"path": reference.path, "id": reference.id, "url": reference.url}
    named = [key for key, value in given.items() if value]
    if len(named) != 1:
        yield f"{place} names its document by {' and '.join(named) or 'nothing'}; valid: one of path, id, url"
    if reference.page is not None and reference.page < 1:
        yield f"{place}.page is {reference.page}; pages count from 1"
    if reference.grade < 1:
        yield f"{place}.grade is {reference.grade}; 1 is the least, and what is not relevant is left out"
    if reference.quote is not None and not re.search(r"\w", reference.quote):
        yield f"{place}.quote has no word: {reference.quote!r}"
