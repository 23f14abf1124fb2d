"""Archives: their members as sections, the bounds, and what is not read of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping

import docx
import pytest
from backports import zstd

from rag_pipelines.errors import (
    CorruptDocumentError,
    EmptyDocumentError,
    EncryptedDocumentError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines.parsing import registry
from rag_pipelines.parsing.archives import parse as archives
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines_tests.unit.parsing.office import counted, outline, parse, saved


def _word(text: str) -> bytes:
    document = docx.Document()
    document.add_paragraph(text)
    return saved(document.save)


def _zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def _tarred(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _seven_zipped(files: Mapping[str, bytes], password: str | None = None) -> bytes:
    py7zr = pytest.importorskip("py7zr", reason="7z is read with the extra `archives`")
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w", password=password) as archive:
        for name, content in files.items():
            archive.writestr(content, name)
    return out.getvalue()


FILES = {"notes/today.txt": b"The rent is due on Monday.", "contract.docx": _word("Notice is three months.")}
SECTIONS = [
    ("heading 1", "notes/today.txt"),
    ("paragraph", "The rent is due on Monday."),
    ("heading 1", "contract.docx"),
    ("paragraph", "Notice is three months."),
]


@pytest.mark.parametrize(
    "pack",
    [
        _zipped,
        _tarred,
        _seven_zipped,
        lambda files: gzip.compress(_tarred(files)),
        lambda files: bz2.compress(_tarred(files)),
        lambda files: lzma.compress(_tarred(files)),
        lambda files: zstd.compress(_tarred(files)),
    ],
)
def test_each_member_is_a_section_under_its_name(pack: Callable[[Mapping[str, bytes]], bytes]) -> None:
    document = parse(pack(FILES))
    assert outline(document) == SECTIONS
    assert document.metadata["members"] == list(FILES)
    assert counted(document) == {}


@pytest.mark.parametrize(
    ("pack", "name"),
    [(gzip.compress, "letter.txt.gz"), (bz2.compress, "letter.txt.bz2"), (lzma.compress, "letter.txt.xz"),
     (zstd.compress, "letter.txt.zst")],
)  # fmt: skip
def test_a_single_compressed_file_is_read(pack: Callable[[bytes], bytes], name: str) -> None:
    document = parse(pack(b"The rent is due on Monday."), name)
    assert outline(document) == [("heading 1", "letter.txt"), ("paragraph", "The rent is due on Monday.")]


def test_headings_of_a_member_are_below_its_name() -> None:
    document = parse(_zipped({"a.md": b"# Scope\n\nAll sites.\n\n## Leave\n\nThirty days.\n"}))
    assert outline(document)[:3] == [
        ("heading 1", "a.md"),
        ("heading 2", "Scope"),
        ("paragraph", "All sites."),
    ]
    assert document.blocks[-1].heading_path == ("a.md", "Scope", "Leave")


def test_a_member_that_is_not_read_is_counted_and_named() -> None:
    document = parse(_zipped({**FILES, "setup.exe": b"MZ\x90\0\x03" + bytes(99)}))
    assert outline(document) == SECTIONS
    assert counted(document) == {"attachments_not_read": 1}
    assert "setup.exe" in document.warnings[0]


def test_what_systems_put_into_archives_is_no_member() -> None:
    junk = {"__MACOSX/._a.txt": b"x", "docs/.DS_Store": b"\0\1", "Thumbs.db": b"\0\1", "empty.txt": b""}
    document = parse(_zipped({**junk, **FILES}))
    assert outline(document) == SECTIONS
    assert counted(document) == {}


def test_an_archive_in_an_archive_is_read_and_the_fifth_is_counted() -> None:
    packed = _zipped({"deep.txt": b"At the bottom."})
    for _ in range(3):
        packed = _zipped({"inner.zip": packed})
    assert "At the bottom." in parse(packed).text
    too_deep = _zipped({"top.txt": b"At the top.", "inner.zip": _zipped({"inner.zip": packed})})
    document = parse(too_deep)
    assert "At the top." in document.text
    assert "At the bottom." not in document.text
    assert counted(document)["attachments_not_read"] >= 1


def test_more_members_than_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 120)
    document = parse(_zipped({f"{number}.txt": b"text %d" % number for number in range(130)}))
    assert document.text.count("text ") == 120
    assert counted(document) == {"attachments_not_read": 10}


@pytest.mark.parametrize("pack", [_zipped, _seven_zipped, lambda files: gzip.compress(_tarred(files))])
def test_what_unpacks_to_much_more_than_documents_do_is_too_large(
    pack: Callable[[Mapping[str, bytes]], bytes],
) -> None:
    bomb = pack({"a.txt": bytes(20_000_000)})
    with pytest.raises(TooLargeDocumentError, match="200 times its size"):
        registry.parse(ParseRequest(bomb))


@pytest.mark.parametrize(
    "pack", [_zipped, _tarred, _seven_zipped, lambda files: lzma.compress(_tarred(files))]
)
def test_an_archive_may_not_unpack_to_more_than_the_limit(
    pack: Callable[[Mapping[str, bytes]], bytes],
) -> None:
    with pytest.raises(TooLargeDocumentError, match="max_expansion_bytes"):
        parse(pack(FILES), max_expansion_bytes=1_000)


def test_an_archive_with_a_password_is_encrypted() -> None:
    with pytest.raises(EncryptedDocumentError):
        parse(_seven_zipped(FILES, password="secret"))
    data = bytearray(_zipped({"a.txt": b"secret text"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(EncryptedDocumentError):
        parse(bytes(data))


def test_archives_without_anything_to_read_say_what_is_in_them() -> None:
    with pytest.raises(
        UnsupportedDocumentError, match=r"1 files, none of which can be read .*Windows program"
    ):
        parse(_zipped({"setup.exe": b"MZ\x90\0\x03" + bytes(99)}))
    with pytest.raises(EmptyDocumentError, match="without files"):
        parse(_zipped({}))


@pytest.mark.parametrize("pack", [_seven_zipped, lambda files: gzip.compress(_tarred(files))])
def test_an_archive_that_is_cut_off_is_corrupt(pack: Callable[[Mapping[str, bytes]], bytes]) -> None:
    data = pack(FILES)
    with pytest.raises(CorruptDocumentError):
        parse(data[: len(data) // 2])


def test_names_of_members_are_read_in_the_encoding_that_they_have() -> None:
    packed = _zipped({"Kuendigung_.txt": b"Notice."})
    renamed = packed.replace(b"Kuendigung_.txt", "Kündigung.txt".encode() + b" ")
    assert outline(parse(renamed))[0] == ("heading 1", "Kündigung.txt")


def test_without_its_package_a_7z_archive_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _seven_zipped(FILES)
    monkeypatch.setitem(sys.modules, "py7zr", None)
    with pytest.raises(UnsupportedDocumentError, match=r"pip install 'rag-pipelines\[archives\]'"):
        parse(data)
