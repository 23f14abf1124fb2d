"""The gate `completeness`: whether a version has every document that the catalogue had when it was built.

What belongs here: judging what the build counted, in words. What does not: counting (`index.members`, in the
snapshot that a build loads from), comparing a source with the catalogue (`verification`).
"""

from __future__ import annotations

from rag_pipelines.gates.subject import Subject
from rag_pipelines.index.gate_results import Gate
from rag_pipelines.index.spec import SourceGaps


def completeness(subject: Subject) -> Gate:
    """Every document of the sources is in the version, in quarantine, or blank; but for an allowed share."""
    found = subject.version.figures.missing
    documents = sum(gaps.documents for gaps in found.values())
    missing = sum(sum(gaps.lacks.values()) for gaps in found.values())
    share = missing / documents if documents else 0.0
    allowed = subject.settings.gates.max_missing_share
    passed = share <= allowed
    said = [_sentence(name, gaps) for name, gaps in found.items() if gaps.lacks]
    unlisted = [
        f"source {name} has never been listed completely: the version may lack documents of it"
        for name, gaps in found.items()
        if not gaps.listed
    ]
    detail = {
        "documents": documents,
        "missing": missing,
        "sources": {name: gaps.lacks for name, gaps in found.items() if gaps.lacks},
        "refused": [] if passed else said,
        "notes": [*(said if passed else ()), *unlisted],
    }
    return Gate("completeness", passed, round(share, 6), allowed, detail)


def _sentence(name: str, gaps: SourceGaps) -> str:
    how = ", ".join(f"{count:,} {lack.replace('_', ' ')}" for lack, count in gaps.lacks.items())
    if gaps.running_since:
        advice = f"a run over it is under way since {gaps.running_since}; build again when it has ended"
    else:
        advice = f"run `rag-pipelines ingest {name}` and build again"
    missing = sum(gaps.lacks.values())
    return f"{name}: {missing:,} of {gaps.documents:,} documents are not in the version ({how}); {advice}"
