"""Rows of the audit as events of the Open Cybersecurity Schema Framework, for a SIEM.

What belongs here: the form of an event. What does not: reading rows, writing files.

Each row is an event of the class Entity Management (3004) of OCSF 1.5.0: who changed what of the pipeline.
https://schema.ocsf.io/1.5.0/classes/entity_management
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rag_pipelines import __version__

OCSF = "1.5.0"

CATEGORY, CLASS = 3, 3004
"""Identity & Access Management; Entity Management."""

SUCCESS, INFORMATIONAL = 1, 1

UPDATE, DELETE, ENABLE, DISABLE, ACTIVATE, SUSPEND, RESUME, OTHER = 3, 4, 8, 9, 10, 12, 13, 99

ACTIVITIES = {
    "promote": (ACTIVATE, "Activate"),
    "rollback": (ACTIVATE, "Activate"),
    "purge": (DELETE, "Delete"),
    "collect": (DELETE, "Delete"),
    "deletion approved": (DELETE, "Delete"),
    "deletion rejected": (RESUME, "Resume"),
    "canary serve": (ENABLE, "Enable"),
    "canary shadow": (ENABLE, "Enable"),
    "canary stop": (DISABLE, "Disable"),
    "canary breach": (SUSPEND, "Suspend"),
    "hold": (ENABLE, "Enable"),
    "hold released": (DISABLE, "Disable"),
    "switch on": (ENABLE, "Enable"),
    "switch off": (DISABLE, "Disable"),
    "plan applied": (UPDATE, "Update"),
    "override": (UPDATE, "Update"),
    "audit redacted": (UPDATE, "Update"),
    "audit changed": (UPDATE, "Update"),
}
"""The activity of the class by our action. Any other is an event of the kind Other, under our own name."""


def ocsf_event(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of `chain.read_rows` as an event."""
    activity, name = ACTIVITIES.get(row["action"], (OTHER, row["action"]))
    user = {"name": row["actor"], **({"uid": row["login"]} if row["login"] else {})}
    return {
        "activity_id": activity,
        "activity_name": name,
        "actor": {"user": user, "app_name": "rag-pipelines"},
        "category_uid": CATEGORY,
        "category_name": "Identity & Access Management",
        "class_uid": CLASS,
        "class_name": "Entity Management",
        "entity": {"name": row["subject"], "type": row["action"].partition(" ")[0]},
        "message": f"{row['action']}: {row['subject']}",
        "metadata": {
            "version": OCSF,
            "product": {"name": "rag-pipelines", "version": __version__},
            "uid": row["hash"],
            "sequence": row["position"],
            "event_code": row["action"],
            "log_name": "rag.audit",
        },
        "severity_id": INFORMATIONAL,
        "status_id": SUCCESS,
        "time": int(row["at"].timestamp() * 1000),
        "type_uid": CLASS * 100 + activity,
        "unmapped": {"detail": row["detail"], "salt": row["salt"], "content": row["content"]},
    }
