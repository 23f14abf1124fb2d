"""What senders hand in: who may send to which source, and keeping it.

What belongs here: the rights of keys, limits, and errors as problems. What does not: the routes (`push`), and
the inbox (`store.inbox`).
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.push import PushConnector
from rag_pipelines.errors import ConfigError, ConflictError, SwitchedOffError
from rag_pipelines.serving.auth import RequestCaller
from rag_pipelines.serving.problems import Problem
from rag_pipelines.serving.push_schema import PushedState, PushReceipt, PushReceiptState
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database
from rag_pipelines.store.inbox import Sending, accept, state_of_document, state_of_receipt

STATEMENT = "5000"
"""Milliseconds after which the database gives up a statement."""

CONNECTIONS = 2


class Intake:
    """What is sent to the sources that take it. Safe to use from several threads.

    Raises `ConfigError`: a key may send to what does not take it, or to another tenant's source.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._limits = {
            name: source.options.max_bytes  # type: ignore[attr-defined]
            for name, source in settings.sources.items()
            if source.connector == PushConnector.kind
        }
        self._database = database.with_server_settings(
            {"statement_timeout": STATEMENT}, pool_size=CONNECTIONS
        )
        self._blobs = BlobStore.of(settings)
        problems = [
            f"serving.api_keys.{name}.push: {source!r} takes nothing from this key; valid: sources of the "
            f"connector push of tenant {key.tenant!r}: {', '.join(self._of(settings, key.tenant)) or 'none'}"
            for name, key in settings.serving.api_keys.items()
            for source in key.push
            if source not in self._of(settings, key.tenant)
        ]
        if problems:
            raise ConfigError(problems=problems)

    def _of(self, settings: Settings, tenant: str) -> list[str]:
        return [name for name in self._limits if settings.sources[name].tenant == tenant]

    def admit(self, caller: RequestCaller, source: str) -> None:
        """Raise `Problem` where the caller may not send to a source, or there is none of this name."""
        if source not in caller.push:
            valid = ", ".join(caller.push) or "none for this login"
            detail = f"this login may not send to a source {source[:100]!r}; valid: {valid}"
            raise Problem(403, "may-not-push", detail)

    def take(self, caller: RequestCaller, source: str, sendings: Sequence[Sending]) -> list[PushReceipt]:
        """Keep all of them, or none. Raises `Problem`."""
        most = self._limits[source]
        for sending in sendings:
            if len(sending.content) > most:
                detail = (
                    f"{sending.external_id[:100]!r} has {len(sending.content):,} bytes; valid: up to {most:,}"
                )
                raise Problem(413, "document-too-large", detail)
        try:
            receipts = accept(self._database, self._blobs, source, caller.name, sendings)
        except ConflictError as error:
            raise Problem(409, "key-used", str(error)) from None
        except SwitchedOffError as error:
            raise Problem(503, "switched-off", str(error), headers={"Retry-After": "60"}) from None
        return [PushReceipt(**msgspec.structs.asdict(receipt)) for receipt in receipts]

    def receipt_state(self, source: str, receipt: UUID) -> PushReceiptState:
        """What became of a sending. Raises `Problem`."""
        found = state_of_receipt(self._database, source, receipt)
        if found is None:
            raise Problem(
                404, "no-such-receipt", f"source {source!r} has no receipt {receipt}, or it is too old"
            )
        return PushReceiptState(**msgspec.structs.asdict(found))

    def document_state(self, source: str, identity: str) -> PushedState:
        """What became of the newest sending of a document. Raises `Problem`."""
        found = state_of_document(self._database, source, identity)
        if found is None:
            detail = f"nothing of a document {identity[:100]!r} was sent to source {source!r}"
            raise Problem(404, "no-such-document", detail)
        return PushedState(**msgspec.structs.asdict(found))

    def close(self) -> None:
        """Give connections back."""
        self._database.close()
