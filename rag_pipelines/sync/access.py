"""Who may see the documents of a listing: what the source says, its default, and the limit of rules.

What belongs here: the rule that a listed document gets. What does not: groups and their members (`groups`),
and what a rule means to a search.
"""

from __future__ import annotations

from collections.abc import Mapping

from rag_pipelines.errors import TooLargeDocumentError
from rag_pipelines.model import CLOSED, AccessRule
from rag_pipelines.store.database import query
from rag_pipelines.store.documents import AccessRules, QuarantineEntry
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.text.canonical import clean


class ListedRules:
    """The rules of the documents that one run lists."""

    def __init__(self, run: SourceRun) -> None:
        self._run = run
        self._stored = AccessRules(run.connection)

    def id_of(self, rule: AccessRule) -> int:
        """The id of `rule`, stored if it is new."""
        return self._stored.id_of(rule)

    def fit(self, listed: Mapping[str, AccessRule | None], *, resolve: bool = True) -> dict[str, AccessRule]:
        """Who may see each document, by id; None is the source's default.

        A rule above the limit is closed, and in quarantine until it fits again; `resolve` says that there may
        be some in quarantine.
        """
        run, limit = self._run, self._run.settings.limits.access_principals
        rules = {one: run.source.access if rule is None else rule for one, rule in listed.items()}
        oversized = {one: rule.named for one, rule in rules.items() if rule.named > limit}
        rules |= dict.fromkeys(oversized, CLOSED)
        run.report.access_closed += sum(rule.closed for rule in rules.values())
        entries = [
            QuarantineEntry("access", _too_many(named, limit), entity=_access_of(one))
            for one, named in oversized.items()
        ]
        fitting = [_access_of(one) for one in rules if one not in oversized]
        if entries or resolve:
            with run.writing() as connection:
                run.quarantine(entries)
                query(connection, "resolve_access", {"source_id": run.source_id, "entities": fitting})
        return rules


def _access_of(external_id: str) -> str:
    """The entity in quarantine that stands for a document's access rule."""
    return clean(f"access of {external_id}")


def _too_many(named: int, limit: int) -> TooLargeDocumentError:
    return TooLargeDocumentError(
        f"the access rule names {named:,} principals, the limit is {limit:,}: nobody may see the document. "
        "Grant access to groups instead, or raise limits.access_principals"
    )
