"""Random histories of a Workspace, and whether everybody sees afterwards what the oracle says.

What belongs here: what people do, by chance, and the comparison. What does not: the rule (the oracle).
"""

from __future__ import annotations

import random
from datetime import timedelta

from rag_pipelines.connectors.base import Group
from rag_pipelines.errors import GoneError
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.connectors.google_drive_bench import (
    ADMIN,
    ANN,
    BOB,
    CAT,
    EVE,
    Bench,
    admits,
    principals_of,
)
from rag_pipelines_tests.doubles.google_drive_items import FOLDER, SHORTCUT, Grant, Item
from rag_pipelines_tests.doubles.google_drive_oracle import Oracle

PEOPLE = (ADMIN, ANN, BOB, CAT, EVE)
GROUPS = ("staff@example.com", "board@example.com", "all@example.com")
_MARGIN = 24.0


class History:
    """One history: trees in shared drives and My Drives, sharing, groups, moves, links, the trash."""

    def __init__(self, bench: Bench, seed: int, steps: int = 12, syncs: int = 2) -> None:
        self._bench, self._site = bench, bench.site
        self._random = random.Random(seed)
        self._steps, self._syncs = steps, syncs
        self._links = self._random.choice(["closed", "closed", "domain", "open"])
        self._drives = [bench.drive("One", *self._members(3)), bench.drive("Two", *self._members(2))]

    def run(self, *, follow: bool = False) -> None:
        """Steps and syncs in turn; `follow`: only the first one lists everything."""
        options = {"users": ["*"], "link_sharing": self._links, "expiry_margin": _MARGIN}
        listing: Listing | None = None
        for _ in range(self._syncs):
            for _ in range(self._steps):
                self._step()
            try:
                if listing is None or not follow:
                    raise GoneError("list everything")
                listing = self._merge(listing, self._bench.followed(listing, **options))
            except GoneError:
                listing = self._bench.listed(**options)
            self._compare(listing, list(self._bench.groups(**options)))

    def _merge(self, before: Listing, changes: Listing) -> Listing:
        """What a replica holds after the changes."""
        kept = {id: item for id, item in before.items.items() if id not in changes.removed}
        assert changes.complete is not None
        assert changes.complete.cursor is not None
        return Listing(items={**kept, **changes.items}, complete=changes.complete)

    def _compare(self, listing: Listing, groups: list[Group]) -> None:
        oracle = Oracle(self._site, self._links, timedelta(hours=_MARGIN))
        alive = {f"file/{item.id}": item for item in self._files() if not self._site.is_trashed(item)}
        assert listing.items.keys() == alive.keys()
        for email in PEOPLE:
            mine = principals_of(email, groups)
            seen = {id for id, one in listing.items.items() if one.access and admits(one.access, mine)}
            assert seen == {id for id, item in alive.items() if oracle.may_read(email, item)}, email

    def _step(self) -> None:
        rng, site = self._random, self._site
        files, folders = self._files(), self._folders()
        item = rng.choice(files + folders) if files + folders else None
        action = rng.choice(
            ["file", "file", "folder", "folder", "share", "share", "unshare", "move", "limit", "trash",
             "restore", "group", "suspend", "members", "withhold", "shortcut", "only_members"]
        )  # fmt: skip
        if action == "file":
            site.file(self._place(), f"f{len(site.order)}", "text", *self._grants(1))
        elif action == "folder":
            site.folder(self._place(), f"F{len(site.order)}", *self._grants(1), limited=rng.random() < 0.2)
        elif action == "group":
            name = rng.choice(GROUPS)
            inner = [one for one in GROUPS if one > name]
            site.group(name, *rng.sample([*PEOPLE, *inner], rng.randrange(4)))
        elif action == "suspend":
            site.suspend(rng.choice([BOB, CAT]), rng.random() < 0.3)
        elif action == "members":
            site.set_members(rng.choice(self._drives), Grant("user", ADMIN, "organizer"), *self._members(3))
        elif action == "only_members":
            rng.choice(self._drives).members_only = rng.random() < 0.3
        elif item is not None:
            self._change(action, item)

    def _change(self, action: str, item: Item) -> None:
        rng, site = self._random, self._site
        if action == "share":
            site.share(item, *self._grants(2))
        elif action == "unshare":
            site.unshare(item)
        elif action == "trash" and rng.random() < 0.5:
            site.trash(item)
        elif action == "restore":
            site.restore(item)
        elif action == "limit" and item.mime == FOLDER:
            site.limit(item, rng.random() < 0.7)
        elif action == "withhold" and item.drive is None:
            site.withhold(item, rng.choice([*PEOPLE, *GROUPS]))
        elif action == "shortcut" and not item.limited:
            site.shortcut(self._place(), item.id)
        elif action == "move":
            place = self._place()
            inside = {item.id, *(one.id for one in site.below(item.id))}
            if place not in inside and (item.drive is not None or site.items[place].drive is not None):
                site.move(item, place)

    def _members(self, most: int) -> list[Grant]:
        """A drive has people and groups as members."""
        return [one for one in self._grants(most) if one.type in ("user", "group")]

    def _grants(self, most: int) -> list[Grant]:
        rng = self._random
        found = {}
        for _ in range(rng.randrange(most + 1)):
            who = rng.choice([*PEOPLE[1:], *GROUPS])
            expires = None
            if rng.random() < 0.2:
                expires = self._site.now + timedelta(hours=rng.choice([-2, 5, 90]))
            grant = Grant(
                "group" if who in GROUPS else "user", who, rng.choice(["reader", "writer"]), expires
            )
            if rng.random() < 0.2:
                discoverable = rng.random() < 0.5
                kind = rng.choice([("domain", "example.com"), ("domain", "partner.example"), ("anyone", "")])
                grant = Grant(*kind, discoverable=discoverable)
            found[grant.id] = grant
        return list(found.values())

    def _place(self) -> str:
        tops = [*(one.id for one in self._drives), *(self._site.roots[one] for one in (ADMIN, ANN))]
        return self._random.choice([*tops, *(one.id for one in self._folders())])

    def _files(self) -> list[Item]:
        return [one for one in self._site.items.values() if one.mime not in (FOLDER, SHORTCUT)]

    def _folders(self) -> list[Item]:
        return [one for one in self._site.items.values() if one.mime == FOLDER and one.parent is not None]
