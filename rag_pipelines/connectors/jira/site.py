"""The requests that a Jira site answers, on either deployment.

What belongs here: paths, parameters and paging, and where the two deployments differ. What does not:
HTTP (`http.session`), what issues mean (`issues`), who may see them (`schemes`).

Cloud: https://developer.atlassian.com/cloud/jira/platform/rest/v3/, Data Center:
https://developer.atlassian.com/server/jira/platform/rest/. All requests are GET.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.atlassian_client import AtlassianClient, AtlassianOptions, Json
from rag_pipelines.connectors.jira.access import Holder
from rag_pipelines.connectors.jira.jql import with_ids
from rag_pipelines.errors import GoneError, TransientError, UsageError

BROWSE = "BROWSE_PROJECTS"
_IDLE_PAGES = 20
"""So many pages in a row without a new issue end a search as incomplete."""
IDS_AT_ONCE = 100
"""In one query, so that its URL stays below the 8 kB that proxies allow."""


class JiraSite(ABC):
    """One site. Methods raise what `AtlassianClient` raises; answers are Jira's own, decoded."""

    api: str
    is_adf: bool
    """Whether texts are documents of Atlassian's format, else wiki markup."""

    def __init__(self, client: AtlassianClient, page_size: int) -> None:
        self.client = client
        self._page_size = page_size

    @staticmethod
    def of(options: AtlassianOptions) -> JiraSite:
        kind = JiraCloud if options.is_cloud else JiraDataCenter
        return kind(AtlassianClient(options), options.page_size)

    def info(self) -> Json:
        """Version, public address (`baseUrl`) and clock (`serverTime`)."""
        return self._get("serverInfo")

    def myself(self) -> Json:
        """The account of the credential; `CredentialError` where it is nobody's."""
        return self._get("myself")

    def fields(self) -> list[Json]:
        """Every system and custom field: `id`, `name`, `schema`."""
        return self._list("field")

    def project(self, project_id: str) -> Json:
        return self._get(f"project/{project_id}")

    def issue(self, id_or_key: str, fields: Iterable[str]) -> Json:
        return self._get(f"issue/{id_or_key}", {"fields": ",".join(fields)})

    def comments(self, issue: Json) -> list[Json]:
        """All comments of an issue that our account may see; those that its answer left out are asked for."""
        given = issue["fields"].get("comment") or {}
        comments = given.get("comments") or []
        if given.get("total", len(comments)) <= len(comments):
            return comments
        return list(self._values(f"issue/{issue['id']}/comment", {"orderBy": "created"}, results="comments"))

    def by_ids(self, ids: Iterable[str], fields: Sequence[str], filter: str | None = None) -> Iterator[Json]:
        """Those of some issues, by id or key, that exist and that `filter` finds; in bulk."""
        for some in blocks(ids, IDS_AT_ONCE):
            yield from self._among(some, fields, filter)

    @abstractmethod
    def pages(self, jql: str, fields: Sequence[str], *, strict: bool = True) -> Iterator[list[Json]]:
        """The issues that a query finds, in pages. An issue may come twice, none is left out silently.

        Not `strict`: names in the query that do not exist are passed over where the site can do that.
        """

    @abstractmethod
    def projects(self) -> list[Json]:
        """The projects that our account may see and that are not archived."""

    # Who may see what. These need an administrator of the project or the site.

    def browse_holders(self, project_id: str) -> tuple[Holder, ...]:
        """Who the permission scheme of a project grants Browse Projects."""
        scheme = self._get(f"project/{project_id}/permissionscheme", {"expand": "all"})
        if "permissions" not in scheme:
            raise UsageError(f"the permission scheme of project {project_id} came without its permissions")
        return tuple(Holder.of(one["holder"]) for one in scheme["permissions"] if one["permission"] == BROWSE)

    def security_levels(self, project_id: str) -> dict[str, str]:
        """Id to name; raises `MissingEntityError` where the project has no issue security scheme."""
        scheme = self._get(f"project/{project_id}/issuesecuritylevelscheme")
        if "levels" not in scheme:
            scheme = self._get(f"issuesecurityschemes/{scheme['id']}")
        return {str(level["id"]): level["name"] for level in scheme.get("levels") or ()}

    @abstractmethod
    def level_members(self) -> dict[str, tuple[Holder, ...]]:
        """The holders of every issue security level of the site, by the level's id."""

    def roles(self, project_id: str) -> dict[str, str]:
        """The roles of a project: id to name."""
        links = self._get(f"project/{project_id}/role")
        return {url.rstrip("/").rpartition("/")[2]: name for name, url in links.items()}

    def actors(self, project_id: str, role_id: str) -> list[Json]:
        """The users and groups in a role of a project."""
        return self._get(f"project/{project_id}/role/{role_id}").get("actors") or []

    def applications(self) -> list[Json]:
        """The licensed products (application roles) with the groups that may use them."""
        return self._list("applicationrole")

    @abstractmethod
    def groups(self) -> tuple[list[Json], bool]:
        """Groups of the directory, and whether these are all."""

    @abstractmethod
    def members(self, group_id: str) -> list[Json]:
        """The active users in a group."""

    @abstractmethod
    def users(self) -> Iterator[Json]:
        """Every account, inactive ones too."""

    def _get(self, path: str, params: Json | None = None) -> Any:
        return self.client.get_json(f"{self.api}/{path}", params)

    def _list(self, path: str, params: Json | None = None) -> list[Json]:
        return _entries({path: self._get(path, params)}, path)

    def _values(
        self, path: str, params: Json | None = None, results: str | None = "values"
    ) -> Iterator[Json]:
        for page in self.client.offset(f"{self.api}/{path}", params, results):
            yield from _entries(page, results or "values")

    def _among(self, ids: list[str], fields: Sequence[str], filter: str | None) -> list[Json]:
        """One query; where Jira refuses ids that do not exist, those that it names are left out."""
        try:
            pages = self.pages(with_ids(ids, filter), fields, strict=filter is not None)
            return [issue for page in pages for issue in page]
        except UsageError as refusal:
            said = str(refusal)
            rest = [one for one in ids if not re.search(rf"['\"]{re.escape(one)}['\"]", said)]
            if len(rest) < len(ids):
                return self._among(rest, fields, filter) if rest else []
            if len(ids) == 1:
                raise
            middle = len(ids) // 2
            return [
                issue for part in (ids[:middle], ids[middle:]) for issue in self._among(part, fields, filter)
            ]


