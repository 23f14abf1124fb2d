"""Confluence Cloud: REST v2, and v1 where v2 has nothing (search, restrictions, groups, people).

What belongs here: endpoints of Cloud. What does not: what they share with Data Center (`site`).

v2 says what exists: developer.atlassian.com/cloud/confluence/rest/v2. Atlassian removes v1 endpoints
step by step; one that answers 410 is done without where that is possible, and said to be gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.atlassian_client import AtlassianClient
from rag_pipelines.connectors.base import Failure
from rag_pipelines.connectors.confluence.content import (
    ATTACHMENT,
    BLOG_POST,
    COMMENT,
    PAGE,
    Content,
    Json,
    Ref,
    Space,
    from_v2,
    identity,
)
from rag_pipelines.connectors.confluence.options import ConfluenceOptions
from rag_pipelines.connectors.confluence.site import (
    BODIES_AT_ONCE,
    DESCRIBED,
    IDS_AT_ONCE,
    NAMES_AT_ONCE,
    ConfluenceSite,
    ListingPart,
    unreadable,
)
from rag_pipelines.errors import (
    CorruptDocumentError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
    UsageError,
)
from rag_pipelines.model import EVERYONE

CONTEXT = "/wiki"
_V2 = "/api/v2"
_COLLECTIONS = {
    PAGE: "pages",
    BLOG_POST: "blogposts",
    ATTACHMENT: "attachments",
    "folder": "folders",
    "whiteboard": "whiteboards",
    "database": "databases",
    "embed": "embeds",
}
_LISTED = {PAGE: ("current", "archived"), BLOG_POST: ("current",)}
"""Statuses that v2 lists; drafts are found by the search only."""
_TRASH = ("trashed", "deleted")
_EVERY_STATUS = {kind: (*listed, *_TRASH, "draft") for kind, listed in _LISTED.items()}
_MEMBERS = ("authenticated-users", "all-licensed-users")
"""Access classes that every member of some group is in."""


class ConfluenceCloud(ConfluenceSite):
    """`ConfluenceSite` on Atlassian's cloud."""

    def __init__(self, client: AtlassianClient, options: ConfluenceOptions) -> None:
        super().__init__(client, options)
        self._known_spaces: dict[str, Space] = {}
        self._has_v1_spaces = True

    def account(self) -> str:
        raw = self.client.get_json("/rest/api/user/current")
        return raw.get("displayName") or raw.get("accountId") or "?"

    def spaces(self) -> Iterator[Space]:
        status = None if self.options.archived else "current"
        for keys in self.key_blocks():
            for raw, _ in self.entries(f"{_V2}/spaces", {"keys": keys, "status": status}):
                space = self._remember(raw)
                if self.options.chooses(space.key):
                    yield space

    def is_archived(self, space: str) -> bool:
        return any(one.status == "archived" for one in self._known_spaces.values() if one.key == space)

    def contents(self, space: Space, described: bool) -> Iterator[Content | Failure]:
        kinds = (PAGE, BLOG_POST) if self.options.blog_posts else (PAGE,)
        for kind in kinds:
            statuses = [one for one in _LISTED[kind] if one in self.options.statuses]
            path = f"{_V2}/spaces/{space.id}/{_COLLECTIONS[kind]}"
            for raw, base in self.entries(path, {"status": statuses}):
                yield _read(kind, raw, space.key, base)
        if self.options.drafts:
            cql = f'space = "{space.key}" and type in ({", ".join(kinds)})'
            yield from self.search(cql, DESCRIBED, ("draft",))

    def list_attached(self, spaces: Sequence[Space]) -> Iterator[ListingPart]:
        keys = tuple(space.key for space in spaces)
        if keys and self.options.comments:
            for location in ("footer", "inline"):
                yield ListingPart(f"{location} comments", keys, partial(self._comments, location))
        if keys and self.options.attachments:
            yield ListingPart("attachments", keys, self._attachments)

    def single(self, ref: Ref) -> Content:
        if ref.type == COMMENT:
            return self._comment(ref)
        params: dict[str, Any] = {}
        if ref.type in (PAGE, BLOG_POST):
            params = {"include-labels": True, "status": _EVERY_STATUS[ref.type]}
        raw = self.client.get_json(f"{_V2}/{_COLLECTIONS.get(ref.type, ref.type)}/{ref.id}", params)
        return from_v2(ref.type, raw, self._space_of(raw), self.base_of(raw))

    def standing(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, Content | RagError]]:
        missing = set(refs)
        for kind in (PAGE, BLOG_POST):
            of_kind = [ref for ref in refs if ref.type == kind]
            for block in blocks(of_kind, IDS_AT_ONCE):
                params = {"id": [ref.id for ref in block], "status": (*_LISTED[kind], *_TRASH)}
                entries = list(self.entries(f"{_V2}/{_COLLECTIONS[kind]}", params))
                self._know_spaces(raw for raw, _ in entries)
                for raw, base in entries:
                    content = _read(kind, raw, self._space_of(raw), base)
                    if isinstance(content, Content) and content.ref in missing:
                        missing.remove(content.ref)
                        yield content.ref, content
        comments = [ref for ref in refs if ref.type == COMMENT]
        for content in self.search_by_id(comments, "version,space,container"):
            if isinstance(content, Content) and content.ref in missing:
                missing.remove(content.ref)
                yield content.ref, content
        yield from self.singly(sorted(missing))

    def bodies(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, str]]:
        for kind in (PAGE, BLOG_POST):
            of_kind = [ref for ref in refs if ref.type == kind]
            for block in blocks(of_kind, BODIES_AT_ONCE):
                params = {
                    "id": [ref.id for ref in block],
                    "status": _LISTED[kind],
                    "body-format": "storage",
                    "limit": BODIES_AT_ONCE,
                }
                for raw, _ in self.entries(f"{_V2}/{_COLLECTIONS[kind]}", params):
                    with suppress(KeyError, TypeError):
                        yield Ref(kind, identity(kind, raw["id"])), raw["body"]["storage"]["value"]
        comments = [ref for ref in refs if ref.type == COMMENT]
        yield from self.search_bodies(comments)

    def body(self, ref: Ref) -> str:
        params: dict[str, Any] = {"body-format": "storage"}
        if ref.type == COMMENT:
            return self._comment_json(ref, params)["body"]["storage"]["value"]
        params["status"] = (*_LISTED[ref.type], "draft")
        raw = self.client.get_json(f"{_V2}/{_COLLECTIONS[ref.type]}/{ref.id}", params)
        return raw["body"]["storage"]["value"]

    def download_path(self, ref: Ref, content: Content | None) -> str:
        """The documented endpoint, which works with every kind of login; web links do not."""
        known = content if content is not None and content.container else self.single(ref)
        if known.container is None:
            raise MissingEntityError(f"{ref.external_id} is on no page")
        return f"/rest/api/content/{known.container.id}/child/attachment/{ref.id}/download"

    def space_readers(self, space: Space) -> tuple[str, ...]:
        """v2 names users, groups and classes; v1, as long as it is there, also tells of anonymous access."""
        found = set(self._public_grants(space))
        for raw, _ in self.entries(f"{_V2}/spaces/{space.id}/permissions"):
            operation, principal = raw["operation"], raw.get("principal") or {}
            if (operation["key"], operation["targetType"]) != ("read", "space"):
                continue
            kind, key = str(principal.get("type", "")).lower(), str(principal.get("id"))
            if raw.get("anonymousAccess") or (kind == "access_class" and key == "anonymous-users"):
                found.add(EVERYONE)
            elif kind == "user":
                found.add(self.principals.account(key))
            elif kind == "group":
                found.add(self.principals.group({"id": key}))
            elif kind == "access_class" and key in _MEMBERS:
                found.update(self.principals.group(group) for group in self.groups())
        return tuple(sorted(found))

    def _public_grants(self, space: Space) -> tuple[str, ...]:
        if not self._has_v1_spaces:
            return ()
        try:
            return tuple(one for one in self.list_viewers_in_v1(space) if one == EVERYONE)
        except GoneError:
            self._has_v1_spaces = False
        except (ForbiddenEntityError, MissingEntityError, UsageError, KeyError):
            pass
        return ()

    def members_path(self, group: Json) -> str:
        return f"/rest/api/group/{group['id']}/membersByGroupId"

    def people(self, ids: Sequence[str]) -> Iterator[Json]:
        for block in blocks(ids, NAMES_AT_ONCE):
            for raw, _ in self.entries("/rest/api/user/bulk", {"accountId": list(block)}):
                yield raw

    def _comments(self, location: str) -> Iterator[Content | Failure]:
        for raw, base in self.entries(f"{_V2}/{location}-comments"):
            yield _read(COMMENT, raw, "", base)

    def _attachments(self) -> Iterator[Content | Failure]:
        for raw, base in self.entries(f"{_V2}/attachments", {"status": "current"}):
            yield _read(ATTACHMENT, raw, "", base)

    def _comment(self, ref: Ref) -> Content:
        raw = self._comment_json(ref, {})
        return from_v2(COMMENT, raw, "", self.base_of(raw))

    def _comment_json(self, ref: Ref, params: dict[str, Any]) -> Json:
        """A comment's id does not tell whether it is a footer or an inline comment."""
        try:
            return self.client.get_json(f"{_V2}/footer-comments/{ref.id}", params)
        except MissingEntityError:
            return self.client.get_json(f"{_V2}/inline-comments/{ref.id}", params)

    def _remember(self, raw: Json) -> Space:
        space = Space(str(raw["id"]), raw["key"], raw["name"] or raw["key"], raw.get("status") or "current")
        self._known_spaces[space.id] = space
        return space

    def _know_spaces(self, entries: Any) -> None:
        ids = {str(raw["spaceId"]) for raw in entries if raw.get("spaceId")} - self._known_spaces.keys()
        for block in blocks(sorted(ids), IDS_AT_ONCE):
            for raw, _ in self.entries(f"{_V2}/spaces", {"ids": list(block)}):
                self._remember(raw)

    def _space_of(self, raw: Json) -> str:
        if not raw.get("spaceId"):
            return ""
        self._know_spaces([raw])
        known = self._known_spaces.get(str(raw["spaceId"]))
        return known.key if known else ""


def _read(kind: str, raw: Json, space: str, base: str) -> Content | Failure:
    try:
        return from_v2(kind, raw, space, base)
    except CorruptDocumentError as error:
        return unreadable(kind, raw, error)
