"""After any history of sharing, moving, writing and deleting, everybody sees what SharePoint lets them read.

``RAG_ACCESS_HISTORIES`` says how many histories are tried.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rag_pipelines.connectors.base import Group
from rag_pipelines.model import AccessRule
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.connectors.sharepoint_bench import (
    Office,
    callers_principals,
    cursor_of,
    may_see,
)
from rag_pipelines_tests.doubles.sharepoint_oracle import STRANGER, LinkPolicy, readers
from rag_pipelines_tests.doubles.sharepoint_state import (
    ADD_ONLY,
    ANYBODY,
    EMPLOYEES,
    GROUP,
    LIMITED,
    OWNER,
    OWNERS,
    READ,
    SITE_GROUP,
    USER,
    WRITE,
    Grant,
    Thing,
    Who,
)

HISTORIES = int(os.environ.get("RAG_ACCESS_HISTORIES", "24"))


class History:
    """People who share, move, write and delete at random, and a replica that follows."""

    def __init__(self, office: Office, seed: int) -> None:
        self.office = office
        self.random = random.Random(seed)
        self.tenant = office.tenant
        self.policy = LinkPolicy(self.random.random() < 0.5, self.random.random() < 0.5)
        self.options = {
            "organization_links": "open" if self.policy.organisation else "closed",
            "anonymous_links": "open" if self.policy.anonymous else "closed",
        }
        self.connector = office.connector(**self.options)
        self.places = [office.library, self.tenant.library(office.site.key, "More")]
        self.guest = self.tenant.person("gus", "gus@elsewhere.example", guest=True)
        inner = self.tenant.group("inner", [(USER, office.ann.key)], [office.bob.key])
        outer = self.tenant.group("outer", [(GROUP, inner.key), (USER, office.eve.key)])
        self.groups = [inner, outer]
        self.rules: dict[str, AccessRule | None] = {}
        self.cursor: Any = None
        self.moved_folder = False
        for _ in range(8):
            self.write()

    def act(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            actions = (self.write, self.share, self.share, self.move, self.delete, self.regroup)
            self.random.choice(actions)()

    def sync(self) -> None:
        """Everything, or what changed where a feed tells enough."""
        full = self.cursor is None or self.moved_folder or self.random.random() < 0.3
        if full:
            listing = Listing.of(self.connector.items())
            assert listing.is_full
            self.rules = {}
        else:
            listing = Listing.of(self.connector.changes(self.cursor))
        assert not listing.failures
        for identity in listing.removed:
            self.rules.pop(identity, None)
        self.rules.update({identity: item.access for identity, item in listing.items.items()})
        self.cursor = cursor_of(listing)
        self.moved_folder = False

    def compare(self) -> None:
        *entries, _ = self.connector.groups()
        groups = {one.principal: one for one in entries}
        assert all(isinstance(one, Group) for one in entries)
        truth = {
            self.office.id(thing, place): readers(self.tenant, place, thing, self.policy)
            for place in self.places
            for thing in place.things.values()
            if thing.kind == "file"
        }
        assert self.rules.keys() == truth.keys()
        for key, address in [*((one.key, one.mail) for one in self.tenant.people.values()), (STRANGER, None)]:
            principals = callers_principals(groups, address)
            seen = {identity for identity, rule in self.rules.items() if may_see(rule, principals)}
            assert seen == {identity for identity, allowed in truth.items() if key in allowed}

    def write(self) -> None:
        place = self.random.choice(self.places)
        folders = [one for one in place.things.values() if one.kind == "folder"]
        parent = self.random.choice([None, *folders])
        if self.random.random() < 0.4:
            self.tenant.folder(place, f"folder {len(place.things)}", parent)
        elif place.things and self.random.random() < 0.3:
            files = [one for one in place.things.values() if one.kind == "file"] or [
                self.tenant.file(place, "first.txt")
            ]
            self.tenant.edit(place, self.random.choice(files), self.random.randbytes(4))
        else:
            self.tenant.file(place, f"{len(place.things)}.txt", self.random.randbytes(4), parent)

    def share(self) -> None:
        place, thing = self._some()
        if thing is None:
            return
        inherits = self.random.random() < 0.3
        self.tenant.share(
            place, thing, None if inherits else [self._grant() for _ in range(self.random.randint(0, 3))]
        )

    def move(self) -> None:
        place, thing = self._some()
        if thing is None:
            return
        targets = [one for one in place.things.values() if one.kind == "folder"]
        target = self.random.choice([None, *targets])
        if target is not None and thing in self.tenant.path(place, target):
            return
        self.tenant.move(place, thing, target)
        self.moved_folder |= thing.kind == "folder"

    def delete(self) -> None:
        place, thing = self._some()
        if thing is not None and self.random.random() < 0.5:
            self.tenant.delete(place, thing)

    def regroup(self) -> None:
        members = self.random.choice([self.groups[0].members, self.office.site.groups["4"][1]])
        who = (USER, self.random.choice(list(self.tenant.people)))
        members.remove(who) if who in members else members.append(who)

    def _some(self) -> tuple[Any, Thing | None]:
        place = self.random.choice(self.places)
        return place, self.random.choice(list(place.things.values()) or [None])

    def _grant(self) -> Grant:
        role = self.random.choice([READ, WRITE, OWNER, LIMITED, ADD_ONLY])
        until = self.random.choice([None, None, self.tenant.now, datetime.now(UTC) + timedelta(days=1)])
        if self.random.random() < 0.6:
            return Grant(role, self._who(), until=until)
        scope = self.random.choice(["users", "organization", "anonymous", "existingAccess"])
        people = tuple(self._who(persons=True) for _ in range(self.random.randint(0, 2)))
        return Grant(role, link=scope, people=people, until=until, password=self.random.random() < 0.1)

    def _who(self, persons: bool = False) -> Who:
        person = (USER, self.random.choice(list(self.tenant.people)))
        group = self.random.choice(self.groups).key
        others: list[Who] = [
            (GROUP, group),
            (OWNERS, group),
            (SITE_GROUP, self.random.choice(["3", "4", "5"])),
            (EMPLOYEES, ""),
            (ANYBODY, ""),
        ]
        return person if persons or self.random.random() < 0.4 else self.random.choice(others)


@pytest.mark.parametrize("part", range(4))
def test_after_any_history_everybody_sees_what_sharepoint_lets_them_read(part: int) -> None:
    for seed in range(part, HISTORIES, 4):
        office = Office(cap=5 + seed % 7)
        office.double.feeds.children_first = bool(seed % 2)
        try:
            history = History(office, seed)
            for _ in range(4):
                history.act()
                history.sync()
                history.compare()
        finally:
            office.close()
