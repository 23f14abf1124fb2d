"""Opening the ZIP packages that office files and e-books are, before any library may read them.

What belongs here: the checks that protect a reader from a hostile package (size, encryption, XML with a
document type), one safe XML parser, and the reading of what every package says about itself. What does
not: anything of a single format.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rag_pipelines.errors import CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError
from rag_pipelines.parsing.base import ParseLimits

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_ENTRIES = 20_000
"""More parts than any real document has; a directory of millions costs memory before its sizes are summed."""

_PROLOG_BYTES = 65_536
_MOST_KEPT = 16_000_000
"""Bytes of parts that are kept because checking them read them whole."""
_NOT_READ_AS_XML = (".svg", ".htm", ".html", ".xhtml")
_PROLOG = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s++|<\?.*?\?>|<!--.*?-->)*+<[^!?]", re.DOTALL)
_LOOKS_LIKE_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[!?\w]")

_STRICT_PREFIX = b"http://purl.oclc.org/ooxml/"
_STRICT_NAMESPACES = {
    b"http://purl.oclc.org/ooxml/officeDocument/relationships/metadata/core-properties": (
        b"http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties"
    ),
    b"http://purl.oclc.org/ooxml/officeDocument/relationships": (
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    ),
    b"http://purl.oclc.org/ooxml/officeDocument/": (
        b"http://schemas.openxmlformats.org/officeDocument/2006/"
    ),
    b"http://purl.oclc.org/ooxml/wordprocessingml/main": (
        b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    ),
    b"http://purl.oclc.org/ooxml/spreadsheetml/main": (
        b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    ),
    b"http://purl.oclc.org/ooxml/presentationml/main": (
        b"http://schemas.openxmlformats.org/presentationml/2006/main"
    ),
    b"http://purl.oclc.org/ooxml/drawingml/": b"http://schemas.openxmlformats.org/drawingml/2006/",
}

_CORE_PROPERTIES = {
    "title": "title",
    "creator": "author",
    "subject": "subject",
    "keywords": "keywords",
    "category": "category",
    "language": "language",
    "created": "created",
    "modified": "modified",
}


class OfficePackage:
    """An Office Open XML package that is safe to hand to a library.

    Parts that checking has read whole are kept, because most are small, and unpacking one again costs more
    than a search in it.
    """

    def __init__(self, data: bytes, names: list[str], parts: dict[str, bytes]) -> None:
        self.data = data
        self.names = names
        self._parts = parts
        self._package: zipfile.ZipFile | None = None

    def keep(self, name: str, part: bytes) -> None:
        """Remember a part that someone has unpacked."""
        self._parts[name] = part

    def read(self, name: str) -> bytes:
        """A part.

        Raises:
            CorruptDocumentError: it is missing or cannot be unpacked.
        """
        if (part := self._parts.get(name)) is not None:
            return part
        if self._package is None:
            self._package = zipfile.ZipFile(io.BytesIO(self.data))
        return read_part(self._package, name)


def open_package(data: bytes, limits: ParseLimits) -> zipfile.ZipFile:
    """The ZIP in `data`, its directory checked and no part read yet.

    Names have forward slashes, also where a program of Windows wrote backward ones.

    Raises:
        EncryptedDocumentError: parts are encrypted.
        TooLargeDocumentError: the parts together would unpack to more than `limits.max_expansion_bytes`,
            or there are more than `MAX_ENTRIES` of them. The sizes are those of the directory; `zipfile`
            never reads more than that from a part.
        CorruptDocumentError: this is not a ZIP file.
    """
    try:
        package = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise CorruptDocumentError(f"not a readable ZIP package: {error}") from error
    entries = package.infolist()
    if len(entries) > MAX_ENTRIES:
        raise TooLargeDocumentError(
            f"the package holds {len(entries):,} parts; at most {MAX_ENTRIES:,} are read"
        )
    expanded = sum(entry.file_size for entry in entries)
    if expanded > limits.max_expansion_bytes:
        raise TooLargeDocumentError(
            f"the package of {len(data):,} bytes unpacks to {expanded:,}; "
            f"raise limits.max_expansion_bytes ({limits.max_expansion_bytes:,}) to accept it"
        )
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise EncryptedDocumentError("the parts of the package are encrypted with a password")
    for entry in entries:
        if "\\" in entry.filename:
            entry.filename = entry.filename.replace("\\", "/")
            package.NameToInfo[entry.filename] = entry
    return package


def validate_ooxml(data: bytes, limits: ParseLimits) -> OfficePackage:
    """The Office Open XML package in `data` if it is safe to hand to a library, in the transitional form.

    Beyond `open_package`: no XML part may declare a document type (ECMA-376 part 2 forbids it, and it is
    the way to entity expansion and external entities). What office programs open and the libraries do not
    is returned rewritten: names with backward slashes, the namespaces of the *strict* form of the standard,
    and relations to parts whose name differs in case (ECMA-376 part 2, 6.2.2.3) or that are missing, which
    then lead outside.

    Raises:
        CorruptDocumentError: a part is unreadable or declares a document type, or there is no content.
        EncryptedDocumentError, TooLargeDocumentError: as `open_package`.
    """
    with open_package(data, limits) as package:
        names = package.namelist()
        if "[Content_Types].xml" not in names:
            raise CorruptDocumentError("the package has no [Content_Types].xml, so it is no Office file")
        parts: dict[str, bytes] = {}
        kept = 0
        for name in names:
            if not name.lower().endswith(_NOT_READ_AS_XML):
                part = read_part(package, name, _PROLOG_BYTES)
                _refuse_document_type(name, part)
                if len(part) < _PROLOG_BYTES and kept < _MOST_KEPT and name.endswith((".xml", ".rels")):
                    parts[name] = part
                    kept += len(part)
        mended = {name: new for name in names if (new := _mended_relations(package, name, parts))}
        strict = "_rels/.rels" in names and _STRICT_PREFIX in read_part(package, "_rels/.rels")
        renamed = any(entry.filename != entry.orig_filename for entry in package.infolist())
        if mended or strict or renamed:

            def mend(name: str, part: bytes) -> bytes:
                part = mended.get(name, part)
                return _transitional(name, part) if strict else part

            return OfficePackage(_rewritten(package, mend), names, {})
    return OfficePackage(data, names, parts)


def read_part(package: zipfile.ZipFile, name: str, size: int = -1) -> bytes:
    """The first `size` bytes of a part, or all of it.

    Raises:
        CorruptDocumentError: the part is missing or cannot be unpacked.
    """
    try:
        with package.open(name) as part:
            return part.read(size)
    except Exception as error:
        raise CorruptDocumentError(f"cannot read {name!r} from the package: {error}") from error


def parse_xml(data: bytes, name: str = "XML") -> _Element:
    """The root of an XML part, parsed without entities, without a DTD and without the network.

    Raises:
        CorruptDocumentError: it is not well-formed or declares a document type with entities.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=True)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise CorruptDocumentError(f"{name} is not well-formed XML: {error}") from error
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise CorruptDocumentError(f"{name} declares XML entities, which are refused")
    return root


