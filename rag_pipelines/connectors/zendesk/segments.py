"""Who is in a user segment.

What belongs here: the people of an account, and the test of a segment. What does not: reading them
(`directory`).

support.zendesk.com 4408837707290 and developer.zendesk.com help-center-api/user_segments: a segment is of
signed-in users or of staff. A member has all of ``tags``, one of ``or_tags``, one of ``group_ids`` and one of
``organization_ids``, as far as each names something; "organization is ignored for agents" in a segment of
signed-in users; tags count "on the user or an organization they belong to"; who is in ``added_user_ids`` need
not meet any of these. A type that is not known has no members.

Stricter than Zendesk on purpose: Guide admins, who may read everything, read what their segments let them; an
added user has to be of the segment's type.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rag_pipelines.connectors.zendesk.site import Row

STAFF = ("agent", "admin")


@dataclass
class People:
    """Users who can sign in, by id, and what they are in."""

    users: dict[int, Row]
    organizations: dict[int, Row]
    groups: dict[int, Row]
    in_organizations: dict[int, set[int]]
    """By user."""
    in_groups: dict[int, set[int]]
    """By user."""
    roles: dict[int, Row]
    """Custom roles of agents."""
    in_brands: dict[int, set[int]] | None
    """By brand, the agents who are members; None where nobody is limited to brands."""

    @property
    def has_private_groups(self) -> bool:
        return any(row.get("is_public") is False for row in self.groups.values())

    def is_staff(self, user: int) -> bool:
        return self.users[user]["role"] in STAFF

    def tags(self, user: int) -> set[str]:
        """A user's own and those of the organizations."""
        tags = set(self.users[user]["tags"])
        for one in self.in_organizations.get(user, ()):
            tags.update(self.organizations.get(one, {}).get("tags") or ())
        return tags

    def of(self, segment: Row) -> list[int]:
        """The members of a segment. Raises `KeyError` where it lacks what decides."""
        staff = segment["user_type"] == "staff"
        if not staff and segment["user_type"] != "signed_in_users":
            return []
        base = [one for one in self.users if not staff or self.is_staff(one)]
        added = set(segment.get("added_user_ids") or ())
        return [one for one in base if one in added or self._meets(one, segment, ignores=not staff)]

    def _meets(self, user: int, segment: Row, *, ignores: bool) -> bool:
        """Whether a user passes every filter. `ignores`: organizations do not count for agents."""
        every, some = segment["tags"], segment["or_tags"]
        if every or some:
            tags = self.tags(user)
            if not tags.issuperset(every) or (some and tags.isdisjoint(some)):
                return False
        if _misses(segment["group_ids"], self.in_groups.get(user)):
            return False
        if ignores and self.is_staff(user):
            return True
        return not _misses(segment["organization_ids"], self.in_organizations.get(user))


def is_everybody(segment: Row) -> bool:
    """Whether a segment takes in every user who can sign in."""
    filters = ("tags", "or_tags", "group_ids", "organization_ids")
    return segment["user_type"] == "signed_in_users" and not any(segment[name] for name in filters)


def _misses(wanted: Iterable[int], has: set[int] | None) -> bool:
    wanted = set(wanted)
    return bool(wanted) and wanted.isdisjoint(has or ())
