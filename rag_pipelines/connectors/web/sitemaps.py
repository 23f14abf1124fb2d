"""Sitemaps: the addresses that a site lists itself, plain, packed, or as an index of further ones.

What belongs here: reading one file (https://www.sitemaps.org/protocol.html). What does not: fetching it.
"""

from __future__ import annotations

import io
import zlib
from datetime import datetime
from typing import NamedTuple

from lxml import etree

from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import CorruptDocumentError, TooLargeDocumentError

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

MAX_BYTES = 52_428_800
"""Of one sitemap, unpacked, as the protocol says."""


class Listed(NamedTuple):
    """An address in a sitemap; `modified_at` is what the site claims."""

    url: str
    modified_at: datetime | None


class Sitemap(NamedTuple):
    """Pages, and further sitemaps."""

    pages: list[Listed]
    sitemaps: list[str]


def read_sitemap(data: bytes) -> Sitemap:
    """The addresses of a sitemap in XML, packed or not, or of a text file with one on each line.

    Raises:
        CorruptDocumentError: it is neither, or is cut off.
        TooLargeDocumentError: it unpacks to more than the protocol allows.
    """
    if data[:2] == b"\x1f\x8b":
        data = _unpack(data)
    begin = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not begin.startswith((b"<", *_UTF_16)):
        return _read_lines(data)
    found = Sitemap([], [])
    try:
        tags = ("{*}url", "{*}sitemap")
        reading = etree.iterparse(
            io.BytesIO(begin), tag=tags, resolve_entities=False, no_network=True, load_dtd=False
        )
        for _, element in reading:
            url = (element.findtext("{*}loc") or "").strip()
            if url and etree.QName(element).localname == "sitemap":
                found.sitemaps.append(url)
            elif url:
                found.pages.append(Listed(url, read_time(element.findtext("{*}lastmod"))))
            element.clear()
    except etree.XMLSyntaxError as error:
        raise CorruptDocumentError(f"not a sitemap: {error}") from error
    kind = etree.QName(reading.root).localname
    if kind not in ("urlset", "sitemapindex"):
        raise CorruptDocumentError(f"not a sitemap: it is <{kind}>, not <urlset> or <sitemapindex>")
    return found


def _unpack(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        whole = unpacker.decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise CorruptDocumentError(f"the packed sitemap cannot be unpacked: {error}") from error
    if len(whole) > MAX_BYTES:
        raise TooLargeDocumentError(f"the sitemap unpacks to more than {MAX_BYTES:,} bytes")
    if not unpacker.eof:
        raise CorruptDocumentError("the packed sitemap is cut off")
    return whole


def _read_lines(data: bytes) -> Sitemap:
    lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
    lines = [line for line in lines if line]
    if not all(line.startswith(("http://", "https://")) for line in lines):
        raise CorruptDocumentError("not a sitemap: neither XML nor one address on each line")
    return Sitemap([Listed(line, None) for line in lines], [])