def core_properties(package: OfficePackage) -> dict[str, Any]:
    """What an Office Open XML package says about itself, times as ISO 8601; only what has a value.

    Read here and not through python-docx, which invents a title and the present time where there is none.
    """
    if "docProps/core.xml" not in package.names:
        return {}
    root = parse_xml(package.read("docProps/core.xml"), "docProps/core.xml")
    found = {str(child.tag).rpartition("}")[2]: (child.text or "").strip() for child in root}
    return {key: found[name] for name, key in _CORE_PROPERTIES.items() if found.get(name)}


def _refuse_document_type(name: str, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "replace").encode()
    if _LOOKS_LIKE_XML.match(head) and not _PROLOG.match(head):
        raise CorruptDocumentError(f"{name!r} declares a document type, which Office files may not")


def _mended_relations(package: zipfile.ZipFile, name: str, parts: dict[str, bytes]) -> bytes | None:
    """The relations in the part `name` where some lead to no part under the name they give; else None."""
    if not name.endswith(".rels"):
        return None
    from lxml import etree

    try:
        root = parse_xml(parts.get(name) or read_part(package, name), name)
    except CorruptDocumentError:
        return None
    folder = posixpath.dirname(posixpath.dirname(name))
    changed = False
    for relation in root.iterchildren("{*}Relationship"):
        target = relation.get("Target") or ""
        if relation.get("TargetMode") == "External":
            continue
        part = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
        if part in package.NameToInfo:
            continue
        actual = next((one for one in package.namelist() if one.lower() == part.lower()), None)
        if actual:
            relation.set("Target", f"/{actual}")
        else:
            relation.set("TargetMode", "External")
        changed = True
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True) if changed else None


def _transitional(name: str, part: bytes) -> bytes:
    """A part with the namespaces of strict Open XML replaced by the transitional ones."""
    if name.endswith((".xml", ".rels")):
        for strict, transitional in _STRICT_NAMESPACES.items():
            part = part.replace(strict, transitional)
    return part


def _rewritten(package: zipfile.ZipFile, mend: Callable[[str, bytes], bytes]) -> bytes:
    """The package with each part as `mend` has it, by its name and content."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as rewritten:
        for name in package.namelist():
            rewritten.writestr(name, mend(name, read_part(package, name)))
    return out.getvalue()
