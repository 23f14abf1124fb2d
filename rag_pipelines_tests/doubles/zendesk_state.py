"""What a Zendesk account holds, and what people do to it: the records behind the double.

What belongs here: articles, tickets, people and user segments. What does not: HTTP (`zendesk`), who may read
what (`zendesk_oracle`).

Records are as the API gives them (developer.zendesk.com/api-reference: help_center/help-center-api articles,
translations, article_attachments, user_segments; ticketing users, organizations, groups, tickets,
custom_roles). Time is `now`, moved by the test. Who is in a group, an organization or a segment leaves no
trace in any article or ticket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]

ALL_ACCESS = "all"
DELETED = "deleted"


class Desk:
    """One account. Methods are named for what a person does; they return the record."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.now = now
        self.users: dict[int, Row] = {}
        self.organizations: dict[int, Row] = {}
        self.groups: dict[int, Row] = {}
        self.roles: dict[int, Row] = {}
        self.segments: dict[int, Row] = {}
        self.categories: dict[int, Row] = {}
        self.sections: dict[int, Row] = {}
        self.articles: dict[int, Row] = {}
        self.translations: dict[int, dict[str, Row]] = {}
        """By article and locale."""
        self.attachments: dict[int, Row] = {}
        self.attached: dict[int, dict[int, Row]] = {}
        """Attachments by article."""
        self.files: dict[int, bytes] = {}
        self.archived: dict[int, Row] = {}
        """Articles that are neither listed nor answered for, but can be restored."""
        self.tickets: dict[int, Row] = {}
        self.comments: dict[int, list[Row]] = {}
        self.brands: dict[int, Row] = {}
        self.brand_agents: set[tuple[int, int]] = set()
        """(brand, user); empty where nobody is limited to brands."""
        self.organization_members: set[tuple[int, int]] = set()
        """(organization, user)."""
        self.group_members: set[tuple[int, int]] = set()
        """(group, user)."""
        self.brand_of: dict[int, str] = {}
        """By category, the brand whose help center it is in."""
        self._number = 100
        self.main_brand = self.ticket_brand("main")
        self.signed_in = self.segment("Signed-in users", built_in=True)
        self.staff = self.segment("Agents and admins", user_type="staff", built_in=True)

    def tick(self, time: timedelta = timedelta(hours=1)) -> None:
        self.now += time

    @property
    def stamp(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def epoch(self) -> int:
        return int(self.now.timestamp())

    # People.

    def user(self, name: str, role: str = "end-user", **values: Any) -> Row:
        row: Row = {
            "id": self._next(),
            "name": name,
            "email": f"{name}@example.com",
            "role": role,
            "active": True,
            "suspended": False,
            "tags": [],
            "organization_id": None,
            "custom_role_id": None,
            "ticket_restriction": "requested" if role == "end-user" else None,
            **values,
        }
        self.users[row["id"]] = row
        return self.change(row)

    def change(self, row: Row, **values: Any) -> Row:
        """Edit a user, an organization, a group, a role or a segment."""
        row.update(values, updated_at=self.stamp)
        return row

    def organization(self, name: str, *members: Row, **values: Any) -> Row:
        row: Row = {"id": self._next(), "name": name, "tags": [], "shared_tickets": False, **values}
        self.organizations[row["id"]] = row
        for member in members:
            self.affiliate(row, member)
        return self.change(row)

    def affiliate(self, organization: Row, user: Row) -> None:
        """Make a user a member; the first organization is the user's default."""
        self.organization_members.add((organization["id"], user["id"]))
        if user["organization_id"] is None:
            self.change(user, organization_id=organization["id"])

    def part(self, organization: Row, user: Row) -> None:
        """End a membership; another organization becomes the default."""
        self.organization_members.discard((organization["id"], user["id"]))
        if user["organization_id"] == organization["id"]:
            left = sorted(one for one, member in self.organization_members if member == user["id"])
            self.change(user, organization_id=left[0] if left else None)

    def group(self, name: str, *members: Row, is_public: bool = True) -> Row:
        row: Row = {"id": self._next(), "name": name, "is_public": is_public}
        self.groups[row["id"]] = row
        self.group_members.update((row["id"], member["id"]) for member in members)
        return self.change(row)

    def role(self, name: str, ticket_access: str = ALL_ACCESS) -> Row:
        row: Row = {"id": self._next(), "name": name, "configuration": {"ticket_access": ticket_access}}
        self.roles[row["id"]] = row
        return self.change(row)

    def ticket_brand(self, name: str) -> Row:
        """A brand as tickets have it."""
        row: Row = {"id": self._next(), "name": name, "active": True}
        self.brands[row["id"]] = row
        return self.change(row)

    def segment(self, name: str, user_type: str = "signed_in_users", **values: Any) -> Row:
        row: Row = {
            "id": self._next(),
            "name": name,
            "user_type": user_type,
            "built_in": False,
            "tags": [],
            "or_tags": [],
            "group_ids": [],
            "organization_ids": [],
            "added_user_ids": [],
            **values,
        }
        self.segments[row["id"]] = row
        return self.change(row)

    # The help center.

    def category(self, name: str, brand: str = "main") -> Row:
        row: Row = {"id": self._next(), "name": name}
        self.categories[row["id"]] = row
        self.brand_of[row["id"]] = brand
        return self.change(row)

    def section(self, name: str, category: Row, parent: Row | None = None) -> Row:
        row: Row = {
            "id": self._next(),
            "name": name,
            "category_id": category["id"],
            "parent_section_id": parent and parent["id"],
        }
        self.sections[row["id"]] = row
        return self.change(row)

    def article(self, section: Row, title: str, body: str, locale: str = "en-us", **values: Any) -> Row:
        row: Row = {
            "id": self._next(),
            "section_id": section["id"],
            "author_id": None,
            "source_locale": locale,
            "label_names": [],
            "vote_sum": 0,
            "user_segment_id": None,
            "user_segment_ids": [],
            "html_url": "",
            **values,
        }
        self.articles[row["id"]] = row
        self.translations[row["id"]] = {}
        self.translate(row, locale, title, body)
        return row

    def translate(
        self, article: Row, locale: str, title: str | None = None, body: str | None = None, **values: Any
    ) -> Row:
        """Write or edit one translation."""
        of = self.translations[article["id"]]
        row = of.setdefault(locale, {"id": self._next(), "locale": locale, "draft": False, "title": ""})
        row.update(values, updated_at=self.stamp, source_id=article["id"], source_type="Article")
        row.update({name: text for name, text in (("title", title), ("body", body)) if text is not None})
        article["edited_at"] = self.stamp
        self.edit(article)
        return row

    def edit(self, article: Row, **values: Any) -> Row:
        """Change what is not content: section, labels, position, votes."""
        article.update(values, updated_at=self.stamp)
        return article

    def show_to(self, article: Row, segments: Sequence[Row] = ()) -> None:
        """Let the users of any of some segments read; none stands for everybody."""
        ids = [one["id"] for one in segments]
        self.edit(article, user_segment_ids=ids, user_segment_id=ids[0] if ids else None)

    def attach(self, article: Row, name: str, data: bytes, *, inline: bool = False) -> Row:
        row: Row = {
            "id": self._next(),
            "article_id": article["id"],
            "file_name": name,
            "content_type": "text/plain",
            "size": len(data),
            "inline": inline,
            "updated_at": self.stamp,
        }
        self.attachments[row["id"]], self.files[row["id"]] = row, data
        self.attached.setdefault(article["id"], {})[row["id"]] = row
        return row

    def detach(self, attachment: Row) -> None:
        del self.attachments[attachment["id"]]
        del self.attached[attachment["article_id"]][attachment["id"]]

    def archive(self, article: Row) -> None:
        """What the API calls DELETE."""
        self.archived[article["id"]] = self.articles.pop(article["id"])

    def restore(self, article: Row) -> None:
        self.articles[article["id"]] = self.archived.pop(article["id"])
        self.edit(article)

    def brand(self, article: Row) -> str:
        return self.brand_of[self.sections[article["section_id"]]["category_id"]]

    # Tickets.

    def ticket(self, subject: str, requester: Row, *said: tuple[Row, str, bool], **values: Any) -> Row:
        """A ticket with comments: who, what, whether public."""
        row: Row = {
            "id": self._next(),
            "subject": subject,
            "status": "open",
            "requester_id": requester["id"],
            "assignee_id": None,
            "group_id": None,
            "organization_id": requester["organization_id"],
            "brand_id": self.main_brand["id"],
            "email_cc_ids": [],
            "created_at": self.stamp,
            "is_public": False,
            "tags": [],
            **values,
        }
        self.tickets[row["id"]] = row
        self.comments[row["id"]] = []
        for author, text, public in said or ((requester, subject, True),):
            self.comment(row, author, text, public=public)
        return row

    def comment(self, ticket: Row, author: Row, text: str, *, public: bool = True) -> Row:
        comment = {
            "id": self._next(),
            "author_id": author["id"],
            "html_body": f"<p>{text}</p>",
            "plain_body": text,
            "public": public,
            "created_at": self.stamp,
        }
        self.comments[ticket["id"]].append(comment)
        self.update(ticket, is_public=ticket["is_public"] or public)
        return comment

    def update(self, ticket: Row, **values: Any) -> Row:
        ticket.update(values, updated_at=self.stamp, generated_timestamp=self.epoch)
        return ticket

    def delete_ticket(self, ticket: Row) -> None:
        """Its record stays in exports, with a status of its own."""
        self.update(ticket, status=DELETED)

    def _next(self) -> int:
        self._number += 1
        return self._number


def ids_of(rows: Iterable[Row]) -> list[int]:
    return [row["id"] for row in rows]
