"""Who may read what of a Google Workspace: worked out from the top down, apart from server and connector.

What belongs here: the rule as Google writes it: who may open a folder may open what is in it, unless a
folder below has limited access: then only its owner (My Drive), managers (shared drive) and those who were
added there (developers.google.com/workspace/drive/api/guides/limited-expansive-access). What does not:
permissions as the API shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from rag_pipelines_tests.doubles.google_drive_items import Grant, Item
from rag_pipelines_tests.doubles.google_drive_state import Workspace

ANYBODY = "*"


@dataclass(frozen=True)
class Oracle:
    """The readers of items under a policy of links (closed, domain, open), `margin` before a grant ends."""

    site: Workspace
    links: str = "closed"
    margin: timedelta = timedelta(0)

    def may_read(self, email: str, item: Item) -> bool:
        readers = self.readers(item)
        return ANYBODY in readers or email in readers

    def readers(self, item: Item) -> set[str]:
        """Addresses of people, or `ANYBODY` among them."""
        site = self.site
        standing: list[Grant] = []
        for node in [item, *site.ancestors(item)][::-1]:
            if node.limited:
                standing = [grant for grant in standing if grant.role == "organizer"]
            standing = [grant for grant in standing if grant.who not in node.withheld] + self._given(node)
        everybody = {one for grant in standing for one in self._people(grant)}
        drive = site.drives.get(item.drive or "")
        if drive is not None and drive.members_only:
            members = set().union(*(self._people(grant) for grant in drive.members))
            everybody = members if ANYBODY in everybody else everybody & members
        return everybody

    def _given(self, node: Item) -> list[Grant]:
        if node.id in self.site.drives:
            return self.site.drives[node.id].members
        return [*node.grants, *([Grant("user", node.owner, "owner")] if node.owner else [])]

    def _people(self, grant: Grant) -> set[str]:
        site = self.site
        if grant.deleted or (grant.expires is not None and grant.expires <= site.now + self.margin):
            return set()
        if grant.type == "anyone":
            return {ANYBODY} if grant.discoverable or self.links == "open" else set()
        if grant.type == "domain":
            if not grant.discoverable and self.links == "closed":
                return set()
            active = (one for one in site.people.values() if not one.suspended and not one.external)
            return {one.email for one in active if one.email.endswith("@" + grant.who)}
        return {one for one in site.expand(grant.who) if not site.people[one].suspended}
