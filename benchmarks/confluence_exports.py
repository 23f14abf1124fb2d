"""What of real Confluence pages survives parsing: words, macros and tables of exports and of snippets.

What belongs here: reading the bodies of the exports, and an account of every text node of a body that does
not share code with the parser. What does not: page trees, restrictions and attachments (the connector).

A word is lost where the canonical text holds it less often than the text nodes and CDATA sections of the
body do. Text is told apart by where it stands: in the page itself; in parameters of macros that readers
see; in those that are settings (`SETTINGS`, and switches, numbers and identifiers); in fields for machines
(the number and status of a task, attributes and the second copy of what the new editor wrote). All
settings that were left out are printed with their words, so that the list can be judged.

The exit status is 1 if a body failed, or if more than 1 % of the words for readers are lost.

Run with::

    python benchmarks/confluence_exports.py
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import unicodedata
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from history import Figures
from lxml import etree
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rag_pipelines.errors import DocumentError, EmptyDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.atlassian.confluence_macros import MACROS
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.detect import CONFLUENCE
from rag_pipelines.parsing.registry import parse

FIGURES = Figures("confluence_exports")

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
FOLDER = "confluence-exports"
MOST_LOST = 0.01
MOST_SHOWN = 8

PAGE = ""
"""The place of text of the page itself; others are ``macro.parameter`` or the name of a field."""

KINDS = TEXT, PARAMETER, SETTING, FIELD = (
    "text of the page", "parameters for readers", "settings of macros", "fields for machines"
)  # fmt: skip
FOR_READERS = (TEXT, PARAMETER)

SETTINGS = frozenset({
    "_template", "anchor", "atlassian-macro-output-type", "class", "colour", "columnids", "columns", "depth",
    "first", "groupids", "hash", "height", "icon", "id", "lang", "language", "maximumissues", "password",
    "server", "serverid", "size", "sort", "sortandreverse", "startdepth", "style", "theme", "token", "width",
    "anchor.", "code.", "toc.*",
})  # fmt: skip
"""What no reader sees: parameters of any macro, in lower case; those of one macro; all of one macro."""

_PAGES = frozenset({"Page", "BlogPost", "Comment", "ContentEntityObject", None})
"""Owners of the bodies that people write; the others are descriptions of spaces and data of plug-ins."""

_SECTION = re.compile(r"^\.(?:expect|input|runTransformations)\b.*$", re.M)
_SNIPPET = ".input|confluence+xhtml/1.0"
_DIRECTIVE = re.compile(r"^\.(?:#|configuration\.).*$", re.M)
_TOKEN = re.compile(
    r"<!\[CDATA\[(?P<cdata>.*?)\]\]>|<!--.*?-->"
    r"|<(?P<end>/)?(?P<name>[a-z][\w:.-]*)(?P<attributes>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>|(?P<text>[^<]+|<)",
    re.S | re.I,
)
_NAME = re.compile(r"\b(?:ac:)?name=\"([^\"]*)\"")
_MACROS = frozenset({"ac:structured-macro", "ac:macro"})
_PARAMETERS = frozenset({"ac:parameter", "ac:default-parameter"})
_INLINE = frozenset({
    "a", "ac:inline-comment-marker", "ac:link", "ac:link-body", "ac:plain-text-link-body", "b", "code", "em",
    "i", "s", "span", "strong", "sub", "sup", "u",
})  # fmt: skip
_SWITCH = re.compile(
    r"true|false|yes|no|none|auto|any|[\d.]+(?:px|%)?|#?[0-9a-f]{6,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.I,
)
_OF_MACHINES = frozenset({
    "ac:task-id", "ac:task-uuid", "ac:task-status", "ac:adf-attribute", "ac:adf-parameter", "ac:adf-fallback",
})  # fmt: skip


class Body(NamedTuple):
    """The storage format of one page, blog post, comment or snippet."""

    label: str
    markup: str


def bodies(folder: Path) -> Iterator[Body]:
    """Every body of the corpus in `folder`, exports first."""
    for path in sorted(folder.rglob("entities.xml")):
        yield from _exported(path.parent.name, path.read_bytes())
    for path in sorted(folder.rglob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            yield from _exported(path.stem, archive.read("entities.xml"))
    for path in sorted(folder.rglob("*.in.xml")):
        yield Body(path.name, path.read_text(encoding="utf-8"))
    for path in sorted(folder.rglob("*.test")):
        _, found, rest = path.read_text(encoding="utf-8").partition(_SNIPPET)
        if found:
            yield Body(path.name, _DIRECTIVE.sub("", _SECTION.split(rest, maxsplit=1)[0]).strip())


def _exported(name: str, data: bytes) -> Iterator[Body]:
    """The bodies of one ``entities.xml``, where the end of a CDATA section inside another has a space."""
    root = etree.fromstring(data, etree.XMLParser(recover=True, huge_tree=True))
    for entity in root.iter("object"):
        if entity.get("class") != "BodyContent":
            continue
        properties = {known.get("name"): known for known in entity.findall("property")}
        owner = properties["content"].get("class") if "content" in properties else None
        if owner in _PAGES and "body" in properties:
            number = entity.findtext("id") or "?"
            markup = "".join(properties["body"].itertext())
            yield Body(f"{name} {number}", markup.replace("]] >", "]]>"))


def words(text: str) -> Counter[str]:
    """The words of a text and how often each occurs."""
    return Counter(re.findall(r"\w+", unicodedata.normalize("NFC", text)))


class Account(NamedTuple):
    """What became of the words in one place of one body."""

    place: str
    kind: str
    found: Counter[str]
    lost: Counter[str]


def account(markup: str, text: str) -> list[Account]:
    """What became of every word of a body whose canonical text is `text`, words for readers first."""
    left = words(text)
    accounts = []
    nodes = [(place, _stored_text(value)) for place, value in text_nodes(markup)]
    for place, value in sorted(nodes, key=lambda node: KINDS.index(_kind(*node))):
        found = words(value)
        accounts.append(Account(place, _kind(place, value), found, found - left))
        left -= found
    return accounts


def _kind(place: str, value: str) -> str:
    macro, dot, parameter = place.partition(".")
    if place == PAGE:
        return TEXT
    if not dot:
        return FIELD
    if parameter.lower() in SETTINGS or place in SETTINGS or f"{macro}.*" in SETTINGS:
        return SETTING
    return SETTING if _SWITCH.fullmatch(value.strip()) else PARAMETER


def _stored_text(value: str) -> str:
    """Text that a macro stores percent-encoded; of a roadmap's JSON what is drawn."""
    if "%" not in value or re.search(r"\s", value.strip()) or "://" in value:
        return value
    text = unquote(value.strip().removeprefix("--uriencoded--"))
    return " ".join(re.findall(r'"(?:title|description)":"([^"]*)"', text)) if text.startswith("{") else text


