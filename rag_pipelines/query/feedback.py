"""What callers say of answers: receipts that go with an answer, and the votes that come back with them.

What belongs here: signing and reading receipts, storing votes. What does not: HTTP, and what votes lead to
(`gates.canary`).

A receipt says which version answered, and is signed for the caller who asked; so nothing is written when a
search is answered, any process can take the vote, and nobody votes on another's searches. A vote is stored
without the question, the caller and the passages.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Literal
from uuid import UUID, uuid4

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.query.hits import Result
from rag_pipelines.store.database import Database, query

Verdict = Literal["up", "down"]
Reason = Literal["irrelevant", "incomplete", "outdated", "wrong", "unsafe", "helpful", "other"]

VALID_SECONDS = 24 * 3600
"""For how long an answer may be voted on."""

MAX_RECEIPT = 500
"""Characters."""

_SIGNATURE = 16


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    index: str
    version: int
    at: int
    number: UUID


class Feedback:
    """Receipts and votes of one database. Safe to use from several threads."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def receipt(self, result: Result, tenant: str, caller: str) -> str:
        """What `caller` shows in order to vote on this answer. Raises `RagError` without the database."""
        answer = _Answer(result.index, result.version, int(self._clock()), uuid4())
        said = msgspec.json.encode(answer)
        return base64.urlsafe_b64encode(self._signature(said, tenant, caller) + said).decode().rstrip("=")

    def vote(
        self, receipt: str, tenant: str, caller: str, verdict: Verdict, reason: Reason | None = None
    ) -> tuple[str, int]:
        """Store one vote; a second one on the same answer takes its place. Returns the index and version.

        Raises:
            UsageError: the receipt is not one that this caller got for an answer of the last day.
            RagError: the database cannot be reached.
        """
        answer = self._read(receipt, tenant, caller)
        params = {
            "answer": answer.number,
            "index_name": answer.index,
            "version_id": answer.version,
            "verdict": verdict,
            "reason": reason,
        }
        with self._database.connection() as connection:
            query(connection, "put_feedback", params)
        return answer.index, answer.version

    def _read(self, receipt: str, tenant: str, caller: str) -> _Answer:
        try:
            raw = base64.b64decode(receipt[:MAX_RECEIPT] + "=" * (-len(receipt) % 4), b"-_", validate=True)
        except ValueError:
            raw = b""
        signature, said = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if hmac.compare_digest(signature, self._signature(said, tenant, caller)):
            with suppress(msgspec.MsgspecError):  # another release gave it
                answer = msgspec.json.decode(said, type=_Answer)
                if self._clock() - answer.at <= VALID_SECONDS:
                    return answer
        raise UsageError("the receipt is not of an answer that this caller got within the last day")

    def _signature(self, said: bytes, tenant: str, caller: str) -> bytes:
        whose = "\0".join((tenant, caller, "")).encode()
        return hmac.digest(self._key, whose + said, "sha256")[:_SIGNATURE]

    @cached_property
    def _key(self) -> bytes:
        with self._database.connection() as connection:
            row = query(connection, "receipt_key").fetchone()
        assert row is not None
        return bytes(row["key"])
