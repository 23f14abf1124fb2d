"""The namespaces of OpenDocument 1.3, as lxml writes them."""

from __future__ import annotations

from typing import Final

_NS: Final = "{urn:oasis:names:tc:opendocument:xmlns:"
OFFICE: Final = f"{_NS}office:1.0}}"
TEXT: Final = f"{_NS}text:1.0}}"
TABLE: Final = f"{_NS}table:1.0}}"
DRAW: Final = f"{_NS}drawing:1.0}}"
STYLE: Final = f"{_NS}style:1.0}}"
META: Final = f"{_NS}meta:1.0}}"
FORM: Final = f"{_NS}form:1.0}}"
SVG: Final = f"{_NS}svg-compatible:1.0}}"
PRESENTATION: Final = f"{_NS}presentation:1.0}}"
XLINK_HREF: Final = "{http://www.w3.org/1999/xlink}href"
XML_ID: Final = "{http://www.w3.org/XML/1998/namespace}id"
DC: Final = "{http://purl.org/dc/elements/1.1/}"
