"""Who may see the documents of a listing: the source's default, limits of rules, a listing of access alone.

What belongs here: the rule that a listed document gets, and rules that change while nothing else does. What
does not: groups and their members (`groups`), and what a rule means to a search.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.base import Access, Complete, Failure
from rag_pipelines.errors import TooLargeDocumentError
from rag_pipelines.model import CLOSED, AccessRule
from rag_pipelines.store.database import query
from rag_pipelines.store.documents import AccessRules, QuarantineEntry, known_documents, quarantine
from rag_pipelines.sync.diff import DocumentChange
from rag_pipelines.sync.groups import STAGE
from rag_pipelines.sync.origin import SourceOrigin
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.text.canonical import clean

BLOCK = 2_000
"""Rules compared with the catalogue at once."""


class ListedRules:
    """The rules of the documents that one run lists."""

    def __init__(self, run: SourceRun) -> None:
        self._run = run
        self._stored = AccessRules(run.connection)

    def id_of(self, rule: AccessRule) -> int:
        """The id of `rule`, stored if it is new."""
        return self._stored.id_of(rule)

    def fit(self, listed: Mapping[str, AccessRule | None]) -> dict[str, AccessRule]:
        """Who may see each document, by id; None is the source's default.

        A rule above the limit is closed, and in quarantine until it fits again.
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
        with run.writing() as connection:
            quarantine(connection, run.source_id, entries)
            query(connection, "resolve_access", {"source_id": run.source_id, "entities": fitting})
        return rules


def list_access(run: SourceRun, origin: SourceOrigin, rules: ListedRules) -> None:
    """Give stored documents the rules that the source lists apart from them.

    A document that it does not name keeps its rule; what could not be listed is said in the report.
    """
    failures: list[Failure] = []
    complete = None
    with run.timed("access"):
        for block in blocks(origin.access_rules(), BLOCK):
            failures += [entry for entry in block if isinstance(entry, Failure)]
            complete = next((entry for entry in block if isinstance(entry, Complete)), complete)
            _apply(run, rules, {one.external_id: one.rule for one in block if isinstance(one, Access)})
    with run.writing() as connection:
        entries = [
            QuarantineEntry(STAGE, one.error, entity=one.entity or one.external_id) for one in failures
        ]
        quarantine(connection, run.source_id, entries)
    for failure in failures[:1]:
        run.report.miss(
            f"{len(failures)} failures of listing access, such as {failure.entity or failure.external_id}: "
            f"{failure.error}; what could not be read is kept, the next full listing reads it again"
        )
    if complete is None or not (complete.full or failures):
        run.report.miss("the listing of access was incomplete: what it did not name is kept")


def _apply(run: SourceRun, rules: ListedRules, listed: dict[str, AccessRule]) -> None:
    known = known_documents(run.connection, run.source_id, list(listed))
    fitting = rules.fit({one: rule for one, rule in listed.items() if one in known})
    changed = {
        known[one]["document_id"]: access_id
        for one, rule in fitting.items()
        if known[one]["state"] != "tombstoned" and (access_id := rules.id_of(rule)) != known[one]["access_id"]
    }
    for one, rule in fitting.items():
        if known[one]["document_id"] in changed:
            row = known[one]
            about = (row["token"], row["attributes_key"].hex, msgspec.to_builtins(rule))
            run.decide(DocumentChange.ACCESS, one, about)
    if changed:
        params = {"documents": list(changed), "rules": list(changed.values())}
        with run.writing() as connection:
            query(connection, "change_access", params)


def _access_of(external_id: str) -> str:
    """The entity in quarantine that stands for a document's access rule."""
    return clean(f"access of {external_id}")


def _too_many(named: int, limit: int) -> TooLargeDocumentError:
    return TooLargeDocumentError(
        f"the access rule names {named:,} principals, the limit is {limit:,}: nobody may see the document. "
        "Grant access to groups instead, or raise limits.access_principals"
    )
