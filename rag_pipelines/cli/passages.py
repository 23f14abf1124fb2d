"""How hits are shown to a person: score, citation, the part that the question is about, how each came about.

What belongs here: cutting, marking and printing of passages and explanations. What does not: searching.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from rag_pipelines.query.context import PackedContext
    from rag_pipelines.query.hits import Hit, Result, Scores, Step

SNIPPET_CHARACTERS = 420

_COMMON = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "had", "has",
    "have", "how", "i", "if", "in", "is", "it", "may", "me", "my", "of", "on", "or", "that", "the", "this",
    "to", "was", "we", "what", "when", "where", "which", "who", "whose", "why", "will", "with", "you",
    "your",
})  # fmt: skip
"""Words of a question that say nothing of its subject."""

_WORD = re.compile(r"\w+(?:[-./]\w+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+|\n")


def show_hits(hits: Iterable[Hit], question: str) -> None:
    """Print hits on stdout, best first."""
    from rich.padding import Padding
    from rich.text import Text

    from rag_pipelines.cli.output import stdout

    pattern = term_pattern(question)
    for rank, hit in enumerate(hits, 1):
        line = Text.assemble(
            (f"{rank:>2}  ", "bold"), (f"{hit.scores.fused:.3f}  ", "cyan"), (hit.citation, "bold")
        )
        stdout().print(line)
        fresh = f"   as of {hit.as_of:%Y-%m-%d %H:%M} UTC" if hit.as_of else ""
        stdout().print(
            Padding(Text(f"{hit.source}: {hit.url or hit.path}{fresh}", "dim"), (0, 0, 0, 4), expand=False)
        )
        if hit.text_of:
            old = f"text of {hit.text_of:%Y-%m-%d}; the newer bytes cannot be read"
            stdout().print(Padding(Text(old, "yellow"), (0, 0, 0, 4), expand=False))
        stdout().print(Padding(_highlight(hit, pattern), (0, 0, 1, 4), expand=False))


def show_context(packed: PackedContext) -> None:
    """Print what a model is given to read on stdout, and what is to be said of it on stderr."""
    from rag_pipelines.cli.output import number, say

    sys.stdout.write(packed.text + "\n" if packed.passages else "")
    verdict = {True: "holds an answer", False: "holds no answer", None: "may hold an answer"}
    say(f"{verdict[packed.answerable]}: {packed.reason}")
    say(f"{number(packed.tokens, 'token')}; {number(packed.left_out, 'passage')} over the token limit")
    for passage in packed.suspicious:
        say(f"note: [{passage.citation.number}] has text that looks like instructions to a model")


def show_explanation(result: Result) -> None:
    """Print how each hit came about on stdout: its scores and ranks, and where each stage put it."""
    from rag_pipelines.cli.output import print_table

    places = [{place.chunk_id: place for place in step.places} for step in result.steps]
    rows = []
    for rank, hit in enumerate(result.unquoted.hits if result.unquoted else result.hits, 1):
        scores = hit.scores
        after = (step[hit.chunk_id] for step in places)
        rows.append((
            rank, hit.citation, _format_score(scores.dense, scores.dense_rank),
            _format_score(scores.lexical or None, scores.lexical_rank), _format_document(scores),
            scores.pairs, f"{scores.fused:.3f}",
            *(_format_score(place.score, place.rank) for place in after),
        ))  # fmt: skip
    stages = (step.stage for step in result.steps)
    columns = ("", "passage", "dense", "lexical", "document", "pairs", "fused", *stages)
    print_table(columns, rows, title="score (rank); document: dense + lexical")
    print_table(("step", "ms", "what it did"), [*_before(result), *map(_step_row, result.steps)])


def _format_score(score: float | None, rank: int | None) -> str | None:
    return None if score is None else f"{score:.3f} ({rank})"


def _format_document(scores: Scores) -> str | None:
    """What the document says as a whole, where that counted."""
    dense, lexical = scores.document_dense, scores.document_lexical
    return None if dense is None or lexical is None else f"{dense:.3f} + {lexical:.3f}"


def _before(result: Result) -> Iterator[tuple[str, float | None, str]]:
    """What happened before the stages."""
    rewritten, route = result.rewritten, result.route
    if rewritten:
        changes = ", ".join(f"{change.kind}: {change.old} → {change.new}" for change in rewritten.changes)
        yield "rewriting", None, "; ".join(filter(None, (changes or "nothing to change", rewritten.note)))
    yield "embedding", round(result.embed_ms, 1), ""
    if route:
        dense = "all that the caller may see was compared" if route.exact else "by the vector index"
        words = "" if route.thorough else "; the most frequent terms gave no candidates"
        spent = result.search_ms - sum(step.ms for step in result.steps)
        yield "search", round(spent, 1), dense + words


def _step_row(step: Step) -> tuple[str, float, str]:
    return step.stage, round(step.ms, 1), step.note


def term_pattern(question: str) -> re.Pattern[str] | None:
    """Finds the words of a question in a passage, up to their endings; None where there is none to find."""
    words = {word for word in _WORD.findall(question) if word.lower() not in _COMMON}
    if not words:
        return None
    stems = sorted({_stem(word) for word in words}, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(stems)})", re.IGNORECASE)


def snippet(text: str, pattern: re.Pattern[str] | None, budget: int = SNIPPET_CHARACTERS) -> str:
    """The run of sentences or lines of at most `budget` characters that holds most of the question's words.

    Lines stay lines, so that rows of a table can be read. What was left out is an ellipsis.
    """
    if len(text) <= budget:
        return text
    bounds = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    matches = [(m.start(), m.group().lower()) for m in pattern.finditer(text)] if pattern else []
    best, most = (0, _end_within(bounds, 0, budget)), (-1, -1)
    for begin in bounds[:-1]:
        end = _end_within(bounds, begin, budget)
        inside = [word for at, word in matches if begin <= at < end]
        if (len(set(inside)), len(inside)) > most:
            best, most = (begin, end), (len(set(inside)), len(inside))
    begin, end = best
    before = ("…\n" if text[begin - 1] == "\n" else "… ") if begin else ""
    after = ("\n…" if text[end - 1] == "\n" else " …") if end < len(text) else ""
    return before + text[begin:end].strip("\n ") + after


def _end_within(bounds: list[int], begin: int, budget: int) -> int:
    """The furthest bound within the budget; a single longer piece is cut."""
    fitting = [bound for bound in bounds if begin < bound <= begin + budget]
    return fitting[-1] if fitting else min(begin + budget, bounds[-1])


def _stem(word: str) -> str:
    """A pattern for a word and its other endings; identifiers and short words stand for themselves."""
    if not word.isalpha() or len(word) < 5:
        return re.escape(word) + r"\b"
    return re.escape(word[: max(4, len(word) - 3)]) + r"\w{0,5}\b"


def _highlight(hit: Hit, pattern: re.Pattern[str] | None) -> Text:
    from rich.text import Text

    text = snippet(hit.text, pattern)
    if hit.context and "|" in hit.context:
        text = f"{hit.context.strip()}\n{text}"
    shown = Text(text)
    if pattern:
        shown.highlight_regex(pattern, "bold yellow")
    return shown