def text_nodes(markup: str) -> list[tuple[str, str]]:
    """The place and the text of each stretch of text: `PAGE`, ``macro.parameter``, or the name of a field.

    Inline elements do not end a stretch, so that a word with one bold letter is one word.
    """
    nodes: list[tuple[str, str]] = []
    opened: list[tuple[str, str]] = [("", PAGE)]
    macros: list[str] = []
    for token in _TOKEN.finditer(markup):
        place = opened[-1][1]
        if token["text"] or token["cdata"]:
            text = token["cdata"] or unescape(token["text"])
            if nodes and nodes[-1][0] == place:
                text = nodes.pop()[1] + text
            nodes.append((place, text))
            continue
        name, attributes = token["name"], token["attributes"] or ""
        if name is None or name in _INLINE:
            continue
        nodes.append((place, " "))
        if token["end"]:
            while len(opened) > 1 and any(known == name for known, _ in opened):
                if opened.pop()[0] == name:
                    break
            if name in _MACROS and macros:
                macros.pop()
        elif not attributes.endswith("/"):
            named = _NAME.search(attributes)
            if name in _MACROS:
                macros.append(named[1] if named else "?")
            elif name in _PARAMETERS:
                place = f"{macros[-1] if macros else '?'}.{named[1] if named else ''}"
                opened.append((name, place))
            elif name in _OF_MACHINES:
                opened.append((name, name))
    return nodes


def tables(markup: str) -> tuple[int, int]:
    """How many tables a body has, and how many of them stand inside another."""
    depth = nested = count = 0
    for token in _TOKEN.finditer(markup):
        if token["name"] == "table":
            if token["end"]:
                depth = max(depth - 1, 0)
            else:
                count, nested, depth = count + 1, nested + (depth > 0), depth + 1
    return count, nested


def treatment(name: str) -> str:
    """What the parser makes of a macro, in words."""
    macro = MACROS.get(name)
    if macro is None:
        return "unknown: bodies, and parameters but settings, kept as text"
    if macro.shown is None:
        return "[its name: parameters but settings]"
    if macro.label:
        return f"[{macro.label}: …]"
    return f"{', '.join(filter(None, ('title', *macro.shown)))} and the body, where it has them"


