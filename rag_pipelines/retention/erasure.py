"""Erases a person: listed first, approved by somebody, then removed beside runs and builds, with one receipt.

What belongs here: the order of an erasure. What does not: finding the person (`subject`), purging one
document (`purge`), the form of the receipt (`receipt`).

Documents that name the person are purged, but those that are held or kept by whoever listed them. Memberships
of the person go. In access rules and in records of runs and people a pseudonym takes the place of each
identifier: a rule that loses a name would show a document to others, and a row of the audit keeps its place.
What was listed is not stored, but a digest of it: an approval names the person again, looks again, and is
refused if something else is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from psycopg import sql
from psycopg.types.json import Jsonb

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import DriftError, UsageError
from rag_pipelines.fingerprint import fingerprint, text_key
from rag_pipelines.index.departed import Departure, builds_under_way
from rag_pipelines.model import AccessRule
from rag_pipelines.retention.garbage import purge_subject
from rag_pipelines.retention.proof import Mentions, Proof, PurgeEvidence, Waiting, look
from rag_pipelines.retention.purge import forget_records, purge_document, vacuum
from rag_pipelines.retention.receipt import RECEIPT, ErasedDocument, Keys, Receipt
from rag_pipelines.retention.subject import (
    HOLD_NAMES,
    Found,
    FoundDocument,
    Identifiers,
    find_subject,
    holds_of,
    members_of,
    own_rules_of,
    pseudonym,
    rewritten,
    rules_of,
    sent_rules_of,
    sessions_of,
)
from rag_pipelines.store.audit import AUDIT_DETAIL, record_audit
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.lease import lease_owner
from rag_pipelines.store.switches import refuse_read_only

SHOWN = 10
"""Documents that are named in an error."""

TOUCHED = ("access_rule", "document", "membership", "session", "source", "index_version", "erasure")
"""Tables that lose identifiers beside records and content."""


class Erasure(msgspec.Struct, frozen=True):
    """What was found of a person, and waits for an approval. `kept` are documents that stay by decision."""

    erasure_id: int
    found: Found
    kept: list[str]


class Checked(msgspec.Struct, frozen=True):
    """What a look at a receipt found. `fault` says why the receipt is not to be trusted; `found` is where the
    person is by now, if identifiers were given, and `back` what was not said to stay."""

    fault: str | None
    proof: Proof
    found: Found | None = None
    back: list[str] = []

    @property
    def clean(self) -> bool:
        """Whether the receipt is ours and nothing of what it tells of is there."""
        return self.fault is None and not self.proof.left and not self.back


def list_subject(
    database: Database,
    settings: Settings,
    subjects: Sequence[str],
    *,
    keep: Sequence[str] = (),
    reason: str = "",
    actor: str | None = None,
) -> Erasure:
    """Find a person and have the erasure wait for an approval; nothing is removed.

    Args:
        subjects: identifiers of one person.
        keep: documents (``SOURCE:ID``) that stay although they name the person.

    Raises `UsageError` for identifiers that are too short, and for documents to keep that name nobody.
    """
    keys = Keys(settings)
    who = Identifiers(subjects, keys.pseudonyms)
    with database.connect() as connection:
        found = find_subject(connection, BlobStore.of(settings), settings, who)
        unknown = sorted(set(keep) - {one.name for one in found.documents})
        if unknown:
            raise UsageError(
                f"--keep received {unknown[0]!r}, which does not name the person; nothing was listed"
            )
        kept = sorted(pseudonym(one, keys.pseudonyms) for one in keep)
        params = {
            "subjects": sorted(who.pseudonyms),
            "kept": kept,
            "found": _key(found),
            "documents": len(found.documents),
            "reason": who.without(reason),
            "made_by": who.without(actor or lease_owner()),
        }
        with connection.transaction():
            row = query(connection, "put_erasure", params).fetchone()
            assert row is not None
            detail = {
                "subjects": params["subjects"],
                "documents": len(found.documents),
                "reason": params["reason"],
            }
            record_audit(
                connection, "erasure listed", f"erasure {row['erasure_id']}", detail, params["made_by"]
            )
    return Erasure(row["erasure_id"], found, sorted(keep))


def erase_subject(
    database: Database,
    settings: Settings,
    erasure_id: int,
    subjects: Sequence[str],
    *,
    even_if_present: bool = False,
    rewrite: bool = False,
    actor: str | None = None,
) -> Receipt:
    """Approve an erasure and do it; the identifiers are given again, because they are not stored.

    Args:
        even_if_present: also purge documents that their sources still list; a run brings these back.
        rewrite: rewrite the tables touched, so that no page of them keeps old bytes.

    Raises:
        UsageError: there is no such erasure, it is done, it is of somebody else, or documents are still at
            their source.
        DriftError: something else is found by now; nothing was removed.
        SwitchedOffError: writing is switched off.
    """
    keys, store = Keys(settings), BlobStore.of(settings)
    who = Identifiers(subjects, keys.pseudonyms)
    by = who.without(actor or lease_owner())
    with database.connect() as connection:
        refuse_read_only(connection, f"erasure {erasure_id}")
        row = query(connection, "erasure_by_id", {"erasure_id": erasure_id}).fetchone()
        _check_waits(row, erasure_id, who)
        assert row is not None
        found = find_subject(connection, store, settings, who)
        if row["found"] != _key(found):
            raise DriftError(
                f"what names the person is not what erasure {erasure_id} listed ({row['documents']} "
                f"documents then, {len(found.documents)} now, or in another state); nothing was removed, "
                "list it again: `rag-pipelines purge --subject …`"
            )
        going, stayed = _divide(found, row["kept"], keys)
        present = [one.name for one in going if one.state != "tombstoned"]
        if present and not even_if_present:
            raise UsageError(
                f"{len(present)} documents are still at their source, such as "
                f"{', '.join(present[:SHOWN])}; a run would bring them back: delete them there and ingest, "
                "then list again, or pass --even-if-present"
            )
        documents = [_purge(database, settings, connection, keys, one, erasure_id, by) for one in going]
        rows = _forget(connection, who)
        waiting = _make_room(connection, {one.source for one in going}, rewrite=rewrite)
        after = find_subject(connection, store, settings, who)
        receipt = keys.sign(
            Receipt(
                erasure_id,
                datetime.now(UTC),
                by,
                sorted(who.pseudonyms),
                documents,
                rows,
                {pseudonym(name, keys.pseudonyms): why for name, why in stayed.items()},
                dict(_left(after, stayed)),
                len(after.human),
                waiting,
            )
        )
        with connection.transaction():
            params = {"erasure_id": erasure_id, "actor": by, "receipt": Jsonb(RECEIPT.encode(receipt))}
            query(connection, "erasure_applied", params)
            detail = {
                "subjects": receipt.subjects,
                "documents": len(documents),
                "rows": sum(rows.values()),
                "stayed": len(stayed),
                "receipt": receipt.digest,
            }
            record_audit(connection, "erasure", f"erasure {erasure_id}", detail, by)
    return receipt


def check_receipt(
    database: Database, settings: Settings, receipt: Receipt, subjects: Sequence[str] = ()
) -> Checked:
    """Whether a receipt is ours, and whether anything of what it tells of is there again.

    Args:
        subjects: the identifiers, to look for the person as well; what is found may have come since.

    Raises `UsageError` where the receipt is of somebody else.
    """
    keys, store = Keys(settings), BlobStore.of(settings)
    fault = keys.check(receipt)
    with database.connect() as connection:
        nobody = Mentions("", f"erased {receipt.signature}")
        proof = look(connection, store, receipt.evidence, nobody, whole_blobs=False)
        proof = msgspec.structs.replace(
            proof, traces=[one for one in proof.traces if one.what != "deleted rows not vacuumed"]
        )
        if not subjects:
            return Checked(fault, proof)
        who = Identifiers(subjects, keys.pseudonyms)
        if sorted(who.pseudonyms) != receipt.subjects:
            raise UsageError("the receipt is not of the person that --subject names")
        found = find_subject(connection, store, settings, who)
        back = [
            one.name for one in found.documents if pseudonym(one.name, keys.pseudonyms) not in receipt.stayed
        ]
        return Checked(fault, proof, found, back)


def _check_waits(row: dict[str, object] | None, erasure_id: int, who: Identifiers) -> None:
    if row is None:
        raise UsageError(f"there is no erasure {erasure_id}; `rag-pipelines purge --subject …` lists one")
    if row["state"] != "open":
        raise UsageError(f"erasure {erasure_id} is {row['state']}; nothing was removed")
    if row["subjects"] != sorted(who.pseudonyms):
        raise UsageError(
            f"erasure {erasure_id} was listed for other identifiers; give the same, each with --subject"
        )


def _key(found: Found) -> str:
    """Equal as long as the same documents name the person in the same state."""
    return fingerprint([[one.name, one.state, one.hold] for one in found.documents])


def _divide(found: Found, kept: Sequence[str], keys: Keys) -> tuple[list[FoundDocument], dict[str, str]]:
    """The documents that are purged, and why each of the others stays."""
    stayed: dict[str, str] = {}
    for one in found.documents:
        if one.hold is not None:
            stayed[one.name] = f"held by hold {one.hold}"
        elif pseudonym(one.name, keys.pseudonyms) in kept:
            stayed[one.name] = "kept by who listed it"
    return [one for one in found.documents if one.name not in stayed], stayed


def _purge(
    database: Database,
    settings: Settings,
    connection: Pg,
    keys: Keys,
    one: FoundDocument,
    erasure_id: int,
    by: str,
) -> ErasedDocument:
    """Purge one document; its evidence is what the audit keeps of it."""
    purge_document(
        database,
        settings,
        one.source,
        one.external_id,
        reason=f"erasure {erasure_id}",
        even_if_present=True,
        make_room=False,
        actor=by,
    )
    trail = query(
        connection, "purge_trail", {"subject": purge_subject(one.source, one.external_id)}
    ).fetchone()
    evidence = AUDIT_DETAIL.decode(trail["detail"]).get("evidence", {}) if trail else {}
    return ErasedDocument(pseudonym(one.name, keys.pseudonyms), msgspec.convert(evidence, PurgeEvidence))


def _forget(connection: Pg, who: Identifiers) -> dict[str, int]:
    """Take the person out of access and records; how many rows of each table changed or went."""
    told: Counter[str] = Counter()
    with connection.transaction():
        for rule in rules_of(connection, who):
            plain = _without(who, rule)
            params = {
                "access_id": rule["access_id"],
                # Two rules may become alike, and no source lists a pseudonym: each has a digest of its own.
                "digest": text_key(fingerprint([rule["access_id"], plain])),
                "clauses": Jsonb(plain["clauses"]),
                "deny": list(plain["deny"]),
            }
            told["access_rule"] += query(connection, "rewrite_rule", params).rowcount
            query(connection, "count_rewritten_rule", params)
        for rule in own_rules_of(connection, who):
            params = {"document_id": rule["document_id"], "own_access": Jsonb(_without(who, rule))}
            told["document.own_access"] += query(connection, "rewrite_own_rule", params).rowcount
        for rule in sent_rules_of(connection, who):
            params = {**rule, "access": Jsonb(_without(who, rule))}
            told["inbox.item"] += query(connection, "rewrite_sent_rule", params).rowcount
        for member in members_of(connection, who):
            told["membership"] += query(connection, "drop_member", member).rowcount
        for session in sessions_of(connection, who):
            told["session"] += query(connection, "end_session", session).rowcount
        for row in holds_of(connection, who):
            if not row["in_force"]:
                params = {name: who.without(row[name]) for name in HOLD_NAMES}
                changed = query(connection, "rewrite_hold", {"hold_id": row["hold_id"], **params})
                told["hold"] += changed.rowcount
        told += _forget_owners(connection, who)
        told += forget_records(connection, who, lambda one: rewritten(one.table, one.column))
    return dict(told)


def _without(who: Identifiers, rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule with pseudonyms for the person, as the database holds it."""
    value = AccessRule(
        tuple(tuple(who.without(clause)) for clause in rule["clauses"]), tuple(who.without(rule["deny"]))
    )
    return msgspec.to_builtins(value.normalised())


