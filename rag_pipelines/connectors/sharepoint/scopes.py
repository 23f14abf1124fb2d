"""What has permissions of its own, and whom they let read: libraries, lists, and what in them is shared.

What belongs here: the list of scopes of one place. What does not: documents (`drives`, `lists`), what a
permission means (`principals`), and who stands behind a principal (`directory`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from rag_pipelines.connectors.base import Failure
from rag_pipelines.connectors.sharepoint.drives import ROOT, SHARING
from rag_pipelines.connectors.sharepoint.graph import GraphClient, values_of
from rag_pipelines.connectors.sharepoint.lists import read_scopes
from rag_pipelines.connectors.sharepoint.places import DRIVE, Place
from rag_pipelines.connectors.sharepoint.principals import Principals
from rag_pipelines.errors import (
    CredentialError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
)

_RESTARTS = 3
_EXPAND = {"$expand": "Member,RoleDefinitionBindings"}


class Scope(msgspec.Struct, frozen=True):
    """A scope by its principal, and the principals that may read what is in it."""

    principal: str
    place: Place
    readers: frozenset[str]


def list_scopes(graph: GraphClient, principals: Principals, place: Place) -> Iterator[Scope | Failure]:
    """Every scope of a place. One whose permissions cannot be read is a failure with its principal."""
    try:
        if place.kind == DRIVE:
            yield from _drive_scopes(graph, principals, place)
        else:
            yield from _list_scopes(graph, principals, place)
    except CredentialError:
        raise
    except RagError as error:
        yield Failure(error=error, entity=f"access of {place.url}")


def find_scopes(graph: GraphClient, place: Place, page_size: int) -> set[str]:
    """Ids of what has permissions of its own in a library, and `ROOT`. Raises where Graph does not tell."""
    params = {"$select": "id,root,shared,deleted", "$top": page_size}
    for attempt in range(_RESTARTS + 1):
        found: set[str] = set()
        try:
            for page in graph.pages(f"{place.path}/root/delta", params, SHARING):
                for raw in values_of(place.path, page):
                    identity = ROOT if "root" in raw else str(raw.get("id") or "")
                    own = "shared" in raw and "deleted" not in raw
                    (found.add if own else found.discard)(identity)
            break
        except GoneError:
            if attempt == _RESTARTS:
                raise
    if ROOT not in found:
        raise ForbiddenEntityError(
            f"{place.url}: Graph does not tell what has permissions of its own; grant the app "
            "Sites.FullControl.All"
        )
    return found - {""}


def _drive_scopes(graph: GraphClient, principals: Principals, place: Place) -> Iterator[Scope | Failure]:
    found = sorted(find_scopes(graph, place, graph.options.page_size))
    paths = [f"{place.path}/{'root' if one == ROOT else f'items/{one}'}/permissions" for one in found]
    now = datetime.now(UTC)
    for identity, answer in zip(found, graph.batch_entries(paths), strict=True):
        principal = principals.scope(place, identity)
        if isinstance(answer, MissingEntityError) and identity != ROOT:
            continue  # deleted since it was listed
        if isinstance(answer, RagError):
            yield Failure(error=answer, entity=principal)
        else:
            readers = principals.readers(answer, place.site.collection, now)
            yield Scope(principal, place, frozenset(readers))


def _list_scopes(graph: GraphClient, principals: Principals, place: Place) -> Iterator[Scope | Failure]:
    base = f"/lists(guid'{place.id}')"
    for identity in (ROOT, *sorted(read_scopes(graph, place).own)):
        principal = principals.scope(place, identity)
        path = f"{base}/roleassignments" if identity == ROOT else f"{base}/items({identity})/roleassignments"
        try:
            assignments = list(graph.rest(place.site.url, path, _EXPAND))
        except CredentialError:
            raise
        except RagError as error:
            if identity == ROOT or not isinstance(error, MissingEntityError):
                yield Failure(error=error, entity=principal)
            continue
        readers = principals.assigned(assignments, place.site.collection)
        yield Scope(principal, place, frozenset(readers))
