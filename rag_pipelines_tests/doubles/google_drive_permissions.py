"""What `permissions.list` says of an item of Google Drive: what was granted there, and what it inherits.

What belongs here: how the server puts an item's permissions together, in the shapes that a tenant shows:
of a shared drive's members ``permissionType: member``; ``inheritedFrom`` in shared drives only; below a
limited folder only what reaches below it, and on that folder itself the others as ``view: metadata``
(developers.google.com/workspace/drive/api/guides/limited-expansive-access). What does not: what follows
for a reader (`google_drive_oracle`, which shares no code with this).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rag_pipelines_tests.doubles.google_drive_items import FOLDER, RANKS, Grant, Item

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.google_drive_state import Workspace

Json = dict[str, Any]


@dataclass
class Effective:
    """One permission of an item: of whom, in which role, and where it comes from."""

    grant: Grant
    details: list[Json] = field(default_factory=list)
    ends: list[datetime | None] = field(default_factory=list)
    """When what was given here, and what is inherited, is over; None: never."""
    metadata_only: bool = False

    @property
    def role(self) -> str:
        return max((one["role"] for one in self.details), key=RANKS.index)

    @property
    def expires(self) -> datetime | None:
        """When the last of it is over."""
        ends = [one for one in self.ends if one is not None]
        return max(ends) if len(ends) == len(self.ends) else None

    def is_over(self, now: datetime) -> bool:
        return self.grant.deleted or (self.expires is not None and self.expires <= now)


def effective(site: Workspace, item: Item) -> list[Effective]:
    """Every permission of `item`, one for each grantee, in the order of their ids."""
    found: dict[str, Effective] = {}
    withheld: set[str] = set()
    cut = False
    for node in [item, *site.ancestors(item)]:
        inherited = node is not item
        for grant in _direct(site, node):
            if inherited and grant.who in withheld:
                continue
            reaches = not cut or grant.role == "organizer"
            if not reaches and not (item.limited and item.mime == FOLDER):
                continue
            one = found.setdefault(grant.id, Effective(grant, metadata_only=not reaches))
            if not reaches and not one.metadata_only:
                continue
            one.metadata_only = one.metadata_only and not reaches
            one.details.append(_detail(node, grant, inherited))
            one.ends.append(grant.expires)
        withheld |= node.withheld
        cut = cut or node.limited
    return sorted(found.values(), key=lambda one: one.grant.id)


def permission_json(site: Workspace, item: Item, one: Effective) -> Json:
    grant = one.grant
    answer: Json = {
        "kind": "drive#permission",
        "id": grant.id,
        "type": grant.type,
        "role": "reader" if one.metadata_only else one.role,
        "permissionDetails": one.details,
    }
    if grant.type in ("user", "group"):
        answer["emailAddress"] = grant.who
        answer["displayName"] = grant.who.partition("@")[0].title()
        answer["deleted"] = grant.deleted
    if grant.type == "user" and item.drive is None:
        answer["pendingOwner"] = False
    if grant.type == "domain":
        answer["domain"] = grant.who
    if grant.type in ("domain", "anyone"):
        answer["allowFileDiscovery"] = grant.discoverable
    if one.expires is not None:
        answer["expirationTime"] = one.expires.isoformat().replace("+00:00", "Z")
    if item.limited:
        answer["inheritedPermissionsDisabled"] = True
    if one.metadata_only:
        answer["view"] = "metadata"
    return answer


def _direct(site: Workspace, node: Item) -> list[Grant]:
    if node.drive is not None and node.id == node.drive:
        return site.drives[node.drive].members if node.drive in site.drives else []
    owner = [Grant("user", node.owner, "owner")] if node.owner else []
    return owner + node.grants


def _detail(node: Item, grant: Grant, inherited: bool) -> Json:
    member = node.drive is not None and node.id == node.drive
    role = "writer" if inherited and grant.role == "owner" else grant.role
    detail: Json = {"permissionType": "member" if member else "file", "role": role, "inherited": inherited}
    if inherited and node.drive is not None:
        detail["inheritedFrom"] = node.id
    return detail
