"""What a binary file is: magic numbers, and a look inside zip and OLE2 containers.

What belongs here: recognising binary formats from their bytes. What does not: telling text formats
apart (`detect`) or reading any format.
"""

from __future__ import annotations

import io

from rag_pipelines.errors import CorruptDocumentError, EncryptedDocumentError, UnsupportedDocumentError

PDF = "application/pdf"
RTF = "application/rtf"
DOC = "application/msword"
PPT = "application/vnd.ms-powerpoint"
XLS = "application/vnd.ms-excel"
MSG = "application/vnd.ms-outlook"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODT = "application/vnd.oasis.opendocument.text"
ODP = "application/vnd.oasis.opendocument.presentation"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
EPUB = "application/epub+zip"

_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")

IMAGES = {
    "image/png": "a PNG image",
    "image/jpeg": "a JPEG image",
    "image/gif": "a GIF image",
    "image/tiff": "a TIFF image",
}
"""Pictures whose text can be recognised, and what people call them."""

_IMAGE_MAGIC = (
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)

_UNSUPPORTED = (
    (0, b"\0\0\x01\0", "an icon image"),
    (0, b"8BPS", "a Photoshop image"),
    (8, b"WEBP", "a WebP image"),
    (8, b"WAVE", "a WAV sound"),
    (8, b"AVI ", "an AVI video"),
    (4, b"ftyphei", "a HEIC image"),
    (4, b"ftypmif", "a HEIF image"),
    (4, b"ftypavi", "an AVIF image"),
    (4, b"ftypM4A", "an MPEG-4 sound"),
    (4, b"ftyp", "an MPEG-4 or QuickTime video"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (0, b"ID3", "an MP3 sound"),
    (0, b"\xff\xfb", "an MP3 sound"),
    (0, b"OggS", "an Ogg sound or video"),
    (0, b"fLaC", "a FLAC sound"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a", "a RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "an executable program"),
    (0, b"\xca\xfe\xba\xbe", "a Java class or Mach-O program"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"PAR1", "a Parquet file (read it with the `records` connector)"),
    (0, b"wOFF", "a font"),
    (0, b"wOF2", "a font"),
    (0, b"\0\x01\0\0", "a TrueType font"),
    (0, b"OTTO", "an OpenType font"),
)
_DOS_PROGRAM, _BITMAP = b"MZ", b"BM"
"""Two letters that ordinary text may begin with; believed only where the head is not text."""

_OLE2_STREAMS = (
    ("WordDocument", DOC),
    ("PowerPoint Document", PPT),
    ("Workbook", XLS),
    ("Book", XLS),
    ("__properties_version1.0", MSG),
)
_ZIP_FOLDERS = (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX))
_ZIP_MIMETYPES = {
    "application/epub+zip": EPUB,
    ODT: ODT,
    ODP: ODP,
    ODS: ODS,
    f"{ODT}-template": ODT,
    f"{ODP}-template": ODP,
    f"{ODS}-template": ODS,
}


def binary_type(data: bytes, head: bytes) -> str | None:
    """The media type of a document in a binary format, or None where no such format is recognised.

    `head` is the beginning of `data`.

    Raises:
        UnsupportedDocumentError: an image of another kind, a sound, a video, an archive, a program, a font.
        EncryptedDocumentError: an Office file that is wrapped in an encrypted container.
        CorruptDocumentError: a zip or OLE2 container that cannot be opened.
    """
    if head.startswith(b"%PDF-"):
        return PDF
    if head.startswith(_ZIP):
        return _zip_type(data)
    if head.startswith(_OLE2):
        return _ole2_type(data)
    if head.startswith(b"{\\rt"):
        return RTF
    if b"%PDF-" in head[:1024] and (b"endobj" in data or b"%%EOF" in data):
        return PDF
    for magic, media_type in _IMAGE_MAGIC:
        if head.startswith(magic):
            return media_type
    for offset, magic, what in _UNSUPPORTED:
        if head.startswith(magic, offset):
            raise unsupported_error(what)
    return None


def unknown_binary(head: bytes) -> UnsupportedDocumentError:
    """The error for bytes that are neither text nor a known format."""
    if head.startswith(_DOS_PROGRAM):
        return unsupported_error("a Windows program")
    if head.startswith(_BITMAP):
        return unsupported_error("a BMP image")
    return unsupported_error(f"binary data of an unknown format (it begins with {head[:8].hex(' ')})")


def unsupported_error(what: str) -> UnsupportedDocumentError:
    """The error that says `what` the document is, and what to do about it."""
    return UnsupportedDocumentError(
        f"the document is {what}, from which no text is read; exclude such files from the source"
    )


def _zip_type(data: bytes) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                mimetype = archive.read("mimetype").decode("ascii", "replace").strip()
                if mimetype in _ZIP_MIMETYPES:
                    return _ZIP_MIMETYPES[mimetype]
    except Exception as error:
        raise CorruptDocumentError(
            f"a zip container (an Office, OpenDocument or EPUB file?) that cannot be opened: {error}"
        ) from error
    if "[Content_Types].xml" in names:
        for folder, media_type in _ZIP_FOLDERS:
            if any(name.startswith(folder) for name in names):
                return media_type
    if "META-INF/container.xml" in names:
        return EPUB
    raise unsupported_error(f"a zip archive of {len(names)} files ({', '.join(map(repr, names[:3]))}, ...)")


def _ole2_type(data: bytes) -> str:
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as container:
            streams = {entry[0] for entry in container.listdir(streams=True, storages=True)}
    except Exception as error:
        raise CorruptDocumentError(
            f"an OLE2 container (an old Office file or a mail?) that cannot be opened: {error}"
        ) from error
    if "EncryptedPackage" in streams:
        raise EncryptedDocumentError("the Office file is protected by a password")
    for stream, media_type in _OLE2_STREAMS:
        if stream in streams:
            return media_type
    raise unsupported_error(f"an OLE2 container of an unknown kind (streams {sorted(streams)[:5]})")
