"""Names of files: which of them a source wants, and what a name says (id, URL, media type).

What belongs here: pure functions of relative POSIX paths, shared by the connectors that read files.
What does not: reading anything.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

_MEDIA_TYPES = {
    **mimetypes.MimeTypes().types_map[True],
    ".adoc": "text/asciidoc",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".jsonl": "application/x-ndjson",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".msg": "application/vnd.ms-outlook",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".parquet": "application/vnd.apache.parquet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rst": "text/x-rst",
    ".rtf": "application/rtf",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


class PathFilter:
    """Decides by its path whether a file is wanted.

    Patterns are those of a ``.gitignore`` line (git-scm.com/docs/gitignore), matched against the path
    relative to the root, case-sensitively:

    ======================  ==================================================================
    ``*.md``                no slash inside: a file or folder of that name at any depth
    ``docs/*.md``, ``/a``   a slash inside or in front: from the root only
    ``docs/``, ``docs``     a folder: everything below it too
    ``**/x``, ``a/**/x``    ``**`` stands for any number of folders, none included
    ======================  ==================================================================

    A file is wanted when some `include` pattern matches (none given: every file) and no `exclude`
    pattern does. Negation (``!``) is refused: there are two lists for that. A path with a part
    that begins with a dot is hidden, and wanted only with `hidden`.
    """

    def __init__(
        self, include: Sequence[str] = (), exclude: Sequence[str] = (), hidden: bool = False
    ) -> None:
        self._include = _compile(include)
        self._exclude = _compile(exclude)
        self._hidden = hidden

    def wants(self, path: str) -> bool:
        """Whether the file at `path` is wanted, judged by all parts of its path."""
        if not self._hidden and (path.startswith(".") or "/." in path):
            return False
        if self._exclude and any(found(path) for found in self._exclude):
            return False
        return not self._include or any(found(path) for found in self._include)

    def enters(self, folder: str) -> bool:
        """Whether `folder` may hold a wanted file; False prunes it and everything below."""
        if not self._hidden and (folder.startswith(".") or "/." in folder):
            return False
        return not any(found(f"{folder}/") for found in self._exclude)


def check_patterns(patterns: Sequence[str]) -> None:
    """Raise `ValueError` for a pattern that is empty, negated, a comment, or not valid."""
    for pattern in patterns:
        if not pattern.strip(" /") or pattern[0] in "!#":
            raise ValueError(
                f"{pattern!r} is not a path pattern; write one like '*.md', 'docs/' or 'docs/**/*.pdf' "
                "(no '!': use include and exclude)"
            )
    _compile(patterns)


def _compile(patterns: Sequence[str]) -> list:
    if not patterns:
        return []
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(patterns)
    # DOTALL, because a name may contain a newline.
    return [re.compile(p.regex.pattern, re.DOTALL).search for p in spec.patterns if p.regex is not None]


def external_id(path: str) -> str:
    """The id of the file at `path`: the path itself, or an escaped form where it is not Unicode.

    Names on disk are bytes. One that is not UTF-8 reaches Python with surrogates, which neither
    Postgres nor JSON accept, so the whole path is percent-encoded behind ``./``; no other relative
    path begins so, hence two files never share an id. Unicode is not normalised: two files whose
    names differ only in normalisation are two documents.
    """
    if path.isascii():
        return path
    try:
        path.encode()
    except UnicodeEncodeError:
        return "./" + quote_from_bytes(_bytes(path))
    return path


def path_of(identity: str) -> str:
    """The path whose `external_id` is `identity`."""
    if not identity.startswith("./"):
        return identity
    return unquote_to_bytes(identity.removeprefix("./")).decode("utf-8", "surrogateescape")


def join_url(prefix: str, path: str) -> str:
    """`prefix`, a slash, and `path` percent-encoded."""
    return f"{prefix.rstrip('/')}/{quote(path) if path.isascii() else quote_from_bytes(_bytes(path))}"


def media_type(name: str) -> str | None:
    """The media type that the suffix of `name` suggests, or None. A hint: the parser looks at the content."""
    dot = name.rfind(".")
    return _MEDIA_TYPES.get(name[dot:].lower()) if dot > 0 else None


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
