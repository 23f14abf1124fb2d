"""The audit: who did what to what, for people to read later.

What belongs here: the row and its form. What does not: deciding what is worth one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from rag_pipelines.store.database import Pg, query
from rag_pipelines.store.lease import lease_owner
from rag_pipelines.stored import Form

AUDIT_DETAIL = Form("audit entry", dict[str, Any])


def record_audit(
    connection: Pg, action: str, subject: str, detail: Mapping[str, Any], actor: str = ""
) -> None:
    """Leave one row; without an `actor` it names this process."""
    params = {
        "actor": actor or lease_owner(),
        "action": action,
        "subject": subject,
        "detail": Jsonb(AUDIT_DETAIL.encode(dict(detail))),
    }
    query(connection, "put_audit", params)
