"""Who may read what of a Zendesk account, one user and one record at a time, as documented.

What belongs here: the decision. What does not: anything of the connector, which gets there by groups.

Source: support.zendesk.com articles 4408837707290 (user segments), 4408893451290 (tickets of organizations);
developer.zendesk.com help_center user_segments, ticketing users and custom_roles. Where the connector is
stricter on purpose, so is the oracle; these places are marked with *stricter*.
"""

from __future__ import annotations

from rag_pipelines_tests.doubles.zendesk_state import DELETED, Desk, Row


class Oracle:
    """Answers for one account as it is now. `sign_in`: its help center shows nothing to strangers."""

    def __init__(self, desk: Desk, *, sign_in: bool = False) -> None:
        self._desk = desk
        self._sign_in = sign_in

    def documents(self, user: Row, *, notes: bool = True) -> set[str]:
        """The external ids that a user may see."""
        desk = self._desk
        seen: set[str] = set()
        for article in desk.articles.values():
            if not self.reads(user, article):
                continue
            identity = f"article/{article['id']}"
            published = [one for one in desk.translations[article["id"]].values() if not one["draft"]]
            for one in published:
                source = one["locale"] == article["source_locale"]
                seen.add(identity if source else f"{identity}/translation/{one['locale']}")
            if published:
                seen.update(
                    f"{identity}/attachment/{one['id']}"
                    for one in desk.attachments.values()
                    if one["article_id"] == article["id"] and not one["inline"]
                )
        for ticket in desk.tickets.values():
            if ticket["status"] == DELETED:
                continue
            identity = f"ticket/{ticket['id']}"
            works = self.works_on(user, ticket)
            if ticket["is_public"] and (works or self.follows(user, ticket)):
                seen.add(identity)
            if notes and works:
                seen.add(f"{identity}/notes/private")
        return seen

    def reads(self, user: Row, article: Row) -> bool:
        """Whether a user may read an article. *Stricter*: Guide admins read everything in Zendesk."""
        segments = article["user_segment_ids"]
        if not segments:
            return not self._sign_in or self._signs_in(user)
        return any(self.belongs(user, self._desk.segments[one]) for one in segments)

    def belongs(self, user: Row, segment: Row) -> bool:
        """Whether a user is in a segment."""
        staff = user["role"] in ("agent", "admin")
        if not self._signs_in(user) or (segment["user_type"] == "staff" and not staff):
            return False
        if user["id"] in segment["added_user_ids"]:
            return True
        tags = self._tags(user)
        if any(tag not in tags for tag in segment["tags"]):
            return False
        if segment["or_tags"] and not any(tag in tags for tag in segment["or_tags"]):
            return False
        if segment["group_ids"] and not any(
            (group, user["id"]) in self._desk.group_members for group in segment["group_ids"]
        ):
            return False
        if segment["organization_ids"] and not (staff and segment["user_type"] == "signed_in_users"):
            return any(
                (one, user["id"]) in self._desk.organization_members for one in segment["organization_ids"]
            )
        return True

    def follows(self, user: Row, ticket: Row) -> bool:
        """Whether a user sees the public part of a ticket as its requester, on copy, or by organization."""
        if not self._signs_in(user):
            return False
        if user["id"] == ticket["requester_id"] or user["id"] in ticket["email_cc_ids"]:
            return True
        organization = self._desk.organizations.get(ticket["organization_id"] or 0)
        if organization is None or user["role"] != "end-user":
            return False
        if organization["shared_tickets"]:
            return (organization["id"], user["id"]) in self._desk.organization_members
        # stricter: of several organizations only the default one counts
        return user["ticket_restriction"] == "organization" and user["organization_id"] == organization["id"]

    def works_on(self, user: Row, ticket: Row) -> bool:
        """Whether a user sees all of a ticket as an agent. *Stricter*: what is in no group is nobody's."""
        if not self._signs_in(user) or user["role"] == "end-user":
            return False
        limits = self._desk.brand_agents
        if limits and (ticket["brand_id"], user["id"]) not in limits:
            return False  # stricter: admins as well
        if user["role"] == "admin" or ticket["assignee_id"] == user["id"]:
            return True
        access = self._access(user)
        group = self._desk.groups.get(ticket["group_id"] or 0)
        in_group = group is not None and (group["id"], user["id"]) in self._desk.group_members
        if access == "groups":
            return in_group
        if access == "public groups":
            return in_group or (group is not None and group["is_public"])
        if access == "organization":
            organization = ticket["organization_id"]
            return organization is not None and organization == user["organization_id"]
        return access == "all"

    def _access(self, agent: Row) -> str:
        if agent["custom_role_id"] is None:
            restriction = agent["ticket_restriction"]
            if restriction is None and any(not one["is_public"] for one in self._desk.groups.values()):
                return "public groups"  # stricter: it is not known whether such an agent sees private ones
            return "all" if restriction is None else restriction
        role = self._desk.roles.get(agent["custom_role_id"])
        named = {
            "all": "all",
            "within-groups": "groups",
            "within-groups-and-public-groups": "public groups",
            "within-organization": "organization",
        }
        return "" if role is None else named.get(role["configuration"]["ticket_access"], "")

    def _tags(self, user: Row) -> set[str]:
        tags = set(user["tags"])
        for organization, member in self._desk.organization_members:
            if member == user["id"]:
                tags.update(self._desk.organizations[organization]["tags"])
        return tags

    def _signs_in(self, user: Row) -> bool:
        return user["active"] and not user["suspended"]
