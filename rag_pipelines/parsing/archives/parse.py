"""Archives as documents: each member is a section under its name, read by its own format.

What belongs here: the walk over the members, and what is said of those that are not read. What does not: the
formats of archives (`members`), and the bounds of documents inside documents (`parts`).
"""

from __future__ import annotations

from rag_pipelines.errors import EmptyDocumentError, UnsupportedDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.archives.members import check_unpacked, members_of
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import Loss
from rag_pipelines.parsing.parts import add_attachment, allow_parts

MAX_MEMBERS = 1_000
"""Read in one archive, those of archives inside it included; further ones are counted."""

_LEFT_BY_SYSTEMS = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
_NAMED_IN_ERROR = 3


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of all members that can be read, in the order of the archive.

    A member that cannot be read is counted and warned of, and so is one that is encrypted.

    Raises:
        UnsupportedDocumentError: no member is of a format that is read.
        EncryptedDocumentError: a password is needed for the archive, or for all that is in it.
        TooLargeDocumentError: it unpacks to more than `check_unpacked` allows.
        CorruptDocumentError: it cannot be opened.
    """
    media_type = (request.declared_type or "").partition(";")[0]
    builder = DocumentBuilder.of(media_type, request)
    allow_parts(MAX_MEMBERS)
    expected = 0
    names: list[str] = []
    unpacked = 0
    for member in members_of(request, media_type):
        unpacked += member.size
        check_unpacked(len(request.data), unpacked, request.limits)
        if _is_left_by_a_system(member.name):
            continue
        expected += 1
        names.append(member.name)
        if member.problem:
            builder.lose(Loss.ATTACHMENTS)
            builder.warnings.append(f"{member.name!r} is not read: {member.problem}")
        else:
            add_attachment(builder, request, member.read(), member.name, label="")
    if names:
        builder.metadata["members"] = names
    if builder:
        return builder.finish()
    if not expected:
        raise EmptyDocumentError("an archive without files")
    reasons = "; ".join(builder.warnings[:_NAMED_IN_ERROR])
    raise UnsupportedDocumentError(
        f"an archive of {expected:,} files, none of which can be read ({reasons}"
        f"{'; …' if expected > _NAMED_IN_ERROR else ''}); exclude such files from the source"
    )


def _is_left_by_a_system(name: str) -> bool:
    return name.startswith(_LEFT_BY_SYSTEMS[0]) or name.rpartition("/")[2] in _LEFT_BY_SYSTEMS[1:]