class Result(NamedTuple):
    """A body and its parsed form, or why there is none; an empty body has neither."""

    body: Body
    document: ParsedDocument | None
    error: DocumentError | None


def run(folder: Path) -> list[Result]:
    """Parse every body of the corpus."""
    results = []
    for body in bodies(folder):
        document = error = None
        try:
            document = parse(ParseRequest(body.markup.encode(), declared_type=CONFLUENCE))
        except EmptyDocumentError:
            pass
        except DocumentError as failure:
            error = failure
        results.append(Result(body, document, error))
    return results


def lost_share(accounts: list[Account]) -> float:
    """The share of the words for readers that are lost."""
    chosen = [entry for entry in accounts if entry.kind in FOR_READERS]
    return sum(entry.lost.total() for entry in chosen) / sum(entry.found.total() for entry in chosen)


def report(results: list[Result], console: Console) -> bool:
    """Print the tables; whether every body was read and no more than 1 % of the words are lost."""
    failed = [result for result in results if result.error]
    parsed = [result.document for result in results if result.document]
    empty = len(results) - len(parsed) - len(failed)
    console.print(f"{len(results)} bodies: {len(parsed)} parsed, {empty} empty, {len(failed)} failed")
    for result in failed:
        console.print(f"  {result.body.label}: {type(result.error).__name__}: {result.error}")

    accounts = [
        entry
        for result in results
        for entry in account(result.body.markup, result.document.text if result.document else "")
    ]
    table = Table("where", "words", "lost", "share", title="Words of text nodes and CDATA sections")
    groups = {"for readers": FOR_READERS} | {kind: (kind,) for kind in KINDS} | {"all": KINDS}
    for label, kinds in groups.items():
        chosen = [entry for entry in accounts if entry.kind in kinds]
        found = sum(entry.found.total() for entry in chosen)
        lost = sum(entry.lost.total() for entry in chosen)
        table.add_row(label, f"{found:,}", f"{lost:,}", f"{lost / found:.2%}" if found else "")
        if found:
            FIGURES.ratio(f"words lost, {label}", lost / found)
    console.print(table)
    _print_lost(accounts, console)
    _print_macros(results, console)

    counts = [tables(result.body.markup) for result in results]
    total, nested = sum(count for count, _ in counts), sum(inside for _, inside in counts)
    kept = sum(block.kind is BlockKind.TABLE for document in parsed for block in document.blocks)
    console.print(
        f"{total} tables in the source: {kept} kept as tables, {nested} inside a cell of another, "
        f"{total - nested - kept} read through because they have one column or only arrange the page"
    )
    return not failed and lost_share(accounts) <= MOST_LOST


def _print_lost(accounts: list[Account], console: Console) -> None:
    """The words that are not in the text, by kind and place."""
    table = Table("kind", "place", "words left out", title="Left out")
    for kind in KINDS:
        lost: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in accounts:
            if entry.kind == kind and entry.lost:
                lost[entry.place] += entry.lost
        for place, left_out in sorted(lost.items()):
            shown = ", ".join(f"{word} {count}" for word, count in left_out.most_common(MOST_SHOWN))
            table.add_row(kind, place or "(page)", shown + (", …" if len(left_out) > MOST_SHOWN else ""))
    console.print(table)


def _print_macros(results: list[Result], console: Console) -> None:
    """Which macros occur, by what becomes of them."""
    met: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        for token in _TOKEN.finditer(result.body.markup):
            if token["name"] in _MACROS and not token["end"]:
                named = _NAME.search(token["attributes"])
                name = named[1] if named else ""
                met[treatment(name)][name] += 1
    table = Table("macros", "what is shown", "names", title="Macros")
    for shown, names in sorted(met.items(), key=lambda item: -item[1].total()):
        listed = ", ".join(f"{name or '(no name)'} {count}" for name, count in names.most_common())
        table.add_row(str(names.total()), escape(shown), escape(listed))
    console.print(table)


def main() -> None:
    """Parse the corpus and print what became of it."""
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    folder = DATA / FOLDER
    if not folder.exists():
        sys.exit(f"no corpus {folder}; set RAG_DATA_DIR to the folder that holds {FOLDER}")
    well = report(run(folder), Console(width=140))
    FIGURES.record()
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
