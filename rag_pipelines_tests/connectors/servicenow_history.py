"""Random histories of an instance's access: what people do to bases, articles, criteria and each other.

What belongs here: the changes, and what the oracle says of the result. What does not: connectors.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from rag_pipelines_tests.doubles.servicenow_oracle import Oracle
from rag_pipelines_tests.doubles.servicenow_state import (
    ARTICLE_CRITERIA,
    BLOCK_ACCESS,
    CRITERIA_TABLES,
    ITEM_TABLES,
    ROLE_SECURITY,
    Instance,
    Row,
)

_PLACES = ("", "p1", "p2")


class History:
    """One history on one instance."""

    def __init__(self, instance: Instance, source: random.Random) -> None:
        self.instance = instance
        self.random = source
        self.needs_full_listing = False
        """Whether something happened of which ServiceNow leaves no trace that a feed could follow."""
        self._people: list[Row] = []
        self._groups: list[Row] = []
        self._roles: list[Row] = []
        self._criteria: list[Row] = []
        self._bases: list[Row] = []
        self._items: list[Row] = []

    def begin(self) -> None:
        """An instance of a few of everything."""
        site, pick = self.instance, self.random
        for name in (BLOCK_ACCESS, ARTICLE_CRITERIA, ROLE_SECURITY):
            site.set_property(name, pick.choice(("true", "false")))
        self._people = [site.edit(site.user(f"u{n}"), **self._whereabouts()) for n in range(7)]
        self._roles = [site.role(name) for name in ("admin", "knowledge_admin", "r1", "r2")]
        self._roles.append(site.role("r3", self._roles[2]))
        self._roles.append(site.role("high", elevated=True))
        for n in range(3):
            members = pick.sample(self._people, 2)
            above = pick.choice(["", *(group["sys_id"] for group in self._groups)])
            manager = pick.choice(self._people)["sys_id"]
            roles = pick.sample(self._roles, 1)
            self._groups.append(site.group(f"g{n}", *members, parent=above, manager=manager, roles=roles))
        for _ in range(6):
            self._new_criterion()
        for n in range(3):
            owner = pick.choice([None, *self._people])
            managers = pick.sample(self._people, pick.randint(0, 1))
            scope = pick.choice(("global", "global", "sn_hr_core"))
            self._bases.append(site.base(f"B{n}", owner=owner, managers=managers, application=scope))
            self.instance.edit(self._bases[-1], kb_version=pick.choice("3333332"))
            self._set_base(self._bases[-1])
        for _ in range(6):
            self._write()
        for _ in range(3):
            self._write_block()
        for n in range(2):
            self._items.append(site.item(f"I{n}", "item"))
            self._set_item()

    def step(self) -> None:
        """One change, an hour or no time at all after the one before."""
        if self.random.random() < 0.7:
            self.instance.tick()
        self.random.choice(self._steps())()

    def readable(self, oracle: Oracle, user: Row) -> set[str]:
        """The documents that the oracle lets a user see."""
        site = self.instance
        seen: set[str] = set()
        for row in self._published():
            identity = f"article/{row['article_id']}"
            if oracle.reads(user, row):
                seen.add(identity)
                seen.update(
                    f"{identity}/attachment/{one['sys_id']}"
                    for one in site.tables["sys_attachment"].values()
                    if one["table_sys_id"] == row["sys_id"]
                )
            for use in site.tables["m2m_kb_knowledge_to_block"].values():
                block = site.tables["kb_knowledge_block"].get(use["knowledge_block"])
                if use["knowledge"] == row["sys_id"] and block and oracle.reads_block(user, row, block):
                    seen.add(f"{identity}/block/{block['sys_id']}")
        items = site.tables["sc_cat_item"].values()
        return seen | {f"item/{row['sys_id']}" for row in items if oracle.sees_item(user, row)}

    def _steps(self) -> list[Callable[[], object]]:
        return [
            self._write, self._write_block, self._edit, self._readers, self._readers, self._publish_version,
            self._retire, self._delete, self._move, self._attach, self._new_criterion, self._edit_criterion,
            self._edit_criterion, self._change_base, self._change_base, self._set_item, self._join,
            self._leave, self._grant, self._revoke, self._put_below, self._deactivate, self._relocate,
            self._property,
        ]  # fmt: skip

    def _published(self) -> list[Row]:
        rows = self.instance.tables["kb_knowledge"].values()
        return [row for row in rows if row["workflow_state"] == "published"]

    def _article(self) -> Row | None:
        rows = self._published()
        return self.random.choice(rows) if rows else None

    def _some(self, rows: list[Row], most: int = 2) -> list[Row]:
        return self.random.sample(rows, min(len(rows), self.random.choice((0, 0, 1, most))))

    def _whereabouts(self) -> dict[str, str]:
        return {name: self.random.choice(_PLACES) for name in ("department", "company", "location")}

    def _restrictions(self) -> dict[str, str]:
        pick = self.random
        groups = ["", "", "", *(group["sys_id"] for group in self._groups)]
        return {
            "ownership_group": pick.choice(groups),
            "roles": pick.choice(("", "", "", "r1", "r1,r3", "high")),
            "can_read_user_criteria": ",".join(one["sys_id"] for one in self._some(self._criteria)),
            "cannot_read_user_criteria": ",".join(one["sys_id"] for one in self._some(self._criteria, 1)),
        }

    def _write(self) -> None:
        base = self.random.choice(self._bases)
        self.instance.article(base, "A", "text", **self._restrictions())

    def _write_block(self) -> None:
        article = self._article()
        if article is not None:
            restrictions = {**self._restrictions(), "ownership_group": "", "roles": ""}
            block = self.instance.block(self.random.choice(self._bases), "B", "text", **restrictions)
            self.instance.use_block(article, block)

    def _edit(self) -> None:
        if (row := self._article()) is not None:
            self.instance.edit(row, text="other")

    def _readers(self) -> None:
        blocks = list(self.instance.tables["kb_knowledge_block"].values())
        if rows := [*self._published(), *blocks]:
            row = self.random.choice(rows)
            restrictions = self._restrictions()
            if row["sys_class_name"] == "kb_knowledge_block":
                restrictions |= {"ownership_group": "", "roles": ""}
            self.instance.edit(row, **restrictions)

    def _publish_version(self) -> None:
        """Blocks and attachments of the old version stay with it."""
        if (row := self._article()) is not None:
            self.instance.new_version(row, **self._restrictions())
            self.needs_full_listing = True

    def _retire(self) -> None:
        if (row := self._article()) is not None:
            self.instance.edit(row, workflow_state="retired")

    def _delete(self) -> None:
        row = self._article()
        if row is not None and row["sys_id"] == row["article_id"]:
            self.instance.delete(row)

    def _move(self) -> None:
        if (row := self._article()) is not None:
            self.instance.edit(row, kb_knowledge_base=self.random.choice(self._bases)["sys_id"])

    def _attach(self) -> None:
        if (row := self._article()) is not None:
            self.instance.attach(row, "a.txt", b"a")

    def _new_criterion(self) -> None:
        row = self.instance.criterion(**self._parts())  # type: ignore[arg-type]
        self._criteria.append(self.instance.edit(row, u_cost_center=self.random.choice(("",) * 9 + ("c1",))))

    def _parts(self) -> dict[str, object]:
        pick = self.random
        return {
            "user": self._some(self._people),
            "group": self._some(self._groups, 1),
            "role": self._some(self._roles, 1),
            "department": pick.choice(((), (), ("p1",), ("p1", "p2"))),
            "company": pick.choice(((), (), ("p1",))),
            "location": pick.choice(((), (), ("p2",))),
            "match_all": pick.random() < 0.3,
            "script": pick.random() < 0.1,
        }

    def _edit_criterion(self) -> None:
        row = self.random.choice(self._criteria)
        self.instance.edit(row, active=self.random.choice(("true", "true", "false")))
        if self.random.random() < 0.5:
            other = self.instance.criterion(**self._parts())  # type: ignore[arg-type]
            same = ("user", "group", "role", "department", "company", "location", "match_all", "advanced")
            self.instance.edit(row, **{name: other[name] for name in same})

    def _change_base(self) -> None:
        self._set_base(self.random.choice(self._bases))

    def _set_base(self, base: Row) -> None:
        for kind in CRITERIA_TABLES:
            most = 1 if kind.startswith("cannot") else 2
            self.instance.set_criteria(base, kind, self._some(self._criteria, most))

    def _set_item(self) -> None:
        item = self.random.choice(self._items)
        for kind in ITEM_TABLES:
            self.instance.set_available(item, kind, self._some(self._criteria, 1))

    def _join(self) -> None:
        self.instance.join(self.random.choice(self._groups), self.random.choice(self._people))

    def _leave(self) -> None:
        self.instance.leave(self.random.choice(self._groups), self.random.choice(self._people))

    def _grant(self) -> None:
        self.instance.grant(self.random.choice(self._people), self.random.choice(self._roles))

    def _revoke(self) -> None:
        self.instance.revoke(self.random.choice(self._people), self.random.choice(self._roles))

    def _put_below(self) -> None:
        low, high = self.random.sample(self._groups, 2)
        self.instance.put_below(low, self.random.choice((None, high)))

    def _deactivate(self) -> None:
        user = self.random.choice(self._people)
        self.instance.edit(user, active=self.random.choice(("true", "true", "false")))

    def _relocate(self) -> None:
        self.instance.edit(self.random.choice(self._people), **self._whereabouts())

    def _property(self) -> None:
        name = self.random.choice((BLOCK_ACCESS, ARTICLE_CRITERIA, ROLE_SECURITY))
        self.instance.set_property(name, self.random.choice(("true", "false")))
        self.needs_full_listing = True
