"""What a web page says about itself: its address, its links, whether it may be listed, and what it is not.

What belongs here: reading the head and the links of one page, and telling a page from an error, a login or an
empty frame that is shown as one. What does not: its content (`parsing.html`), fetching.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from lxml import etree, html

from rag_pipelines.errors import DocumentError, ForbiddenEntityError, RagError, UnsupportedDocumentError
from rag_pipelines.fingerprint import sha256
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.html.parse import parse

FEW_WORDS = 60
"""A page of more is content, whatever it calls itself."""

_SPACES = re.compile(r"\s+")
_NOT_FOUND = re.compile(
    r"\b(?:404|page (?:was |could )?not (?:be )?found|page (?:does not|doesn't) exist|nothing (?:was )?found|"
    r"seite (?:wurde )?nicht gefunden|page (?:introuvable|non trouvée)|página no encontrada|"
    r"pagina non trovata)\b",
    re.I,
)
_CLOSED_FOR_NOW = re.compile(
    r"\b(?:(?:under|undergoing|down for|scheduled) maintenance|(?:be|are) (?:right )?back (?:soon|shortly)|"
    r"temporarily (?:unavailable|down|closed|offline)|wartungsarbeiten|in maintenance|en maintenance|"
    r"en mantenimiento|in manutenzione)\b",
    re.I,
)
_SCRIPTS_WANTED = re.compile(
    r"(?:enable|activate|requires?|need)\b.{0,40}\bjavascript|javascript.{0,40}\b(?:enable|disabled|required)",
    re.I,
)
_SENT_ON = re.compile(r"\s*[01]?(?:\.\d*)?\s*[;,]\s*url\s*=\s*[\"']?\s*([^\"'\s]+)", re.I)
_TEXTLESS = ("script", "style", "noscript", "template", "head", "svg")
_LINKED = ("a", "area", "iframe", "frame")


class PageFacts(msgspec.Struct, frozen=True):
    """What one page says. Addresses are as they stand there, relative to `base`.

    `words` counts those that a reader sees without scripts, `told` are the first of them with the title.
    """

    base: str | None = None
    canonical: str | None = None
    links: tuple[str, ...] = ()
    indexed: bool = True
    followed: bool = True
    language: str | None = None
    words: int = 0
    told: str = ""
    asks_password: bool = False
    wants_scripts: bool = False


def facts_of(body: bytes, headers: Mapping[str, str], agent: str) -> PageFacts:
    """Read a page. One that cannot be read as HTML says nothing.

    Raises `DocumentError` for one of which libxml2 reads a part only: it nests more than 2,048 elements.
    """
    directives = _directives(headers.get("X-Robots-Tag", ""), agent)
    parser = _parser(_charset(headers))
    try:
        root = html.document_fromstring(body, parser=parser)
    except (etree.LxmlError, ValueError):
        return PageFacts(indexed="noindex" not in directives)
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise DocumentError("the page is nested too deeply: what it says of itself cannot be read")
    canonical = base = sent_on = None
    for element in root.iter("link", "meta", "base"):
        if element.tag == "base":
            base = base or element.get("href")
        elif element.tag == "meta":
            if (element.get("name") or "").lower() in ("robots", agent.lower()):
                directives |= _directives(element.get("content") or "", agent)
            elif (element.get("http-equiv") or "").lower() == "refresh":
                sent_on = sent_on or _refresh(element)
        elif "canonical" in (element.get("rel") or "").lower().split():
            canonical = canonical or element.get("href")
    links = []
    for element in root.iter(*_LINKED):
        target = element.get("href") or element.get("src")
        if target and "nofollow" not in (element.get("rel") or "").lower().split():
            links.append(target)
    if sent_on:
        links.append(sent_on)
    text = _shown(root)
    title = _SPACES.sub(" ", root.findtext(".//title") or "").strip()
    unscripted = " ".join(element.text_content() for element in root.iter("noscript"))
    mount = any(not len(element) and not (element.text or "").strip() for element in root.iter("div", "main"))
    return PageFacts(
        base=base,
        canonical=canonical or sent_on,
        links=tuple(dict.fromkeys(links)),
        indexed=not directives & {"noindex", "none"},
        followed=not directives & {"nofollow", "none"},
        language=root.get("lang"),
        words=len(text.split()),
        told=f"{title} {text[:500]}".strip(),
        asks_password=any((one.get("type") or "").lower() == "password" for one in root.iter("input")),
        wants_scripts=next(root.iter("script"), None) is not None
        and (mount or bool(_SCRIPTS_WANTED.search(f"{unscripted} {text}"))),
    )


def why_no_page(facts: PageFacts) -> RagError | None:
    """Why an answer that claims to be a page is none; None where it is one."""
    if facts.words > FEW_WORDS:
        return None
    if facts.asks_password:
        return ForbiddenEntityError("the site shows a login instead of the page")
    if _CLOSED_FOR_NOW.search(facts.told):
        return DocumentError("the site says in words that it is closed for now")
    if _NOT_FOUND.search(facts.told):
        return DocumentError("the site says in words that there is no such page, and answers 200")
    if facts.wants_scripts and facts.words <= 10:
        return UnsupportedDocumentError("the page shows nothing without scripts, which are not run")
    return None


def content_of(body: bytes, media_type: str) -> bytes:
    """A hash of what the page is about: the text of its main content, as it is parsed."""
    document = parse(ParseRequest(body, declared_type=media_type))
    return sha256(document.text.encode("utf-8", "replace"))


def _shown(root: html.HtmlElement) -> str:
    pieces = []
    for element in root.iter():
        silent = not isinstance(element.tag, str) or element.tag in _TEXTLESS
        if not silent and element.text:
            pieces.append(element.text)
        if element.tail and element.getparent() is not None and element.getparent().tag not in _TEXTLESS:
            pieces.append(element.tail)
    return _SPACES.sub(" ", " ".join(pieces)).strip()


def _refresh(element: html.HtmlElement) -> str | None:
    """Where a page sends its readers on at once; what it does to those without scripts does not count."""
    match = _SENT_ON.match(element.get("content") or "")
    return match[1] if match and next(element.iterancestors("noscript"), None) is None else None


def _directives(text: str, agent: str) -> set[str]:
    """The robots directives for us in a header or a meta element: ``noindex, otherbot: nofollow``."""
    found = set()
    addressee = ""
    for part in text.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in ("unavailable_after", "max-snippet", "max-image-preview"):
            addressee, part = name.strip(), rest
        if addressee in ("", agent.lower()):
            found.add(part.strip())
    return found


def _parser(charset: str | None) -> html.HTMLParser:
    """A parser of `charset`; one that finds it out where nobody knows that.

    Each tag that nobody closed is a level, so more than the usual 256 are read; `max_bytes` bounds them.
    """
    try:
        return html.HTMLParser(encoding=charset, huge_tree=True)
    except LookupError:
        return html.HTMLParser(huge_tree=True)


def _charset(headers: Mapping[str, str]) -> str | None:
    match = re.search(r"charset=[\"']?([\w-]+)", headers.get("Content-Type", ""), re.I)
    return match[1] if match else None
