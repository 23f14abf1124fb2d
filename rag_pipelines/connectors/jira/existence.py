"""Which documents a source still holds, asked by id and apart from any listing.

What belongs here: the judgement on ids that a listing did not name. What does not: deleting.

A search finds most issues at once. One that it does not find is asked for by itself, because the search index
lags, and because Data Center tells a forbidden issue (403) from one that is gone (404). Cloud answers 404 to
both: there an issue that was closed to us is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rag_pipelines.connectors.atlassian_client import Json
from rag_pipelines.connectors.jira import issues
from rag_pipelines.connectors.jira.issues import EntityId
from rag_pipelines.connectors.jira.options import JiraOptions
from rag_pipelines.connectors.jira.schemes import Schemes
from rag_pipelines.connectors.jira.scope import JiraScope
from rag_pipelines.connectors.jira.site import JiraSite
from rag_pipelines.errors import ForbiddenEntityError, MissingEntityError

_FIELDS = ("project", "attachment", "comment", "archiveddate")


class Existence:
    """Judges ids against the site as it is now, and against what the source's options take of it."""

    def __init__(self, site: JiraSite, options: JiraOptions, schemes: Schemes, scope: JiraScope) -> None:
        self._site = site
        self._options = options
        self._schemes = schemes
        self._scope = scope

    def of(self, external_ids: Sequence[str]) -> set[str]:
        """Those that exist or cannot be judged. Raises the site's errors when nothing can be said."""
        places = {external_id: EntityId.of(external_id) for external_id in external_ids}
        wanted = {place.issue_id for place in places.values() if place is not None}
        found = self._find(wanted)
        return {
            external_id
            for external_id, place in places.items()
            if place is not None and place.issue_id in found and self._holds(found[place.issue_id], place)
        }

    def _find(self, issue_ids: Iterable[str]) -> dict[str, Json | None]:
        """The issues that the source takes, by id; None for one that exists and is closed to us."""
        found: dict[str, Json | None] = {
            str(issue["id"]): issue for issue in self._site.by_ids(sorted(issue_ids), _FIELDS)
        }
        indexed = set(found)
        for issue_id in sorted(set(issue_ids) - indexed):
            try:
                found[issue_id] = self._site.issue(issue_id, _FIELDS)
            except ForbiddenEntityError:
                found[issue_id] = None
            except MissingEntityError:
                continue
        taken = {issue_id: issue for issue_id, issue in found.items() if self._takes(issue)}
        if self._options.jql:
            judged = sorted(taken.keys() & indexed)  # of others the filter says nothing
            matching = {
                str(issue["id"]) for issue in self._site.by_ids(judged, ("project",), self._options.jql)
            }
            for issue_id in set(judged) - matching:
                del taken[issue_id]
        return taken

    def _takes(self, issue: Json | None) -> bool:
        """Whether an issue is in one of the source's projects, as far as that can be seen."""
        if issue is None or not issue.get("fields"):
            return True
        fields = issue["fields"]
        return not fields.get("archiveddate") and str(fields["project"]["id"]) in self._scope.ids

    def _holds(self, issue: Json | None, place: EntityId) -> bool:
        """Whether an issue that exists still has the attachment or the restricted comments."""
        if place.kind == "attachment":
            if not self._options.attachments:
                return False
        elif place.kind and not self._options.comments:
            return False
        if not place.kind or issue is None or not issue.get("fields"):
            return True
        fields = issue["fields"]
        if place.kind == "attachment":
            return any(str(one["id"]) == place.part for one in fields.get("attachment") or ())
        try:
            comments = self._site.comments(issue)
        except MissingEntityError:
            return False
        except ForbiddenEntityError:
            return True
        threads = issues.threads(comments, lambda one: self._schemes.resolve_role(fields, one))
        return place.part in map(str, threads)
