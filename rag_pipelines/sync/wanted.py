"""Content that a listing leaves to others: written down with the listing, loaded by shards or the next run.

What belongs here: the stored form of a listed item, and working off what is wanted. What does not: which
items are (`listing`), and what is done with content that was loaded (`loading`).

A row of ``rag.wanted`` is what the listing would have handed to its own loading. It goes in the transaction
that stores the content, or quarantines the failure; where a later listing has changed it meanwhile it stays,
and what was loaded is not stored: it is loaded again as it is listed now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines import logs
from rag_pipelines.connectors.base import Connector, Item
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.store.documents import known_documents
from rag_pipelines.store.inbox import open_connector
from rag_pipelines.store.shards import BUCKETS
from rag_pipelines.stored import Form
from rag_pipelines.sync.loading import Loading, Wanted
from rag_pipelines.sync.origin import LiveOrigin
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.text.canonical import clean, plain_metadata

log = logs.get(__name__)

PAGE = 500
"""Wanted documents taken up at once."""

ROUNDS = 3
"""How often documents are taken up that a listing changed while they were loaded."""


class WantedItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a listing said of a document, as of `Item`; name and path only where its id does not say them.
    `masked_by` stands for the masks in it."""

    reference: dict[str, Any]
    name: str = ""
    path: str = ""
    url: str | None = None
    title: str | None = None
    media_type: str | None = None
    size: int | None = None
    modified_at: datetime | None = None
    author: str | None = None
    metadata: dict[str, Any] = {}
    masked_by: str | None = None


WANTED_ITEM = Form("wanted item", WantedItem)


def put_wanted(run: SourceRun, wanted: Sequence[Wanted]) -> None:
    """Inside `writing`: note what is to be loaded, but of documents that were purged since the run began.

    Each item has a reference.
    """
    purged = run.forgotten(one.item.external_id for one in wanted)
    kept = [one for one in wanted if one.item.external_id not in purged]
    rows = [
        {
            "external_id": one.item.external_id,
            "token": one.item.token,
            "tenant": one.tenant,
            "attributes_key": str(one.attributes),
            "access_id": one.access_id,
            "item": WANTED_ITEM.encode(_stored(one.item, one.masked_by)),
        }
        for one in kept
    ]
    if rows:
        query(run.connection, "put_wanted", {"source_id": run.source_id, "rows": Jsonb(rows)})


def drop_wanted(run: SourceRun, ids: Sequence[str]) -> None:
    """Inside `writing`: these need not be loaded any more."""
    query(run.connection, "drop_wanted", {"source_id": run.source_id, "ids": list(ids)})


def has_wanted(run: SourceRun) -> bool:
    """Whether anything is wanted of what the run may load."""
    params = {"source_id": run.source_id, "buckets": run.buckets}
    return query(run.connection, "has_wanted", params).fetchone() is not None


def load_wanted(run: SourceRun) -> None:
    """Load and store what is wanted of the run's buckets; what fails ends in quarantine.

    Raises `CredentialError`: the source refused the credentials; what was not loaded stays wanted.
    """
    if not has_wanted(run):
        return
    opened = closing(open_connector(run.settings, run.name, run.connection))
    with run.stage("load what is wanted"), opened as connector:
        for _ in range(ROUNDS):
            loading = _WantedLoading(run, LiveOrigin(run, connector))
            for page in _pages(run, connector):
                loading.load(page, full=True)
                run.progress("load", run.report.touched, None)
            if not loading.changed:
                break


class _WantedLoading(Loading):
    """Stores what is still wanted as it was read; `changed` counts what was not."""

    changed = 0

    def _claim(self, connection: Pg, batch: Sequence[Wanted]) -> set[str]:
        params: dict[str, Any] = {
            "source_id": self._run.source_id,
            "ids": [one.item.external_id for one in batch],
            "tokens": [one.item.token for one in batch],
            "tenants": [one.tenant for one in batch],
            "keys": [one.attributes for one in batch],
            "rules": [one.access_id for one in batch],
        }
        held = {row["external_id"] for row in query(connection, "claim_wanted", params)}
        drop_wanted(self._run, list(held))
        self.changed += len(batch) - len(held)
        return set(params["ids"]) - held


def _pages(run: SourceRun, connector: Connector) -> Iterator[list[Wanted]]:
    for bucket in range(BUCKETS) if run.buckets is None else run.buckets:
        after = ""
        while True:
            params = {"source_id": run.source_id, "bucket": bucket, "after": after, "limit": PAGE}
            rows = query(run.connection, "wanted_page", params).fetchall()
            if not rows:
                break
            after = rows[-1]["external_id"]
            known = known_documents(run.connection, run.source_id, [row["external_id"] for row in rows])
            yield [_wanted(connector, row, known.get(row["external_id"])) for row in rows]


def _stored(item: Item, masked_by: str | None) -> WantedItem:
    assert item.reference is not None
    return WantedItem(
        reference=dict(item.reference),
        name="" if item.name == item.external_id.rsplit("/", 1)[-1] else clean(item.name),
        path="" if item.path == item.external_id else clean(item.path),
        url=clean(item.url) if item.url else None,
        title=clean(item.title) if item.title else None,
        media_type=clean(item.media_type) if item.media_type else None,
        size=item.size,
        modified_at=item.modified_at,
        author=clean(item.author) if item.author else None,
        metadata=plain_metadata(dict(item.metadata)),
        masked_by=masked_by,
    )


def _wanted(connector: Connector, row: Row, known: Row | None) -> Wanted:
    stored = WANTED_ITEM.decode(row["item"])
    described = {name: getattr(stored, name) for name in stored.__struct_fields__ if name != "masked_by"}
    load = partial(connector.load, stored.reference)
    item = Item(external_id=row["external_id"], token=row["token"], load=load, **described)
    return Wanted(item, row["tenant"], row["attributes_key"], None, row["access_id"], known, stored.masked_by)
