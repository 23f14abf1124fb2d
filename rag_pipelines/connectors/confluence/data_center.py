"""Confluence Data Center (and Server, from version 7 on): REST v1.

What belongs here: endpoints of Data Center. What does not: what they share with Cloud (`site`).

Pages are listed by offset with all that is said of them; the server gives fewer at once than it is
asked for. Comments and attachments are listed by the search, because the alternative is a request
for each page: a new one appears when the index has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from urllib.parse import quote

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
    from_v1,
)
from rag_pipelines.connectors.confluence.options import ConfluenceOptions
from rag_pipelines.connectors.confluence.site import DESCRIBED, ONE_CONTENT, ConfluenceSite, ListingPart
from rag_pipelines.errors import (
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
)
from rag_pipelines.model import EVERYONE

_CONTENT = "/rest/api/content"


class ConfluenceDataCenter(ConfluenceSite):
    """`ConfluenceSite` on Data Center."""

    def __init__(self, client: AtlassianClient, options: ConfluenceOptions) -> None:
        super().__init__(client, options)
        self._archived: dict[str, bool] = {}

    def account(self) -> str:
        raw = self.client.get_json("/rest/api/user/current")
        if raw.get("type") == "anonymous":
            raise ForbiddenEntityError("the server treats the login as anonymous; check the token")
        return raw.get("displayName") or raw.get("username") or "?"

    def spaces(self) -> Iterator[Space]:
        status = None if self.options.archived else "current"
        for keys in self.key_blocks():
            for raw, _ in self.entries("/rest/api/space", {"spaceKey": keys, "status": status}):
                if self.options.chooses(raw["key"]):
                    yield Space(
                        str(raw["id"]), raw["key"], raw["name"] or raw["key"], raw.get("status") or "current"
                    )

    def is_archived(self, space: str) -> bool:
        if space not in self._archived:
            self._archived[space] = False
            with suppress(*ONE_CONTENT):
                raw = self.client.get_json(f"/rest/api/space/{quote(space)}")
                self._archived[space] = raw.get("status") == "archived"
        return self._archived[space]

    def contents(self, space: Space, described: bool) -> Iterator[Content | Failure]:
        for kind in (PAGE, BLOG_POST) if self.options.blog_posts else (PAGE,):
            for status in self.options.statuses:
                params = {
                    "spaceKey": space.key,
                    "type": kind,
                    "status": status,
                    "expand": DESCRIBED if described else "version,space,ancestors",
                }
                for raw, base in self.entries(_CONTENT, params):
                    yield self.read(raw, base)

    def list_attached(self, spaces: Sequence[Space]) -> Iterator[ListingPart]:
        wanted = (COMMENT,) * self.options.comments + (ATTACHMENT,) * self.options.attachments
        for space in spaces if wanted else ():
            cql = f'space = "{space.key}" and type in ({", ".join(wanted)})'
            yield ListingPart(
                f"comments and attachments of space {space.key}",
                (space.key,),
                lambda cql=cql: self.search(cql, "version,space,container"),  # type: ignore[misc]
            )

    def single(self, ref: Ref) -> Content:
        params = {"status": "any", "expand": f"{DESCRIBED},container"}
        raw = self.client.get_json(f"{_CONTENT}/{ref.id}", params)
        return from_v1(raw, self.principals, self.base_of(raw))

    def standing(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, Content | RagError]]:
        missing = set(refs)
        for content in self.search_by_id(refs, "version,space,ancestors,container,metadata.labels"):
            if isinstance(content, Content) and content.ref in missing:
                missing.remove(content.ref)
                yield content.ref, content
        yield from self.singly(sorted(missing))

    def bodies(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, str]]:
        yield from self.search_bodies(refs)

    def body(self, ref: Ref) -> str:
        raw = self.client.get_json(f"{_CONTENT}/{ref.id}", {"status": "any", "expand": "body.storage"})
        if raw["status"] == "trashed":
            raise MissingEntityError(f"{ref.external_id} is in the trash")
        return raw["body"]["storage"]["value"]

    def download_path(self, ref: Ref, content: Content | None) -> str:
        known = content if content is not None and content.download else self.single(ref)
        if not known.download:
            raise MissingEntityError(f"Confluence names no address for the bytes of {ref.external_id}")
        return known.download

    def space_readers(self, space: Space) -> tuple[str, ...]:
        """By the endpoint that newer versions have, else as an expansion of the space."""
        try:
            granted = self.client.get_json(f"/rest/api/space/{quote(space.key)}/permissions")
        except (MissingEntityError, GoneError):
            return self.list_viewers_in_v1(space)
        found = set()
        for one in granted:
            operation, subject = one["operation"], one.get("subject") or {}
            if (operation["operationKey"], operation["targetType"]) != ("read", "space"):
                continue
            kind = subject.get("type")
            if kind == "anonymous":
                found.add(EVERYONE)
            elif kind == "group":
                found.add(self.principals.group(subject))
            elif subject:
                found.add(self.principals.user(subject))
        return tuple(sorted(found))

    def members_path(self, group: Json) -> str:
        return f"/rest/api/group/{quote(group['name'], safe='')}/member"

    def people(self, ids: Sequence[str]) -> Iterator[Json]:
        for one in ids:
            with suppress(MissingEntityError):
                yield self.client.get_json("/rest/api/user", {"key": one})
