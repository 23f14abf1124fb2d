"""Who stands behind the principals of access rules: bases and items with the criteria that they name.

What belongs here: `Group`s for the engine, which keeps them apart from documents. What does not: who meets a
criterion (`criteria`), rules (`access`).

Everything is read before anything is listed: where a table cannot be read as a whole, what is missing might
deny somebody, so every principal keeps the members it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from rag_pipelines.connectors.base import Complete, Failure, Group
from rag_pipelines.connectors.servicenow.access import Names, Properties, listed
from rag_pipelines.connectors.servicenow.criteria import Criteria, People, named_by, people_groups, require
from rag_pipelines.connectors.servicenow.scope import Scope
from rag_pipelines.connectors.servicenow.site import Row, ServiceNowSite
from rag_pipelines.errors import CredentialError, ForbiddenEntityError, RagError
from rag_pipelines.model import EVERYONE

_LEGACY = "2"
"""Bases of Knowledge Management v2 have no user criteria but access rules of their own: they stay closed."""
ADMINISTRATORS = ("admin", "knowledge_admin")
BASE_LISTS = {
    "can_read": "kb_uc_can_read_mtom",
    "cannot_read": "kb_uc_cannot_read_mtom",
    "can_contribute": "kb_uc_can_contribute_mtom",
    "cannot_contribute": "kb_uc_cannot_contribute_mtom",
}
ITEM_LISTS = {
    "available": "sc_cat_item_user_criteria_mtom",
    "not_available": "sc_cat_item_user_criteria_no_mtom",
}

Lists = Mapping[str, Mapping[str, list[str]]]
"""By list, and by the record that has it, criteria."""


class _Read(NamedTuple):
    """What was read."""

    criteria: list[Row]
    people: People
    properties: Properties
    bases: Lists
    items: Lists
    item_ids: list[str]


class GroupDirectory:
    """Lists the groups of one scope, once."""

    def __init__(self, site: ServiceNowSite, scope: Scope, names: Names, *, catalogue: bool) -> None:
        self._site = site
        self._scope = scope
        self._names = names
        self._catalogue = catalogue

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """Every principal that rules of the scope's documents may name, each with its members."""
        try:
            read = self._read()
        except CredentialError:
            raise
        except (RagError, KeyError) as error:
            reason = (
                error if isinstance(error, RagError) else ForbiddenEntityError(f"no field {error} is given")
            )
            yield Failure(error=reason, entity="user criteria and people", hides_documents=False)
            yield Complete(0, full=False)
            return
        criteria = Criteria(read.criteria, read.people, self._names)
        count = 0
        for group in self._groups(read, criteria):
            count += 1
            yield group
        yield Complete(count)

    def _groups(self, read: _Read, criteria: Criteria) -> Iterator[Group]:
        yield from people_groups(read.people, self._names, criteria.named)
        yield from criteria.groups()
        for base in self._scope.bases.values():
            yield from self._base(base, read, criteria)
        for item in read.item_ids:
            yield from self._item(item, read, criteria)

    def _base(self, base: Row, read: _Read, criteria: Criteria) -> Iterator[Group]:
        names, sys_id, title = self._names, base["sys_id"], base["title"]
        if base.get("kb_version") == _LEGACY:
            for principal, members in (
                (names.base_denied(sys_id), [EVERYONE]),
                (names.exempt(sys_id), []),
                (names.base(sys_id), []),
            ):
                yield _group(principal, f"{title}, which has no user criteria", members)
            return
        of = partial(_of, read.bases, sys_id)
        privileged = self._privileged(base)
        contributors = self._contributors(of("can_contribute"), of("cannot_contribute"), criteria)
        if of("can_read"):
            readers = list(map(names.criterion, of("can_read")))
        else:
            readers = [] if read.properties.blocked else [names.users]
        exempt = [] if read.properties.articles_decide else [*privileged, *contributors]
        yield self._denied(names.base_denied(sys_id), f"may not read {title}", of("cannot_read"), criteria)
        yield _group(names.exempt(sys_id), f"read all of {title}", exempt)
        yield _group(names.base(sys_id), f"may read {title}", [*privileged, *contributors, *readers])

    def _privileged(self, base: Row) -> list[str]:
        """Owner and managers; administrators unless the base is that of an application."""
        people = listed(f"{base['owner']},{base['kb_managers']}")
        roles = ADMINISTRATORS if base["application"] == "global" else ()
        return [*map(self._names.user, people), *map(self._names.role, roles)]

    def _contributors(self, can: list[str], cannot: list[str], criteria: Criteria) -> list[str]:
        """Principals who may contribute: criteria, or users one by one where some are excluded."""
        if not cannot:
            return list(map(self._names.criterion, can))
        if any(map(criteria.is_open, cannot)):
            return []
        excluded = set().union(*map(criteria.surely, cannot))
        admitted = set().union(*map(criteria.surely, can))
        return list(map(self._names.user, admitted - excluded))

    def _item(self, sys_id: str, read: _Read, criteria: Criteria) -> Iterator[Group]:
        names = self._names
        available = _of(read.items, sys_id, "available")
        denied = _of(read.items, sys_id, "not_available")
        yield self._denied(names.item_denied(sys_id), f"not for item {sys_id}", denied, criteria)
        readers = list(map(names.criterion, available)) if available else [names.users]
        yield _group(names.item(sys_id), f"item {sys_id}", readers)

    def _denied(self, principal: str, name: str, cannot: list[str], criteria: Criteria) -> Group:
        """Who may match one of the criteria; one that is gone denies everybody."""
        unknown = [one for one in cannot if not criteria.knows(one)]
        members = [EVERYONE] if unknown else list(map(self._names.possible, cannot))
        return _group(principal, name, members)

    def _read(self) -> _Read:
        site = self._site
        criteria = Criteria.read(site)
        properties = Properties.read(site)
        bases = self._lists(BASE_LISTS, "kb_knowledge_base")
        items: Lists = {}
        item_ids: list[str] = []
        if self._catalogue:
            items = self._lists(ITEM_LISTS, "sc_cat_item")
            item_ids = [row["sys_id"] for row in site.all("sc_cat_item", ["active=true"], ["sys_id"])]
        named = named_by(criteria)
        owners, role_names = self._named_by_articles()
        people = People.read(site, named["group"] | owners, named["role"], {*role_names, *ADMINISTRATORS})
        return _Read(criteria, people, properties, bases, items, item_ids)

    def _lists(self, tables: Mapping[str, str], column: str) -> Lists:
        found: dict[str, dict[str, list[str]]] = {}
        for name, table in tables.items():
            found[name] = {}
            for row in self._site.all(table, [], [column, "user_criteria"]):
                found[name].setdefault(row[column], []).append(row["user_criteria"])
            require(self._site, table, (column, "user_criteria"))
        return found

    def _named_by_articles(self) -> tuple[set[str], set[str]]:
        """Ownership groups and names of roles that articles bear; of an article that is hidden none."""
        fields = ["ownership_group", "roles"]
        chosen = [*self._scope.published, "ownership_groupISNOTEMPTY^ORrolesISNOTEMPTY"]
        owners: set[str] = set()
        roles: set[str] = set()
        for page in self._site.pages("kb_knowledge", chosen, fields):
            for row in page.rows:
                owners.update(listed(row["ownership_group"]))
                roles.update(listed(row["roles"]))
        return owners, roles


def _of(lists: Lists, sys_id: str, name: str) -> list[str]:
    return lists[name].get(sys_id, [])


def _group(principal: str, name: str, members: list[str]) -> Group:
    return Group(principal=principal, name=name, members=tuple(sorted(set(members))))