def _forget_owners(connection: Pg, who: Identifiers) -> Counter[str]:
    """Who last ran a source or built a version."""
    told: Counter[str] = Counter()
    keys = {"source": "source_id", "index_version": "version_id"}
    for row in query(connection, "lease_owners", None).fetchall():
        if who.in_text(row["lease_owner"]):
            parts = {"table": row["kind"], "key": sql.Identifier(keys[row["kind"]])}
            params = {"id": row["id"], "owner": who.without(row["lease_owner"])}
            told[row["kind"]] += query(connection, "rewrite_lease_owner", params, parts).rowcount
    return told


def _make_room(connection: Pg, sources: Iterable[str], *, rewrite: bool) -> list[str]:
    """Vacuum everything that lost something; what is still to go by itself, in sentences."""
    number = query(connection, "current_transaction", None).fetchone()
    assert number is not None
    left = Departure(0, builds_under_way(connection))
    tables = {row["table_name"] for row in query(connection, "record_columns", None)}
    touched = sorted({*tables, *TOUCHED})
    waiting = vacuum(connection, None, touched, left, number["number"], rewrite=rewrite)
    running = [one for one in sorted(sources) if query(connection, "is_running", {"source": one}).fetchone()]
    return [*waiting.sentences, *(one for name in running for one in Waiting(run=name).sentences)]


def _left(after: Found, stayed: dict[str, str]) -> Iterator[tuple[str, int]]:
    """What names the person in the end, by place, but for documents that stay."""
    documents = sum(one.name not in stayed for one in after.documents)
    if documents:
        yield "documents", documents
    yield from after.rows.items()
