"""What a document is: its media type, from its content first and its name only as a hint.

What belongs here: telling text formats apart, and the decision between text and binary. What does
not: binary signatures (`signatures`) and reading any format. It costs microseconds a document,
because it looks at the head of the data only.
"""

from __future__ import annotations

import re

from rag_pipelines.errors import EmptyDocumentError
from rag_pipelines.parsing import encoding, signatures
from rag_pipelines.parsing.mail.mailboxes import is_mailbox
from rag_pipelines.parsing.markup.languages import language_of

HTML = "text/html"
XML = "application/xml"
MAIL = "message/rfc822"
MBOX = "application/mbox"
MARKDOWN = "text/markdown"
PLAIN = "text/plain"
RST = "text/x-rst"
ORG = "text/x-org"
ASCIIDOC = "text/asciidoc"
CODE = "text/x-source-code"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
NDJSON = "application/x-ndjson"
NOTEBOOK = "application/x-ipynb+json"
CONFLUENCE = "application/vnd.atlassian.confluence.storage+xml"
JIRA_ISSUE = "application/vnd.atlassian.jira.issue+json"

_HEAD = 8_192

_BY_EXTENSION = {
    **dict.fromkeys(("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"), MARKDOWN),
    **dict.fromkeys(("html", "htm", "xhtml", "shtml"), HTML),
    **dict.fromkeys(("xml", "nxml", "rss", "atom", "xsd", "xsl", "xslt", "wsdl", "dita", "rdf"), XML),
    **dict.fromkeys(("eml", "mime", "mbox", "p7s", "mht", "mhtml"), MAIL),
    **dict.fromkeys(("txt", "text", "log", "ics", "vcf", "srt", "vtt"), PLAIN),
    **dict.fromkeys(("rst", "rest"), RST),
    **dict.fromkeys(("adoc", "asciidoc", "asc"), ASCIIDOC),
    **dict.fromkeys(("ndjson", "jsonl", "jsonlines"), NDJSON),
    **dict.fromkeys(("json", "geojson", "jsonld", "ipynb"), JSON),
    **dict.fromkeys(("tsv", "tab"), TSV),
    "csv": CSV,
    "org": ORG,
}
_BY_DECLARED_TYPE = {
    **{media_type: media_type for media_type in _BY_EXTENSION.values() if media_type != PLAIN},
    "application/xhtml+xml": HTML,
    "text/xml": XML,
    "text/x-markdown": MARKDOWN,
    "text/json": JSON,
    "application/jsonl": NDJSON,
    "application/csv": CSV,
    MBOX: MAIL,
}
"""Without text/plain, which servers say of anything."""

_ALWAYS_AS_DECLARED = frozenset({CONFLUENCE, JIRA_ISSUE})
"""Types that only a connector can know: their content is like HTML or prose, or a page about PDF files."""

_BLANK_BYTES = b" \t\r\n\f\v\0\xef\xbb\xbf\xfe\xff"
_TEXT_BYTES = bytes([*range(0x20, 0x7F), *range(0x80, 0x100), *b"\t\n\r\f\b\x1b"])
_MAX_CONTROL_SHARE = 0.02
_MIN_PRINTABLE_SHARE = 0.9

