"""The bytes of documents: bodies in bulk or one by one, with the names of people who are mentioned.

What belongs here: loading, and what was read ahead. What does not: endpoints (`site`), parsing
(`parsing.atlassian.confluence_storage`).

The bytes of a page are its storage format as Confluence has it, with one addition: a mention names an
account by its id only, so the account's name is put beside it as the attribute ``ri:display-name``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from rag_pipelines.connectors.ahead import Kept
from rag_pipelines.connectors.confluence.content import ATTACHMENT, Content, Ref
from rag_pipelines.connectors.confluence.site import ConfluenceSite
from rag_pipelines.errors import (
    CredentialError,
    FetchError,
    GoneError,
    MissingEntityError,
    RagError,
    TooLargeDocumentError,
    UsageError,
)

MEDIA_TYPE = "application/vnd.atlassian.confluence.storage+xml"

_MENTION = re.compile(
    r"""<ri:user\b(?![^<>]*ri:display-name)[^<>]*?\bri:(?:account-id|userkey)=["']([^"'<>]+)["']"""
)


class Bodies:
    """Loads documents of one run."""

    def __init__(self, site: ConfluenceSite) -> None:
        self._site = site
        self._ahead: Kept[Ref, bytes] = Kept()

    def read_ahead(self, refs: Sequence[Ref]) -> None:
        """Read bodies in bulk, for `load`.

        Raises `CredentialError` only: what is not found here is read one by one.
        """
        found: dict[Ref, str] = {}
        try:
            found.update(self._site.bodies([ref for ref in refs if ref.type != ATTACHMENT]))
        except CredentialError:
            raise
        except RagError:
            pass
        names = self._site.names(_find_mentions(found.values()))
        self._ahead.keep({ref: _with_names(body, names) for ref, body in found.items()})

    def load(self, ref: Ref, content: Content | None = None) -> bytes:
        """The bytes of one document. Raises what `Item.load` may raise."""
        if (ahead := self._ahead.take(ref)) is not None:
            return ahead
        try:
            if ref.type == ATTACHMENT:
                return self._download(ref, content)
            body = self._site.body(ref)
            return _with_names(body, self._site.names(_find_mentions([body])))
        except (MissingEntityError, GoneError, UsageError) as error:
            raise FetchError(f"{ref.external_id} was listed and cannot be read: {error}") from error
        except (KeyError, TypeError) as error:
            raise FetchError(
                f"{ref.external_id} has no body in storage format: {type(error).__name__}: {error}"
            ) from error

    def _download(self, ref: Ref, content: Content | None) -> bytes:
        limit = self._site.options.max_bytes
        if content is not None and content.size is not None and content.size > limit:
            raise TooLargeDocumentError(
                f"{ref.external_id} has {content.size:,} bytes; raise max_bytes (now {limit:,})"
            )
        promised = None if content is None else content.size
        return self._site.client.get_bytes(self._site.download_path(ref, content), limit, promised)


def _find_mentions(bodies: Iterable[str]) -> set[str]:
    return {match[1] for body in bodies for match in _MENTION.finditer(body)}


def _with_names(body: str, names: dict[str, str]) -> bytes:
    """The body with names beside its mentions, but for what stands in CDATA, which is text."""

    def add_name(match: re.Match[str]) -> str:
        name = names.get(match[1])
        return match[0] if name is None else f'{match[0]} ri:display-name="{escape(name)}"'

    pieces = (piece.partition("<![CDATA[") for piece in body.split("]]>"))
    marked = "]]>".join(_MENTION.sub(add_name, markup) + begin + text for markup, begin, text in pieces)
    return marked.encode("utf-8", "replace")
