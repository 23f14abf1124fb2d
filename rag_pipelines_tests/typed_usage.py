"""What type checkers know of the front door: mypy reads this with the package, and nothing runs it.

What belongs here: one line for each kind of answer. What does not: behaviour (`integration.test_pipeline`).
"""

from __future__ import annotations

from typing import assert_type

import rag_pipelines
from rag_pipelines.config import Settings
from rag_pipelines.index.gate_results import Gate
from rag_pipelines.index.versions import Version
from rag_pipelines.query.context import PackedContext
from rag_pipelines.query.hits import Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.sync.plan import SyncPlan
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.verification.drift import Certificate


def use(settings: Settings) -> None:
    with rag_pipelines.open(settings) as rag:
        assert_type(rag, rag_pipelines.Pipeline)
        docs = rag.sources["docs"]
        assert_type(docs, rag_pipelines.Source)
        assert_type(docs.ingest(), SyncReport)
        plan = docs.plan(rag_pipelines.Scope(full=True, window=rag_pipelines.Window()))
        assert_type(plan, SyncPlan)
        assert_type(docs.apply(plan), SyncReport)
        assert_type(docs.verify(), list[Certificate])
        main = rag.indexes["main"]
        assert_type(main, rag_pipelines.Index)
        assert_type(main.build(), Version)
        assert_type(main.judge(), list[Gate])
        assert_type(main.promote(), Version)
        assert_type(main.refresh(), Version | None)
        result = main.search("meals", tenant="default", filters=rag_pipelines.Filters(path_prefix="a/"))
        assert_type(result, Result)
        assert_type(main.pack(result, 500), PackedContext)
        with rag.searcher("main") as searcher:
            assert_type(searcher, Searcher)