class JiraCloud(JiraSite):
    """Jira Cloud: pages by token, groups and users by id."""

    api = "/rest/api/3"
    is_adf = True

    def pages(self, jql: str, fields: Sequence[str], *, strict: bool = True) -> Iterator[list[Json]]:
        params = {"jql": jql, "fields": ",".join(fields)}
        for last_try in (False, True):
            try:
                for page in self.client.tokens(f"{self.api}/search/jql", params):
                    yield _entries(page, "issues")
                return
            except GoneError:
                # A page token that expired: the query begins anew, once.
                if last_try:
                    raise

    def projects(self) -> list[Json]:
        return list(self._values("project/search", {"status": "live", "orderBy": "key"}))

    def level_members(self) -> dict[str, tuple[Holder, ...]]:
        found: dict[str, tuple[Holder, ...]] = {}
        for one in self._values("issuesecurityschemes/level/member", {"expand": "all"}):
            level = str(one["issueSecurityLevelId"])
            found[level] = (*found.get(level, ()), Holder.of(one["holder"]))
        return found

    def groups(self) -> tuple[list[Json], bool]:
        return list(self._values("group/bulk")), True

    def members(self, group_id: str) -> list[Json]:
        return list(self._values("group/member", {"groupId": group_id, "includeInactiveUsers": False}))

    def users(self) -> Iterator[Json]:
        return self._values("users/search", results=None)


class JiraDataCenter(JiraSite):
    """Jira Data Center: pages by offset, groups by name, users by key."""

    api = "/rest/api/2"
    is_adf = False
    _all_groups = 10_000
    """Asked for at once; what ``jira.ajax.autocomplete.limit`` allows comes."""

    def pages(self, jql: str, fields: Sequence[str], *, strict: bool = True) -> Iterator[list[Json]]:
        """Each page must begin with an issue that was seen, else issues have moved up meanwhile.

        That happens when one of them is deleted. Then the pages are turned back until they meet.
        """
        params = {"jql": jql, "fields": ",".join(fields), "validateQuery": strict}
        seen: set[str] = set()
        start = idle = 0
        while True:
            page = self._get("search", {**params, "startAt": start, "maxResults": self._page_size + 1})
            issues, total = _entries(page, "issues"), page["total"]
            fresh = [issue for issue in issues if issue["id"] not in seen]
            meets = not start or fresh[:1] != issues[:1]
            if meets and fresh:
                yield fresh
                seen.update(issue["id"] for issue in fresh)
            if total == 0 or (meets and start + len(issues) >= total):
                return
            idle = 0 if meets and fresh else idle + 1
            if idle > _IDLE_PAGES:
                raise TransientError(
                    f"a search does not get beyond issue {start} of {total}; it is not complete"
                )
            start = max(0, start + len(issues) - 1 if meets else min(start, total) - self._page_size)

    def projects(self) -> list[Json]:
        return self._list("project", {"includeArchived": False})

    def level_members(self) -> dict[str, tuple[Holder, ...]]:
        raise UsageError(
            "Jira Data Center does not tell who is in an issue security level: name its members in the "
            "option security_levels"
        )

    def groups(self) -> tuple[list[Json], bool]:
        answer = self._get("groups/picker", {"query": "", "maxResults": self._all_groups})
        groups = _entries(answer, "groups")
        return groups, answer.get("total", len(groups)) <= len(groups)

    def members(self, group_id: str) -> list[Json]:
        return list(self._values("group/member", {"groupname": group_id, "includeInactiveUsers": False}))

    def users(self) -> Iterator[Json]:
        return self._values("user/search", {"username": ".", "includeInactive": True}, results=None)


def _entries(page: Json, name: str) -> list[Json]:
    """What a page holds; one that does not say so is no empty page."""
    entries = page.get(name) if isinstance(page, dict) else None
    if not isinstance(entries, list):
        raise TransientError(f"an answer came without {name!r}: {str(page)[:200]}")
    return entries
