"""Random histories of an account's access: what people do to articles, segments, tickets and each other.

What belongs here: the changes. What does not: connectors, and what the result is (the oracle).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from rag_pipelines_tests.doubles.zendesk_state import Desk, Row, ids_of

_TAGS = ("t1", "t2", "t3")
_ACCESS = (
    "all",
    "within-groups",
    "within-groups-and-public-groups",
    "within-organization",
    "assigned-only",
    "x",
)
_LOCALES = ("en-us", "de", "fr")


class History:
    """One history on one account."""

    def __init__(self, desk: Desk, source: random.Random) -> None:
        self.desk = desk
        self.random = source
        self.needs_full_listing = False
        """Whether something happened that no feed names."""

    def begin(self) -> None:
        """An account of a few of everything."""
        desk, pick = self.desk, self.random
        for name in _ACCESS:
            desk.role(name, name)
        for n in range(8):
            desk.user(f"u{n}")
            self._change_user()
        for n in range(3):
            desk.organization(f"o{n}", *pick.sample(self._users(), 2))
            desk.group(f"g{n}", *pick.sample(self._users(), 3), is_public=pick.random() < 0.5)
        for _ in range(4):
            self._new_segment()
        desk.ticket_brand("shop")
        category = desk.category("C")
        for n in range(2):
            desk.section(f"S{n}", category)
        for _ in range(5):
            self._write()
            self._open_ticket()

    def step(self) -> None:
        """One change."""
        if self.random.random() < 0.7:
            self.desk.tick()
        self.random.choice(self._steps())()

    def _steps(self) -> list[Callable[[], object]]:
        return [
            self._write, self._edit, self._show, self._show, self._translate, self._draft, self._attach,
            self._detach, self._archive, self._restore, self._move, self._new_segment, self._edit_segment,
            self._edit_segment, self._change_user, self._change_user, self._affiliate, self._part,
            self._join, self._leave, self._share, self._publicity, self._open_ticket, self._say,
            self._hand_over, self._hand_over, self._delete_ticket, self._limit, self._limit,
        ]  # fmt: skip

    def _users(self) -> list[Row]:
        return list(self.desk.users.values())

    def _user(self) -> Row:
        return self.random.choice(self._users())

    def _one(self, rows: dict[int, Row]) -> Row | None:
        return self.random.choice(list(rows.values())) if rows else None

    def _some(self, values: Any, most: int = 2) -> list[Any]:
        values = list(values)
        return self.random.sample(values, min(len(values), self.random.choice((0, 0, 1, most))))

    def _change_user(self) -> None:
        pick = self.random
        role = pick.choice(("end-user", "end-user", "agent", "agent", "admin"))
        restrictions = ("requested", "organization") if role == "end-user" else (None, "groups", "assigned")
        custom = pick.choice([None, *self.desk.roles, 999]) if role == "agent" else None
        self.desk.change(
            self._user(),
            role=role,
            tags=self._some(_TAGS),
            suspended=pick.random() < 0.1,
            active=pick.random() < 0.95,
            custom_role_id=custom,
            ticket_restriction=pick.choice(restrictions),
        )

    def _filters(self) -> dict[str, Any]:
        return {
            "tags": self._some(_TAGS),
            "or_tags": self._some(_TAGS),
            "group_ids": self._some(self.desk.groups, 1),
            "organization_ids": self._some(self.desk.organizations),
            "added_user_ids": self._some(self.desk.users, 1),
        }

    def _new_segment(self) -> None:
        self.desk.segment("s", self.random.choice(("signed_in_users", "staff")), **self._filters())

    def _edit_segment(self) -> None:
        row = self.random.choice([row for row in self.desk.segments.values() if not row["built_in"]])
        self.desk.change(row, **self._filters())

    def _write(self) -> None:
        row = self.desk.article(self.random.choice(list(self.desk.sections.values())), "A", "text")
        self.desk.show_to(row, self._some(self.desk.segments.values()))

    def _edit(self) -> None:
        if row := self._one(self.desk.articles):
            self.desk.translate(row, row["source_locale"], body="other")

    def _show(self) -> None:
        if row := self._one(self.desk.articles):
            self.desk.show_to(row, self._some(self.desk.segments.values()))

    def _translate(self) -> None:
        if row := self._one(self.desk.articles):
            self.desk.translate(row, self.random.choice(_LOCALES), "T", "text")

    def _draft(self) -> None:
        if row := self._one(self.desk.articles):
            locale = self.random.choice(list(self.desk.translations[row["id"]]))
            self.desk.translate(row, locale, draft=self.random.random() < 0.6)

    def _attach(self) -> None:
        if row := self._one(self.desk.articles):
            self.desk.attach(row, "a.txt", b"a", inline=self.random.random() < 0.2)
            self.needs_full_listing = True

    def _detach(self) -> None:
        if row := self._one(self.desk.attachments):
            self.desk.detach(row)
            self.needs_full_listing = True

    def _archive(self) -> None:
        if row := self._one(self.desk.articles):
            self.desk.archive(row)
            self.needs_full_listing = True

    def _restore(self) -> None:
        if row := self._one(self.desk.archived):
            self.desk.restore(row)

    def _move(self) -> None:
        if row := self._one(self.desk.articles):
            self.desk.edit(row, section_id=self.random.choice(list(self.desk.sections)))

    def _affiliate(self) -> None:
        self.desk.affiliate(self.random.choice(list(self.desk.organizations.values())), self._user())

    def _part(self) -> None:
        self.desk.part(self.random.choice(list(self.desk.organizations.values())), self._user())

    def _join(self) -> None:
        self.desk.group_members.add((self.random.choice(list(self.desk.groups)), self._user()["id"]))

    def _leave(self) -> None:
        self.desk.group_members.discard((self.random.choice(list(self.desk.groups)), self._user()["id"]))

    def _share(self) -> None:
        row = self.random.choice(list(self.desk.organizations.values()))
        shared = self.random.random() < 0.4
        self.desk.change(row, shared_tickets=shared, tags=self._some(_TAGS, 1))

    def _publicity(self) -> None:
        row = self.random.choice(list(self.desk.groups.values()))
        self.desk.change(row, is_public=not row["is_public"])

    def _open_ticket(self) -> None:
        author = self._user()
        said = (author, "help", self.random.random() < 0.8)
        self.desk.ticket("T", author, said, **self._handling())

    def _handling(self) -> dict[str, Any]:
        pick = self.random
        return {
            "assignee_id": pick.choice([None, None, *self.desk.users]),
            "group_id": pick.choice([None, *self.desk.groups]),
            "organization_id": pick.choice([None, *self.desk.organizations]),
            "brand_id": pick.choice(list(self.desk.brands)),
            "email_cc_ids": ids_of(self._some(self._users(), 1)),
        }

    def _limit(self) -> None:
        """Memberships of brands: now and then nobody is limited any more."""
        if self.random.random() < 0.3:
            self.desk.brand_agents.clear()
        else:
            pairs = [(brand, user) for brand in self.desk.brands for user in self.desk.users]
            self.desk.brand_agents.update(self.random.sample(pairs, len(pairs) // 2))

    def _alive(self) -> Row | None:
        return self._one({one: row for one, row in self.desk.tickets.items() if row["status"] != "deleted"})

    def _say(self) -> None:
        if row := self._alive():
            self.desk.comment(row, self._user(), "more", public=self.random.random() < 0.5)

    def _hand_over(self) -> None:
        if row := self._alive():
            self.desk.update(row, **self._handling())

    def _delete_ticket(self) -> None:
        if row := self._alive():
            self.desk.delete_ticket(row)
