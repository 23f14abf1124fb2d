"""Macros of Confluence's storage format, each turned into the HTML that shows what a reader sees of it.

What belongs here: which macros are known and which of their parameters are for readers. What does not:
other elements (`confluence_elements`), running or resolving a macro: what one only finds when the page
is shown (an included page, a list of children, a Jira search) is named in square brackets.

A macro that is not known keeps its bodies and every parameter that is not a mere setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

import msgspec

from rag_pipelines.parsing.atlassian.confluence_elements import attribute, children
from rag_pipelines.parsing.html.text import text_of

if TYPE_CHECKING:
    from bs4.element import Tag


class Macro(NamedTuple):
    """How a macro is shown.

    `shown` are the parameters that readers see beside ``title``; "" is the one without a name, and None
    stands for all but settings. A macro without a body is `label` and those parameters, in brackets; where
    the label is "", the parameters alone.
    """

    shown: tuple[str, ...] | None = ()
    label: str = ""


_BODY = Macro(("",))
_FILE = Macro(("name", ""), "File")
_NOTHING = Macro()
_CODE = ("code", "noformat")
_LANGUAGES = ("language", "lang", "")
_RUN_WHEN_SHOWN = (
    "blog-posts", "change-history", "content-by-user", "content-report-table", "contentbylabel",
    "contributors", "contributors-summary", "create-space-button", "detailssummary", "favpages", "gadget",
    "global-reports", "im", "index", "labels-list", "listlabels", "livesearch", "navmap", "network",
    "pagetreesearch", "popular-labels", "profile", "profile-picture", "recently-updated",
    "recently-updated-dashboard", "recently-used-labels", "related-labels", "roadmap", "search",
    "space-attachments", "space-details", "spacejump", "spaces", "status-list", "tasks-report-macro",
)  # fmt: skip
"""Confluence's own macros whose content is found when the page is shown; what they look for is named."""

MACROS: dict[str, Macro] = {
    **dict.fromkeys(
        ("info", "note", "warning", "tip", "panel", "expand", "section", "column", "excerpt", "details",
         "toc-zone", "numberedheadings", "quote", "center"), _BODY
    ),
    **dict.fromkeys(_CODE, Macro()),
    **dict.fromkeys(("view-file", "viewpdf", "viewdoc", "viewxls", "viewppt", "multimedia"), _FILE),
    **dict.fromkeys(("toc", "anchor"), _NOTHING),
    **{name: Macro(None, name) for name in _RUN_WHEN_SHOWN},
    "status": Macro(("",)),
    "jira": Macro(("key", "jqlQuery", "jql", ""), "Jira"),
    "jiraissues": Macro(("key", "jqlQuery", "jql", "url", ""), "Jira"),
    "include": Macro(("", "page"), "Included page"),
    "excerpt-include": Macro(("", "page", "name"), "Included excerpt"),
    "children": Macro(("page", ""), "Child pages"),
    "pagetree": Macro(("root", ""), "Page tree"),
    "attachments": Macro((), "Attachments"),
    "gallery": Macro((), "Gallery"),
    "widget": Macro(("url",), "Embedded"),
    "mathblock": Macro(("body",)),
    "mathinline": Macro(("body",)),
}  # fmt: skip

_SETTINGS = frozenset({
    "align", "apikey", "appid", "appkey", "atlassian-macro-output-type", "bgcolor", "border", "bordercolor",
    "borderstyle", "borderwidth", "class", "cloudid", "collapse", "color", "colour", "columnids", "columns",
    "contentid", "extensionkey", "groupids", "hash", "height", "icon", "id", "layout", "linenumbers",
    "localid", "macroid", "maximumissues", "orientation", "pageid", "password", "revision", "secret",
    "serverid", "size", "style", "template", "theme", "token", "uuid", "version", "width", "_template",
})  # fmt: skip
"""Parameters that are for no reader, whatever the macro, in lower case. Secrets are among them."""

_SETTING = re.compile(
    r"true|false|yes|no|none|auto|any|\d+(?:\.\d+)?(?:px|%|r?em|pt)|#[0-9a-f]{3,8}"
    r"|[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.I,
)
"""Values that are switches, measures, colours and identifiers."""

_PERCENT_ENCODED = re.compile(r"--uriencoded--.*|[^\s:]*%[0-9a-f]{2}\S*", re.I)
"""What some macros store formulas and plans as; an address has a colon before its first escape."""

