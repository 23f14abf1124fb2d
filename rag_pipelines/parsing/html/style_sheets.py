"""Which elements of a page its own style sheets hide.

What belongs here: the rules of ``<style>`` elements that set `display` or `visibility`, as far as tags,
classes and ids decide them. What does not: the attributes of an element (`visibility`), and sheets in other
files, which are never fetched.

The rule that wins is found as CSS Cascading 4 (section 6) has it, in a window of a desktop. A rule with
another selector (``nav:hover .menu``) hides nothing; what one might show is taken for shown.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bs4.element import Tag

WINDOW = 1280
"""Width in pixels, for conditions of `@media`."""

_EM = 16
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)", re.I)
_SHOWN_INSIDE = re.compile(r"visibility\s*:\s*visible", re.I)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|<!--|-->", re.DOTALL)
_CODE_POINT = re.compile(r"\\([0-9a-f]{1,6})\s?", re.I)
_BRACE = re.compile(r"([^{}]*)([{}])")
_DECLARED = re.compile(r"(?<![\w-])(display|visibility)\s*:\s*([a-z-]+)[^;!]*(!\s*important)?", re.I)
_HIDING_VALUES = frozenset({"none", "hidden", "collapse"})

_NAME = r"(?:[\w-]|\\.)+"
_SIMPLE = re.compile(rf"(?:[a-z][\w-]*)?(?:[.#]{_NAME})*", re.I)
_PART = re.compile(rf"([.#]?)({_NAME})")
_LAST_COMPOUND = re.compile(r"(?:[^\s>+~\\]|\\.)+\Z")
_OTHER_PART = re.compile(r"(?<!\\)(?:::?[\w-]+(?:\([^()]*\))?|\[[^\]]*\])")
_MEDIA_WIDTH = re.compile(r"\((min|max)-width\s*:\s*(\d+(?:\.\d+)?)\s*(px|em|rem)\)")
_NEVER_HIDDEN = frozenset({"html", "body"})
"""Pages hide these until a script has run."""


class _Rule(NamedTuple):
    """What a rule says of an element with this tag, id and these classes, if it is `certain` to match.

    `weight` is its rank among rules: importance, ids, classes, tags, order.
    """

    tag: str
    id: str
    classes: frozenset[str]
    hides: bool
    certain: bool
    weight: tuple[bool, int, int, int, int]


class StyleSheets:
    """The rules of a page, by something that their elements must have."""

    def __init__(self, css: str) -> None:
        css = _CODE_POINT.sub(_character, _COMMENT.sub(" ", css))
        self._rules: dict[str, dict[str, list[_Rule]]] = {"display": defaultdict(list)}
        if not _SHOWN_INSIDE.search(css):
            self._rules["visibility"] = defaultdict(list)
        order = 0
        for selectors, applies, body in _rules(css):
            for name, value, important in _DECLARED.findall(body):
                order += 1
                if (rules := self._rules.get(name.lower())) is None:
                    continue
                hides = value.lower() in _HIDING_VALUES
                for selector in selectors.split(","):
                    rule = _rule(selector.strip(), hides, applies is True, bool(important), order)
                    if rule.certain or not hides:
                        rules[_key(rule)].append(rule)

    def hides(self, tag: Tag) -> bool:
        """Whether the rules hide an element, if its attributes say nothing of that."""
        return tag.name not in _NEVER_HIDDEN and any(_decide(tag, rules) for rules in self._rules.values())


def sheets_of(styles: Sequence[Tag]) -> StyleSheets | None:
    """The ``<style>`` elements of a page as one, None where they hide nothing."""
    texts = [(style, style.get_text()) for style in styles]
    if not any(_HIDING.search(text) for _, text in texts):
        return None
    return StyleSheets(
        "\n".join(
            f"@media {style.attrs.get('media') or 'all'} {{{text}}}"
            for style, text in texts
            if style.find_parent(("noscript", "template")) is None
        )
    )


def _rules(css: str) -> Iterator[tuple[str, bool | None, str]]:
    """Selectors and declarations of each rule, and whether it applies; None where that is not known."""
    around: list[tuple[str, bool | None]] = []
    for before, brace in _BRACE.findall(css):
        if brace == "{":
            prelude = before.rpartition(";")[2].strip()
            selectors, applies = around[-1] if around else ("", True)
            if prelude.lower().startswith("@media"):
                inner = _applies(prelude[6:])
            else:
                inner = None if prelude.startswith("@") or selectors else True
            both = False if False in (applies, inner) else None if None in (applies, inner) else True
            around.append(("" if prelude.startswith("@") else prelude, both))
        elif around:
            selectors, applies = around.pop()
            if selectors and applies is not False:
                yield selectors, applies, before


def _rule(selector: str, hides: bool, applies: bool, important: bool, order: int) -> _Rule:
    """A rule for the element that a selector ends with; one that is not simple weighs what it may at most."""
    last = _LAST_COMPOUND.search(selector)
    parts = _PART.findall(_OTHER_PART.sub("", last[0])) if last else []
    names = {mark: [re.sub(r"\\(.)", r"\1", name) for kind, name in parts if kind == mark] for mark in "#."}
    tags = [name.lower() for kind, name in parts if not kind]
    certain = applies and bool(parts) and _SIMPLE.fullmatch(selector) is not None and len(names["#"]) < 2
    ids, classes, elements = len(names["#"]), len(names["."]), len(tags)
    if not certain:
        ids, classes = selector.count("#"), sum(map(selector.count, ".:["))
        elements = len(selector.split())
    return _Rule(
        "".join(tags[:1]),
        "".join(names["#"][:1]),
        frozenset(names["."]),
        hides,
        certain,
        (important, ids, classes, elements, order),
    )


def _key(rule: _Rule) -> str:
    return f"#{rule.id}" if rule.id else f".{min(rule.classes)}" if rule.classes else rule.tag


def _decide(tag: Tag, rules: dict[str, list[_Rule]]) -> bool:
    """Whether the rule that weighs most hides the element."""
    identity = str(tag.attrs.get("id", ""))
    classes = frozenset(tag.get_attribute_list("class")) if "class" in tag.attrs else frozenset()
    matching = [
        rule
        for key in (tag.name, "", f"#{identity}", *(f".{name}" for name in classes))
        for rule in rules.get(key, ())
        if rule.tag in ("", tag.name) and rule.id in ("", identity) and rule.classes <= classes
    ]
    return bool(matching) and max(matching, key=lambda rule: rule.weight).hides


def _applies(condition: str) -> bool | None:
    """Whether a list of media queries holds on a screen of `WINDOW`; None where it says anything else."""
    answers = [_holds(query.strip().lower()) for query in condition.split(",")]
    return True if True in answers else None if None in answers else False


def _holds(query: str) -> bool | None:
    known: bool | None = True
    for part in re.split(r"\s+and\s+", query.removeprefix("only ")):
        if part in ("print", "speech"):
            return False
        if width := _MEDIA_WIDTH.fullmatch(part):
            pixels = float(width[2]) * (1 if width[3] == "px" else _EM)
            if (pixels > WINDOW) if width[1] == "min" else (pixels < WINDOW):
                return False
        elif part not in ("all", "screen", ""):
            known = None
    return known


def _character(escape: re.Match[str]) -> str:
    """The character of an escaped code point, as it is where a name may hold it."""
    code = int(escape[1], 16)
    found = chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
    return found if found.isalnum() or found in "_-" else f"\\{found}"