_PROLOGUE = r"^(?:<\?xml[^>]*>|(?><!--.*?-->)|\s)*+"
_IS_HTML = re.compile(_PROLOGUE + r"(?:<!doctype\s+html|<html[\s>])", re.I | re.S)
_IS_SVG = re.compile(_PROLOGUE + r"(?:<!doctype\s+svg[^>]*>\s*)?<svg[\s>]", re.I | re.S)
_STARTS_AS_HTML = re.compile(
    _PROLOGUE + r"<(?:head|body|title|meta|link|style|script|div|p|h[1-6]|table|ul|ol|section|article"
    r"|main|nav|header|br|a|b|font|span|iframe|center|pre)\b[^<]*>",
    re.I | re.S,
)
_IS_ELEMENT = re.compile(r"<([A-Za-z_][\w.:-]*)[\s/>]")
_HAS_TAG = re.compile(r"<[a-z!/][^<>]*>", re.I)
_HEADER_LINE = re.compile(r"(?:([A-Za-z][A-Za-z0-9-]*):[ \t\r\n]|[ \t]+\S)")
_MAIL_HEADERS = frozenset({
    "from", "to", "cc", "bcc", "subject", "date", "received", "message-id", "mime-version", "return-path",
    "delivered-to", "reply-to", "sender", "content-type", "content-transfer-encoding", "in-reply-to",
    "references", "x-gm-thrid", "x-gmail-labels",
})  # fmt: skip
_TELLING_MAIL_HEADERS = frozenset({
    "from", "received", "message-id", "mime-version", "return-path", "delivered-to",
})  # fmt: skip
_MARKDOWN_SIGNS = (
    re.compile(r"\A---\n(?:.*\n){1,60}?---\n"),
    re.compile(r"^#{1,6} \S", re.M),
    re.compile(r"^(?:```|~~~)", re.M),
    re.compile(r"!?\[[^\]\n]{1,200}\]\([^)\n]{1,300}\)"),
    re.compile(r"(?<!\*)\*\*\w[^*\n]{0,200}\*\*"),
)
_SIGNS_OF_MARKDOWN = 2
_MARKDOWN_TABLE = re.compile(r"^\|(?: *:?-+:? *\|)++ *$", re.M)
_DELIMITED_MIN_LINES = 4


def detect(data: bytes, name: str = "", declared_type: str | None = None) -> str:
    """The media type of a document.

    The content decides. `name` and `declared_type` only settle which of the text formats it is, which
    content often cannot (Markdown, source code and prose look alike). A `declared_type` that nothing
    but a connector gives wins over both.

    Raises:
        EmptyDocumentError: no bytes, or nothing but white space.
        UnsupportedDocumentError: no parser reads it; the message says what it is.
        EncryptedDocumentError, CorruptDocumentError: a container that cannot be looked into.
    """
    head = data[:_HEAD]
    if not head.strip(_BLANK_BYTES):
        head = data.lstrip(_BLANK_BYTES)[:_HEAD]
        if not head:
            raise EmptyDocumentError(
                "the document has no bytes" if not data else "the document holds nothing but white space"
            )
    declared = _bare(declared_type)
    if declared in _ALWAYS_AS_DECLARED:
        return declared
    known = signatures.binary_type(data, head)
    if known:
        return known
    text = _text_head(head)
    if text is None:
        if name.lower().endswith(".pdf") and b"endobj" in data:
            return signatures.PDF
        raise signatures.unknown_binary(head)
    return _text_type(data, text.lstrip("\ufeff \t\r\n\f"), name, declared_type)


