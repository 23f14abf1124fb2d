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
XLSB = "application/vnd.ms-excel.sheet.binary.macroEnabled.12"
ODT = "application/vnd.oasis.opendocument.text"
ODP = "application/vnd.oasis.opendocument.presentation"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
EPUB = "application/epub+zip"
VSDX = "application/vnd.ms-visio.drawing.main+xml"
XPS = "application/oxps"
ZIP = "application/zip"
SEVEN_ZIP = "application/x-7z-compressed"
TAR = "application/x-tar"
GZIP = "application/gzip"
BZIP2 = "application/x-bzip2"
XZ = "application/x-xz"
ZSTD = "application/zstd"

_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")

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
    (0, b"Rar!\x1a", "a RAR archive: pack it anew as ZIP"),
    (0, b"MSCF", "a Windows cabinet (CAB): pack it anew as ZIP"),
    (0, b"ITSF", "a compiled help file (CHM): unpack it into its HTML pages"),
    (0, b"\xffWPC", "a WordPerfect document: save it as DOCX or PDF"),
    (0, b"\xdb\xa5", "a Word document of Word 2.0: save it as DOCX or PDF"),
    (
        0,
        bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3"),
        "a OneNote section (ONE): export it as PDF or DOCX",
    ),
    (0, bytes.fromhex("a12fff43d9ef764c9ee210ea5722765f"), "a OneNote table of contents (ONETOC2)"),
    (4, b"Standard Jet DB", "an Access database: export its tables as CSV"),
    (4, b"Standard ACE DB", "an Access database: export its tables as CSV"),
    (0, b"!BDN", "an Outlook data file (PST): export its mails as EML or MSG"),
    (0, b"AC10", "an AutoCAD drawing (DWG): export it as PDF"),
    (0, b"%!PS", "a PostScript file: convert it to PDF"),
    (0, b"AT&TFORM", "a DjVu document: convert it to PDF"),
    (0, b"{\\pwi", "a document of Pocket Word"),
    (0, b"\x7fELF", "an executable program"),
    (0, b"\xca\xfe\xba\xbe", "a Java class or Mach-O program"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"PAR1", "a Parquet file (read it with the `records` connector)"),
    (0, b"wOFF", "a font"),
    (0, b"wOF2", "a font"),
    (0, b"\0\x01\0\0", "a TrueType font"),
    (0, b"OTTO", "an OpenType font"),
)
_ARCHIVES = (
    (0, b"7z\xbc\xaf\x27\x1c", SEVEN_ZIP),
    (257, b"ustar", TAR),
    (0, b"\x1f\x8b\x08", GZIP),
    (0, b"BZh", BZIP2),
    (0, b"\xfd7zXZ\0", XZ),
    (0, b"\x28\xb5\x2f\xfd", ZSTD),
)
ARCHIVES = (ZIP, *(media_type for _, _, media_type in _ARCHIVES))
"""Media types of archives and of single compressed files."""

_DOS_PROGRAM, _BITMAP = b"MZ", b"BM"
"""Two letters that ordinary text may begin with; believed only where the head is not text."""

_OLE2_STREAMS = (
    ("WordDocument", DOC),
    ("PowerPoint Document", PPT),
    ("Workbook", XLS),
    ("Book", XLS),
    ("__properties_version1.0", MSG),
)
_OTHER_OLE2 = (
    ("VisioDocument", "a Visio drawing of Visio 2010 or older (VSD): save it as VSDX or PDF"),
    ("Quill", "a Publisher document (PUB): save it as PDF"),
    ("Contents", "a Microsoft Works document, or one of a program that is not known: save it as DOCX or PDF"),
    ("MatOST", "a Microsoft Works document: save it as DOCX or PDF"),
    ("   Props", "a Microsoft Project plan (MPP): export it as PDF or XLSX"),
    ("PerfectOffice_MAIN", "a WordPerfect document: save it as DOCX or PDF"),
    ("HwpSummaryInformation", "a Hangul document (HWP): save it as DOCX or PDF"),
)
"""Documents in OLE2 containers that are not read, by a stream in them."""

_ZIP_FOLDERS = (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX))
_OTHER_ZIPS = (
    ("Index/Document.iwa", "an Apple iWork document (Pages, Numbers, Keynote): export it as PDF or DOCX"),
    ("Index.zip", "an Apple iWork document (Pages, Numbers, Keynote): export it as PDF or DOCX"),
    ("AndroidManifest.xml", "an Android program"),
    ("META-INF/MANIFEST.MF", "a Java program or library"),
)
"""Packages in ZIP that are no archives of documents, by a file in them, and what to do with them."""

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
    if head.startswith(_ZIP_MAGIC):
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
    for offset, magic, media_type in _ARCHIVES:
        if head.startswith(magic, offset):
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
    """The error that says what the document is; `what` may have a colon, and what to do instead behind it."""
    what, _, instead = what.partition(": ")
    advice = f"{instead}, or exclude such files" if instead else "exclude such files from the source"
    return UnsupportedDocumentError(f"the document is {what}, from which no text is read; {advice}")


def _zip_type(data: bytes) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name.replace("\\", "/") for name in archive.namelist()]
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                mimetype = archive.read("mimetype").decode("ascii", "replace").strip()
                if mimetype in _ZIP_MIMETYPES:
                    return _ZIP_MIMETYPES[mimetype]
    except Exception as error:
        raise CorruptDocumentError(
            f"a zip container (an Office, OpenDocument or EPUB file?) that cannot be opened: {error}"
        ) from error
    if "xl/workbook.bin" in names:
        return XLSB
    if "[Content_Types].xml" in names:
        for folder, media_type in _ZIP_FOLDERS:
            if any(name.startswith(folder) for name in names):
                return media_type
    if "META-INF/container.xml" in names:
        return EPUB
    if "visio/document.xml" in names:
        return VSDX
    if any(name.lower().endswith(".fdseq") for name in names):
        return XPS
    for sign, what in _OTHER_ZIPS:
        if sign in names:
            raise unsupported_error(what)
    return ZIP


def _ole2_type(data: bytes) -> str:
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as container:
            entries = container.listdir(streams=True, storages=True)
    except Exception as error:
        raise CorruptDocumentError(
            f"an OLE2 container (an old Office file or a mail?) that cannot be opened: {error}"
        ) from error
    streams = {entry[0].lower(): entry[0] for entry in entries}
    if "encryptedpackage" in streams:
        raise EncryptedDocumentError("the Office file is protected by a password")
    for stream, media_type in _OLE2_STREAMS:
        if stream.lower() in streams:
            return media_type
    for stream, what in _OTHER_OLE2:
        if stream.lower() in streams:
            raise unsupported_error(what)
    names = sorted(streams.values())
    raise unsupported_error(f"an OLE2 container of an unknown kind (streams {names[:5]})")
