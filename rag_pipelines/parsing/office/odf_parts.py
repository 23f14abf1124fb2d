"""The parts of an OpenDocument package beside its content: objects, files, pictures, metadata.

What belongs here: reading them by the references in `content.xml`. What does not: what becomes of them
(`odf`).
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from rag_pipelines.parsing.office.odf_names import DC, DRAW, META, OFFICE, XLINK_HREF
from rag_pipelines.parsing.zip_package import parse_xml, read_part

if TYPE_CHECKING:
    from lxml.etree import _Element

_IN_DOTS = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff")
_METADATA = {
    f"{DC}title": "title",
    f"{META}initial-creator": "author",
    f"{DC}creator": "author",
    f"{DC}subject": "subject",
    f"{META}keyword": "keywords",
    f"{META}creation-date": "created",
    f"{DC}date": "modified",
    f"{DC}language": "language",
}


def read_objects(package: zipfile.ZipFile, content: _Element) -> tuple[dict[str, _Element], dict[str, bytes]]:
    """The documents inside, by the reference that stands in the content, and the files by their name."""
    documents: dict[str, _Element] = {}
    files: dict[str, bytes] = {}
    names = set(package.namelist())
    for element in content.iter(f"{DRAW}object", f"{DRAW}object-ole"):
        reference = element.get(XLINK_HREF) or ""
        name = reference.removeprefix("./")
        if f"{name}/content.xml" in names:
            part = f"{name}/content.xml"
            documents[reference] = parse_xml(read_part(package, part), part)
        elif name in names:
            files[name] = read_part(package, name)
    return documents, files


def picture_reference(frame: _Element) -> str:
    """Where the picture of a frame is; of several forms of it, the one in dots."""
    references = [image.get(XLINK_HREF) or "" for image in frame.iterfind(f"{DRAW}image")]
    return max(references, key=lambda reference: reference.lower().endswith(_IN_DOTS))


def read_pictures(package: zipfile.ZipFile, content: _Element) -> dict[str, bytes]:
    """The pictures of frames by the reference that stands in the content."""
    names = set(package.namelist())
    references = {picture_reference(image.getparent()) for image in content.iter(f"{DRAW}image")}
    return {
        reference: read_part(package, reference.removeprefix("./"))
        for reference in references
        if reference.removeprefix("./") in names
    }


def read_metadata(package: zipfile.ZipFile) -> dict[str, str]:
    """Title, author, dates and the like, as `DocumentBuilder.metadata` names them."""
    if "meta.xml" not in package.namelist():
        return {}
    found: dict[str, str] = {}
    for element in parse_xml(read_part(package, "meta.xml"), "meta.xml").iterfind(f"{OFFICE}meta/*"):
        key = _METADATA.get(str(element.tag))
        if key and element.text and element.text.strip():
            found.setdefault(key, element.text.strip())
    return found
