"""Source code as text: a block for each top-level definition, so that functions stay whole.

What belongs here: cutting any language's code by indentation and blank lines. What does not: parsing
a language, or naming one (`languages`).
"""

from __future__ import annotations

import re

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.markup.languages import language_of
from rag_pipelines.parsing.markup.text import read

_SHEBANG = re.compile(
    r"#!\s*\S*?(?:/|\benv\s+(?:-S\s+)?)(python|bash|zsh|sh|node|ruby|perl|php|Rscript)[\d.]*\b"
)
_SHEBANG_LANGUAGES = {"node": "javascript", "zsh": "bash", "sh": "bash", "Rscript": "r"}
_LONG = 100
"""Lines; a longer definition (a class) is cut once more, between its own members."""


def parse(request: ParseRequest) -> ParsedDocument:
    """The top-level parts of a source file, in order."""
    builder = DocumentBuilder.of("text/x-source-code", request)
    text = read(request, builder).expandtabs(4)
    language = language_of(request.name) or _language_of_shebang(text)
    add_code(builder, text, language)
    return builder.finish()


def add_code(builder: DocumentBuilder, text: str, language: str | None) -> None:
    """Add source code to `builder`, one CODE block per top-level part."""
    for part in _parts(text.split("\n")):
        builder.add(BlockKind.CODE, "\n".join(part), language=language)


def _language_of_shebang(text: str) -> str | None:
    shebang = _SHEBANG.match(text)
    return _SHEBANG_LANGUAGES.get(shebang[1], shebang[1]) if shebang else None


def _parts(lines: list[str]) -> list[list[str]]:
    """Cut where a line that is not indented follows a blank one; cut long parts at the next indentation."""
    parts: list[list[str]] = []
    for part in _cut(lines, 0):
        indents = sorted({_indent(line) for line in part if line.strip()})
        if len(part) > _LONG and len(indents) > 1:
            parts.extend(_cut(part, indents[1]))
        else:
            parts.append(part)
    return parts


def _cut(lines: list[str], indent: int) -> list[list[str]]:
    """Cut before each line of at most `indent` spaces that follows a blank line and opens something."""
    parts: list[list[str]] = [[]]
    after_blank = False
    for line in lines:
        stripped = line.strip()
        if stripped and after_blank and _indent(line) <= indent and stripped[0] not in ")]}":
            parts.append([])
        parts[-1].append(line)
        after_blank = not stripped
    return parts


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
