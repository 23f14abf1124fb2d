"""What Confluence holds, as one value for every kind and both of its interfaces.

What belongs here: `Content`, `Space`, and reading them from the JSON of REST v1 and v2. What does not:
requests, and what a content inherits from pages above it (`tree`).

Shapes: developer.atlassian.com/cloud/confluence/rest/v2 and developer.atlassian.com/server/confluence.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from rag_pipelines.errors import CorruptDocumentError

Json = dict[str, Any]

PAGE, BLOG_POST, COMMENT, ATTACHMENT = "page", "blogpost", "comment", "attachment"
KINDS = (PAGE, BLOG_POST, COMMENT, ATTACHMENT)
"""The types that are documents; whatever else has pages below it (a folder, a whiteboard) is not."""


class Space(NamedTuple):
    """A space; `id` is a number as text, `status` is current or archived."""

    id: str
    key: str
    name: str
    status: str


class Ref(NamedTuple):
    """Names a content: its type and its id."""

    type: str
    id: str

    @property
    def external_id(self) -> str:
        return f"{self.type}/{self.id}"

    @classmethod
    def of(cls, external_id: str) -> Ref | None:
        """The content that an external id names; None if it cannot be one."""
        kind, _, number = external_id.partition("/")
        fits = kind in KINDS and number.removeprefix("att" if kind == ATTACHMENT else "").isdecimal()
        return cls(kind, number) if fits else None


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """One page, blog post, comment, attachment or folder.

    `space` is the space's key. `parent` is what stands above it in the page tree, and `above` all that
    does, as far as an answer told; `container` is the page or post of a comment or attachment. `labels`
    and `readers` are None as long as nobody asked; `readers` are the principals that its own restriction
    names, none where it has none. `link` is relative to the site's address, which is `base`.
    """

    ref: Ref
    status: str
    title: str
    space: str
    version: int
    modified_at: datetime | None
    author: str | None = None
    author_id: str | None = None
    parent: Ref | None = None
    above: tuple[Ref, ...] = ()
    container: Ref | None = None
    labels: tuple[str, ...] | None = None
    readers: tuple[str, ...] | None = None
    base: str = ""
    link: str | None = None
    media_type: str | None = None
    size: int | None = None
    download: str | None = None


class Principals(NamedTuple):
    """Writes principals of one directory, from users and groups as REST v1 gives them."""

    directory: str

    def user(self, raw: Json) -> str:
        """Cloud names an account by `accountId`; Data Center by `userKey`, which survives a rename."""
        return self.account(raw.get("accountId") or raw.get("userKey") or raw["username"])

    def account(self, key: str) -> str:
        return f"user:{self.directory}/{key}"

    def group(self, raw: Json) -> str:
        """Cloud names a group by its id; on Data Center its name is all it has."""
        return f"group:{self.directory}/{raw.get('id') or raw['name']}"

    def space(self, key: str) -> str:
        return f"space:{self.directory}/{key}"


def identity(type: str, raw_id: Any) -> str:
    """An id as external ids hold it: attachments have the prefix ``att`` on every version."""
    text = str(raw_id)
    return f"att{text}" if type == ATTACHMENT and not text.startswith("att") else text


def from_v1(raw: Json, principals: Principals, base: str = "") -> Content:
    """A content of REST v1 with whatever was expanded. Raises `CorruptDocumentError`."""
    try:
        kind = raw["type"]
        version, extensions = raw["version"], raw.get("extensions") or {}
        by = version.get("by") or {}
        given = raw.get("ancestors") or [] if kind != COMMENT else []
        above = tuple(Ref(one["type"], str(one["id"])) for one in given)
        container = raw.get("container") if kind in (COMMENT, ATTACHMENT) else None
        links, metadata = raw.get("_links") or {}, raw.get("metadata") or {}
        read = readers_of(raw.get("restrictions"), principals)
        return Content(
            ref=Ref(kind, identity(kind, raw["id"])),
            status=raw["status"],
            title=raw["title"] or "",
            space=(raw.get("space") or {}).get("key", ""),
            version=int(version["number"]),
            modified_at=_moment(version.get("when")),
            author=by.get("displayName"),
            author_id=by.get("accountId") or by.get("userKey"),
            parent=above[-1] if above else None,
            above=above,
            container=Ref(container["type"], str(container["id"])) if container else None,
            labels=_labels(metadata.get("labels")),
            readers=tuple(sorted(read[0])) if read and not read[1] else None,
            base=base,
            link=links.get("webui"),
            media_type=extensions.get("mediaType") or metadata.get("mediaType"),
            size=extensions.get("fileSize"),
            download=links.get("download"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _corrupt(raw, error) from None


def from_v2(kind: str, raw: Json, space: str, base: str = "") -> Content:
    """A content of REST v2 (Cloud) in a space of known key. Raises `CorruptDocumentError`."""
    try:
        version, links = raw["version"], raw.get("_links") or {}
        labels = raw.get("labels")
        return Content(
            ref=Ref(kind, identity(kind, raw["id"])),
            status=raw["status"],
            title=raw["title"] or "",
            space=space,
            version=int(version["number"]),
            modified_at=_moment(version.get("createdAt")),
            author_id=version.get("authorId"),
            parent=Ref(raw.get("parentType") or PAGE, str(raw["parentId"])) if raw.get("parentId") else None,
            container=container_of(raw) if kind in (COMMENT, ATTACHMENT) else None,
            labels=None if labels is None else _labels(labels),
            base=base,
            link=links.get("webui") or raw.get("webuiLink"),
            media_type=raw.get("mediaType"),
            size=raw.get("fileSize"),
            download=raw.get("downloadLink") or links.get("download"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _corrupt(raw, error) from None


def container_of(raw: Json) -> Ref | None:
    """The page or post of a comment or attachment of REST v2; None where it is on something else."""
    for field, kind in (("pageId", PAGE), ("blogPostId", BLOG_POST)):
        if raw.get(field):
            return Ref(kind, str(raw[field]))
    return None


def readers_of(restrictions: Json | None, principals: Principals) -> tuple[set[str], int] | None:
    """The principals that one answer about a read restriction names, and how many entries of a kind filled
    it (0: it names all). None if there is no answer, or one that is not understood."""
    answer: Any = restrictions
    found: set[str] = set()
    full = 0
    try:
        read = answer.get("read", answer)["restrictions"]
        for kind, principal in (("user", principals.user), ("group", principals.group)):
            results = read[kind]["results"]
            found.update(map(principal, results))
            if results and len(results) >= read[kind].get("limit", len(results) + 1):
                full = max(full, len(results))
    except (KeyError, TypeError, AttributeError):
        return None
    return found, full


def _labels(listed: Json | None) -> tuple[str, ...] | None:
    return None if listed is None else tuple(sorted(one["name"] for one in listed["results"]))


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _corrupt(raw: Any, error: Exception) -> CorruptDocumentError:
    name = raw.get("id") if isinstance(raw, dict) else raw
    return CorruptDocumentError(
        f"Confluence described content {name!r} without what is needed: {type(error).__name__}: {error}"
    )
