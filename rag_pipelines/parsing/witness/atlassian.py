"""The words of Confluence pages and Jira issues.

What belongs here: which elements, members and marks of these languages hold what a reader sees. What does
not: HTML (`html`), what a macro or node becomes (`parsing.atlassian`).
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Any

from rag_pipelines.parsing.witness import html

_CDATA = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\Z)", re.DOTALL)
_MACHINE_READ = re.compile(
    r"<(ac:parameter|ac:default-parameter|ac:task-id|ac:task-uuid|ac:task-status|ac:placeholder|ac:adf-parameter"
    r"|ac:adf-attribute|ac:adf-fallback|ac:emoticon|ac:adf-mark)(?=[\s>])(?:[^>]*[^/>])?(?:>|\Z).*?(?:</\1\s*>|\Z)",
    re.DOTALL,
)
_TEXTS = frozenset({"summary", "description", "value", "body"})
_WIKI = re.compile(
    r"\{[^{}\n]*\}|\[[^\[\]\n|]*://[^\[\]\n]*\]|\|[^\[\]\n|]*\]|(?<!\w)![^!\n]*!|^\s*(?:h[1-6]|bq)\.|\b\w{1,20}://\S*"
    r"|\[~[^\]\n]*\]|\[\^[^\]\n]*\]|\[#[^\]\n]*\]|\[mailto:[^\]\n]*\]|\\\\?|^[ \t]*[-#*]+[ \t]",
    re.MULTILINE,
)
"""Macros, addresses, pictures, persons and files, and the marks of headings and items."""


def page_text(markup: str) -> str:
    """The text between the tags of a page in storage format, with that of macros."""
    if "<![CDATA[" in markup:
        markup = _CDATA.sub(lambda section: escape(section[1], quote=False), markup)
    if "<ac:" in markup:
        markup = _MACHINE_READ.sub("\n", markup)
    return html.text(markup)


def issue_text(issue: dict[str, Any]) -> str:
    """The texts of an issue: nodes of text in ADF, plain strings, and wiki markup without its marks."""
    has_wiki = issue.get("format") != "adf"
    found: list[str] = []
    values: list[Any] = [issue]
    while values:
        value = values.pop()
        if isinstance(value, list):
            values += value
        elif isinstance(value, dict):
            is_node = "type" in value and ("text" in value or "content" in value)
            for name, held in value.items():
                if isinstance(held, dict | list):
                    values.append(held)
                elif isinstance(held, str) and name == "text" and is_node:
                    found.append(held)
                elif isinstance(held, str) and name in _TEXTS and not is_node:
                    found.append(unescape(_WIKI.sub(" ", held)) if has_wiki and name != "summary" else held)
    return "\n".join(found)
