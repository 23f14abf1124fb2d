"""Who may read an article or a ticket: rules made of the principals that `directory` lists.

What belongs here: principals and rules. What does not: who stands behind a principal (`directory`).

An article is read by the users of any of its segments, and by everybody where it has none
(developer.zendesk.com: help-center-api/articles, ``user_segment_ids``). A help center as a whole may be for
the users of one segment, or for those who sign in, as well; no interface tells of that, so that options do.

A ticket's public comments are read by its requester, who is on copy, members of its organization where
tickets are shared (support.zendesk.com: 4408893451290), and agents by the ticket access of each
(api-reference/ticketing/account-configuration/custom_roles, ``ticket_access``): all, those of their groups,
of these and public groups, of their organization, or only what is assigned to them. An agent has to be a
member of the ticket's brand as well (account-configuration/brand_agents).
"""

from __future__ import annotations

from typing import NamedTuple

from rag_pipelines.connectors.zendesk.site import Row
from rag_pipelines.model import EVERYONE, AccessRule


class Names(NamedTuple):
    """Writes principals of one account."""

    directory: str

    def user(self, one: int) -> str:
        return f"user:{self.directory}/{one}"

    @property
    def users(self) -> str:
        """Everybody who can sign in."""
        return f"group:{self.directory}/users"

    def segment(self, one: int) -> str:
        return f"group:{self.directory}/segment/{one}"

    @property
    def agents(self) -> str:
        """Agents and administrators who see every ticket."""
        return f"group:{self.directory}/agents"

    def group_agents(self, group: int) -> str:
        """Agents who see the tickets of a group."""
        return f"group:{self.directory}/group/{group}/agents"

    def brand_agents(self, brand: int) -> str:
        """Users who are agents, and members of a brand."""
        return f"group:{self.directory}/brand/{brand}/agents"

    def organization_agents(self, organization: int) -> str:
        """Agents who see the tickets of an organization."""
        return f"group:{self.directory}/organization/{organization}/agents"

    def organization_members(self, organization: int) -> str:
        """End users who see the tickets of their organization."""
        return f"group:{self.directory}/organization/{organization}/members"


class Rules(NamedTuple):
    """Makes the rules of one account."""

    names: Names
    sign_in: bool
    """Whether strangers see nothing."""
    segment: int | None
    """What the help centers as a whole are restricted to."""

    def article(self, row: Row) -> AccessRule:
        """Raises `KeyError` where the row does not say who may read it."""
        segments = row.get("user_segment_ids")
        if not segments:
            one = row["user_segment_id"] if segments is None else row.get("user_segment_id")
            segments = [] if one is None else [one]
        readers = [self.names.segment(one) for one in segments]
        article = tuple(readers or [self.names.users if self.sign_in else EVERYONE])
        whole = () if self.segment is None else ((self.names.segment(self.segment),),)
        return AccessRule((article, *whole)).normalised()

    def ticket(self, row: Row) -> AccessRule:
        """Who reads the public comments. Raises `KeyError` where the row lacks what decides."""
        names = self.names
        copied = row["email_cc_ids"] if "email_cc_ids" in row else row["collaborator_ids"]
        readers = [names.user(one) for one in (row["requester_id"], *(copied or ())) if one]
        if row["organization_id"]:
            readers.append(names.organization_members(row["organization_id"]))
        return self._agents(row, readers)

    def notes(self, row: Row) -> AccessRule:
        """Who reads the private comments."""
        return self._agents(row, [])

    def _agents(self, row: Row, others: list[str]) -> AccessRule:
        """For agents of the ticket who are members of its brand, and for `others`."""
        names = self.names
        agents = [names.agents]
        if row["assignee_id"]:
            agents.append(names.user(row["assignee_id"]))
        if row["group_id"]:
            agents.append(names.group_agents(row["group_id"]))
        if row["organization_id"]:
            agents.append(names.organization_agents(row["organization_id"]))
        members = names.brand_agents(row["brand_id"])
        return AccessRule(((*others, *agents), (*others, members))).normalised()
