"""Decisions of one listing are kept until another begins."""

from __future__ import annotations

from contextlib import closing

from rag_pipelines.sync.decisions import Decisions
from rag_pipelines.sync.diff import DocumentChange


def test_decisions_that_were_cleared_are_forgotten():
    with closing(Decisions()) as decisions:
        decisions.record(DocumentChange.ADDED, "a")
        decisions.record(DocumentChange.ADDED, "b")
        decisions.clear()
        decisions.record(DocumentChange.DELETED, "c")

        assert [(one.external_id, one.change) for one in decisions] == [("c", "deleted")]