_UNLABELLED = frozenset({"", "title", "text", "body"})
_PARAMETERS = frozenset({"ac:parameter", "ac:default-parameter"})
_BODIES = frozenset({"ac:rich-text-body", "ac:plain-text-body"})
_IN_VALUES = frozenset({"a", "ri:resource", "span"})
_INLINE_PARENTS = frozenset({
    "a", "ac:caption", "ac:inline-comment-marker", "ac:link", "ac:link-body", "ac:task-body",
    "b", "big", "code", "del", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "i", "li", "p", "s",
    "small", "span", "strong", "sub", "sup", "u",
})  # fmt: skip
_BLOCKS = frozenset({
    "blockquote", "dl", "div", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre",
    "table", "ul",
})  # fmt: skip


def show_macro(tag: Tag) -> bool:
    """Turn a macro, whose inner elements have been turned already, into HTML; whether it is a known one."""
    name = attribute(tag, "ac:name")
    macro = MACROS.get(name) or Macro(None, name)
    parameters, bodies = children(tag, _PARAMETERS), children(tag, _BODIES)
    in_line = tag.parent is not None and tag.parent.name in _INLINE_PARENTS
    if _holds_values_only(tag):
        shown = "; ".join(filter(None, (_describe_parameter(parameter, macro) for parameter in parameters)))
        tag.string = f" {_in_brackets(shown, macro)} "
    else:
        in_line = in_line and name not in _CODE and not any(children(body, _BLOCKS) for body in bodies)
        language = _language(parameters) if name in _CODE else ""
        for parameter in parameters:
            _show_parameter(parameter, macro, in_line=in_line)
        for body in bodies:
            if name in _CODE:
                _show_code(body, language)
            elif in_line:
                body.name = "span"
            else:
                body.name = "pre" if body.name == "ac:plain-text-body" else "div"
    tag.name = "span" if in_line else "blockquote" if name == "quote" else "div"
    return name in MACROS


def _holds_values_only(macro: Tag) -> bool:
    """Whether nothing but the values of its parameters stands in a macro: no body, no stray text."""
    from bs4.element import Tag

    return all(
        (inner.name in _PARAMETERS and _is_value(inner)) if isinstance(inner, Tag) else not str(inner).strip()
        for inner in macro.contents
    )


def _is_value(parameter: Tag) -> bool:
    """Whether a parameter holds a value; one that was never closed holds the body of its macro."""
    from bs4.element import Tag

    return all(inner.name in _IN_VALUES for inner in parameter.contents if isinstance(inner, Tag))


def _describe_parameter(parameter: Tag, macro: Macro) -> str:
    """What readers see of a parameter, with its name where that alone would not be understood."""
    name, value = attribute(parameter, "ac:name"), text_of(parameter)
    if macro.shown is not None:
        return _readable(value) if name == "title" or name in macro.shown else ""
    if not value or name.lower() in _SETTINGS or _SETTING.fullmatch(value):
        return ""
    return _readable(value) if name in _UNLABELLED else f"{name}: {_readable(value)}"


def _in_brackets(shown: str, macro: Macro) -> str:
    """A macro without a body as it is named in the text, if anything of it is for readers."""
    if not macro.label:
        return shown
    if shown:
        return f"[{macro.label}: {shown}]"
    return "" if macro.shown is None else f"[{macro.label}]"


def _show_parameter(parameter: Tag, macro: Macro, *, in_line: bool) -> None:
    """A parameter of a macro with a body, in front of that: a title, say."""
    if not _is_value(parameter):
        parameter.name = "div"
    elif shown := _describe_parameter(parameter, macro):
        parameter.string = f" {shown} "
        parameter.name = "span" if in_line else "p"
    else:
        parameter["hidden"] = ""


def _language(parameters: list[Tag]) -> str:
    """The language of a code macro in lower case; "" where it is not given."""
    named = (tag for tag in parameters if attribute(tag, "ac:name") in _LANGUAGES)
    return next((text_of(tag).partition("/")[0].lower() for tag in named), "")


def _show_code(body: Tag, language: str) -> None:
    """The body of a code macro as ``<pre>`` that is known for code by the ``<code>`` in front."""
    from bs4.element import Tag

    body.name = "pre"
    body.insert(0, Tag(name="code", attrs={"class": f"language-{language}"} if language else {}))


def _readable(value: str) -> str:
    """A value as text where it is stored percent-encoded; of JSON stored so, the strings."""
    if not _PERCENT_ENCODED.fullmatch(value):
        return value
    value = unquote(value.removeprefix("--uriencoded--"))
    try:
        return "; ".join(_strings(msgspec.json.decode(value))) or value
    except (msgspec.DecodeError, RecursionError):
        return value


def _strings(value: Any) -> Iterator[str]:
    """The strings of a JSON value that are for readers."""
    if isinstance(value, str):
        if value and not _SETTING.fullmatch(value):
            yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name.lower() not in _SETTINGS:
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