def _text_head(head: bytes) -> str | None:
    """The head as text, good enough to look for markup in; None where it is not text."""
    if codec := encoding.ebcdic(head):
        return encoding.of_mainframe(head, codec)
    if b"\0" in head or head.startswith((b"\xff\xfe", b"\xfe\xff")):
        marked = head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff"))
        if marked or encoding.wide_encoding(head):
            text = encoding.decode(head[: len(head) // 4 * 4])
            printable = sum(char.isprintable() or char.isspace() for char in text[:512])
            return text if printable >= _MIN_PRINTABLE_SHARE * len(text[:512]) else None
    if len(head.translate(None, _TEXT_BYTES)) > _MAX_CONTROL_SHARE * len(head):
        return None
    return head.decode("utf-8", "replace")


def _text_type(data: bytes, text: str, name: str, declared_type: str | None) -> str:
    """Which of the text formats `text`, the stripped head of `data`, is."""
    hint = _hint(name, declared_type)
    if text.startswith("<"):
        if _IS_HTML.match(text):
            return HTML
        if _IS_SVG.match(text):
            raise signatures.unsupported_error("an SVG image")
        if text.startswith(("<?xml", "<!DOCTYPE", "<!doctype")):
            return XML
        if hint in (None, PLAIN, HTML) and _STARTS_AS_HTML.match(text):
            return HTML
        element = _IS_ELEMENT.match(text)
        if hint is None and element and data.rstrip().endswith(f"</{element[1]}>".encode()):
            return XML
    if hint in (None, PLAIN, MAIL) and (hint == MAIL or _is_mail(text)):
        return MBOX if text.startswith("From ") and is_mailbox(data) else MAIL
    if hint == HTML:
        return HTML if _HAS_TAG.search(text) else PLAIN
    if hint == XML:
        return XML if text.startswith("<") else PLAIN
    if hint in (JSON, None) and text.startswith("{") and b'"nbformat"' in data and b'"cells"' in data:
        return NOTEBOOK
    if hint in (JSON, NDJSON, None) and text.startswith(("{", "[", '"')):
        return _json_type(data, text, hint)
    if hint in (JSON, NDJSON):
        return PLAIN
    if hint is None:
        return _detect_text(text, len(data) > _HEAD)
    if hint == PLAIN:
        return _detect_delimited(text, len(data) > _HEAD) or PLAIN
    return hint


def _hint(name: str, declared_type: str | None) -> str | None:
    """The text format that the name or the declared type speaks of, if any; the name goes first."""
    extension = name[-20:].rpartition(".")[2].lower()
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    if language_of(name):
        return CODE
    return _BY_DECLARED_TYPE.get(_bare(declared_type))


def _bare(declared_type: str | None) -> str:
    """A media type in lower case and without its parameters."""
    return (declared_type or "").partition(";")[0].strip().lower()


def _is_mail(text: str) -> bool:
    """Whether the text begins with a block of mail headers."""
    lines = text.split("\n", 60)
    if lines[0].startswith("From "):
        lines = lines[1:]
    names: set[str] = set()
    for line in lines:
        if not line.strip():
            break
        header = _HEADER_LINE.match(line + "\n")
        if not header:
            return False
        if header[1]:
            names.add(header[1].lower())
    return len(names & _MAIL_HEADERS) >= 2 and bool(names & _TELLING_MAIL_HEADERS)


def _json_type(data: bytes, text: str, hint: str | None) -> str:
    """JSON or NDJSON; text that has no such name must prove to be it."""
    import msgspec

    first, _, rest = text.partition("\n")
    if hint == NDJSON or (first.rstrip().endswith(("}", "]")) and rest.lstrip().startswith(("{", "["))):
        try:
            msgspec.json.decode(first)
        except (msgspec.DecodeError, UnicodeError):
            return JSON if hint else PLAIN
        return NDJSON
    if hint is None:
        try:
            msgspec.json.decode(encoding.decode(data))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return _detect_text(text, len(data) > _HEAD)
    return JSON


def _detect_text(text: str, is_cut: bool) -> str:
    """The format of text that neither its name nor its declared type tells."""
    if text.startswith("#!"):
        return CODE
    text = text.replace("\r\n", "\n")
    if _MARKDOWN_TABLE.search(text):
        return MARKDOWN
    if sum(1 for sign in _MARKDOWN_SIGNS if sign.search(text)) >= _SIGNS_OF_MARKDOWN:
        return MARKDOWN
    return _detect_delimited(text, is_cut) or PLAIN


def _detect_delimited(text: str, is_cut: bool) -> str | None:
    """CSV or TSV where every line has the same number of one delimiter, else None."""
    lines = [line for line in text.splitlines() if line.strip()]
    if is_cut and lines:
        lines.pop()
    if len(lines) < _DELIMITED_MIN_LINES:
        return None
    for delimiter, media_type, least in (("\t", TSV, 1), (";", CSV, 2), (",", CSV, 2), ("|", CSV, 2)):
        counts = {line.count(delimiter) for line in lines[:50]}
        if len(counts) == 1 and counts.pop() >= least:
            return media_type
    return None
