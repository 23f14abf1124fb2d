"""Titles and metadata that a source gives its documents, masked where the source masks.

What belongs here: what the listing says and what is stored of it. What does not: the text of documents,
which is screened where it is parsed (`prepare`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.base import Item
from rag_pipelines.privacy.fingerprints import privacy_fingerprint
from rag_pipelines.privacy.profile import PrivacyProfile
from rag_pipelines.store.database import query
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.targets import Screening

PAGE = 500
"""Documents whose titles are masked in one transaction."""


class Masking:
    """What masks the listed items of a source: its own profile, or that of their labels."""

    def __init__(self, settings: Settings, source: str) -> None:
        self._labels = settings.source(source).labels
        self._own = _masks(settings.privacy(source))
        self._labelled = _masks(settings.label_privacy(source))

    def apply(self, item: Item) -> tuple[Item, str | None]:
        """A listed item without what is found in its title, name, author and metadata, and what stands for
        these masks; an item that nothing masks as it is.

        Its id, path and address stay: they are what the source knows the document by, and where a citation
        leads.
        """
        masks = self._own
        if self._labelled and self._labels and self._labels.decide(item.metadata).masked:
            masks = self._labelled
        if masks is None:
            return item, None
        profile, masked_by = masks
        about = _masked(profile, item.name, item.title, item.author, dict(item.metadata))
        return msgspec.structs.replace(item, title=about.pop("given_title"), **about), masked_by


def mask_stored_attributes(run: SourceRun, screening: Screening, *, labelled: bool) -> None:
    """The same for documents that were stored before the source masked, or masked as it does now.

    `labelled`: only those that their label has masked, by whatever profile.
    """
    profile = screening.privacy
    if profile is None or (masked_by := screening.masked_by) is None:
        return
    params: dict[str, Any] = {
        "source_id": run.source_id,
        "masked_by": masked_by,
        "buckets": run.buckets,
        "labelled": labelled,
    }
    after = 0
    while rows := query(
        run.connection, "unmasked_attributes", {**params, "after": after, "limit": PAGE}
    ).fetchall():
        after = rows[-1]["document_id"]
        masked = [
            {
                "document_id": row["document_id"],
                **_masked(profile, row["name"], row["given_title"], row["author"], row["metadata"]),
            }
            for row in rows
        ]
        with run.writing() as connection:
            query(connection, "mask_attributes", {"masked_by": masked_by, "rows": Jsonb(masked)})


def _masks(profile: PrivacyProfile | None) -> tuple[PrivacyProfile, str] | None:
    return (profile, privacy_fingerprint(profile)) if profile is not None and profile.masks else None


def _masked(
    profile: PrivacyProfile, name: str, title: str | None, author: str | None, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    from rag_pipelines.privacy.screen import mask_text, mask_value

    stem, dot, suffix = name.rpartition(".")
    return {
        "name": mask_text(stem, profile) + dot + suffix if dot else mask_text(name, profile),
        "given_title": mask_text(title, profile) if title else title,
        "author": mask_text(author, profile) if author else author,
        "metadata": mask_value(metadata, profile),
    }
