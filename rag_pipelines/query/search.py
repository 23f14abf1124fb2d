"""Permission-aware dense, lexical and hybrid search over the live version of an index.

What belongs here: the order of a search (rewriting, embedding, one SQL statement, stages), and asking again
when the version changed. What does not: ranking (it is in the statement, see `sql/queries/search.sql`), what
the stages do, presenting hits.

A search reads exactly one version. The searcher remembers the live version and its tables; the
statement that reads them also says, in the same snapshot, which version is live. If that is another
one, the search is asked again in a transaction that looks for the live version and reads it in one
snapshot: a promotion costs a round trip once, and no number of promotions loses a query. It is the same with
emergency switches: the statement says which are on, and where they are not those that were assumed, the
search is asked again as they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, Self

import msgspec
import psycopg

from rag_pipelines import tracing
from rag_pipelines.config.settings import IndexSettings, Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import RagError, SwitchedOffError, TransientError, UsageError
from rag_pipelines.index.graph import walk_settings
from rag_pipelines.model import EVERYONE
from rag_pipelines.query.asking import Asking, Question, check_asked
from rag_pipelines.query.caching import UNKNOWN, Kept, is_sound, result_size, state_of
from rag_pipelines.query.confidence import calibration_of
from rag_pipelines.query.context import Order, PackedContext, pack_context
from rag_pipelines.query.filter_predicate import Predicate, named_sources, predicate, without_documents
from rag_pipelines.query.filters import Filter
from rag_pipelines.query.hits import AskedBy, Filters, Hit, Mode, Result, Rewritten, Route, Unquoted
from rag_pipelines.query.neighbours import PACKED, Neighbours
from rag_pipelines.query.pinned import Pinned, pin, version_to_read
from rag_pipelines.query.question import phrases, read_question, stop_words_note
from rag_pipelines.query.rewriting import Rewriter
from rag_pipelines.query.stage_chain import make_stages
from rag_pipelines.query.stages import Asked, Reading
from rag_pipelines.query.statement import hit_of
from rag_pipelines.query.switched import Switched
from rag_pipelines.query.unquoted import find_unquoted
from rag_pipelines.query.view import View
from rag_pipelines.store.database import Database, Pg, Row, query
from rag_pipelines.store.reader import prove_reader, reading_as

ATTEMPTS = 5
"""A second attempt fails only where a version was collected between two statements of one transaction."""

RECOVERY_CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
"""How a standby ends a statement that is in the way of what it has to replay; the next one is not."""

Purpose = Literal["answer", "judge", "canary"]
"""What a search is for: an answer, judging a version, or an answer of a version on trial."""


class Searcher:
    """Searches one index. Safe to use from several threads; make one, keep it, and close it.

    Args:
        database: read only; its connections get the index's search settings.
        settings: the configuration, for the index's fusion and the models it may need.
        index: the index's name.
        embedders: shared models; by default the searcher makes its own.
        version: read this version, whatever its state, instead of the live one; for judging candidates, so
            nothing is cached.
        purpose: answers obey emergency switches. To judge a version none counts, because nothing is shown;
            for a canary one more does, which ends it (`SwitchedOffError`).
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        index: str,
        embedders: Embedders | None = None,
        *,
        version: int | None = None,
        purpose: Purpose = "answer",
    ) -> None:
        self._settings = settings
        self._index_settings: IndexSettings = settings.index(index)
        self._index = index
        self._fixed = version
        self._purpose = purpose
        self._switched = Switched()
        reader = settings.database.reader_url
        self._as_reader = reader is not None
        if reader is not None:
            database = database.at(reader.get_secret_value(), "database.reader_url")
        self._database = database.with_server_settings(
            {
                **walk_settings(self._index_settings.vector),
                "plan_cache_mode": "force_generic_plan",
            }
        )
        self._embedders = embedders or Embedders(settings.data_dir, settings.shared_models)
        self._owns_embedders = embedders is None
        stages = self._index_settings.stages
        self._stages = make_stages(stages, self._index_settings.duplicates, list(settings.sources_of(index)))
        self._rewriter = Rewriter(stages.rewriting, self._database) if stages.rewriting else None
        cache = settings.query.cache
        self._vectors = Kept[str](cache.embeddings if version is None else 0, len)
        self._results = (
            Kept(cache.results, result_size, cache.max_age) if cache.results and version is None else None
        )
        self._pinned: Pinned | None = None
        self._lock = threading.Lock()
        self._closed = False

    @tracing.spanned("search")
    def search(
        self,
        text: str,
        *,
        tenant: str,
        principals: Sequence[str] = (),
        mode: Mode = "hybrid",
        k: int = 10,
        filters: Filter | Filters = Filters(),
    ) -> Result:
        """The `k` best passages for `text` that this caller may see.

        Args:
            tenant: whose documents; there is no search across tenants.
            principals: the caller's user and groups (``user:ann``, ``group:hr``); `EVERYONE` is added, and so
                are the groups that the tenant's sources list them in.
            mode: which scores count.
            filters: what documents have to be; several at once, or a composed one (`filters.Filter`).

        Raises:
            UsageError: the index has no live version, an argument is out of range, the login for searches
                escapes row-level security, or this searcher is closed.
            TransientError: Postgres cannot be reached, or versions vanish as fast as they are found.
        """
        self._must_be_open()
        check_asked(tenant, mode, k)
        asked, notes = read_question(text)
        tracing.note(index=self._index, mode=mode, k=k)
        asking = Asking(asked, tenant, tuple(sorted({EVERYONE, *principals})), mode, k)
        try:
            found = self._answer(asking, filters)
        except TransientError as error:
            if not isinstance(error.__cause__, RECOVERY_CONFLICTS):
                raise
            found = self._answer(asking, filters)
        return msgspec.structs.replace(found, notes=(*notes, *found.notes)) if notes else found

    def _answer(self, asking: Asking, filters: Filter | Filters) -> Result:
        """The kept result where it is current, else that of a search."""
        began = time.perf_counter()
        narrowing = self._narrowing(filters, asking.tenant)
        if self._results is None:
            return self._run_search(asking, narrowing)[0]
        with self._database.connection() as connection:
            state = state_of(connection, self._index, asking.tenant)
        key = (state, asking, repr(filters))
        kept = self._results.get(key)
        tracing.note(cached=kept is not None)
        if kept is not None:
            spent = round((time.perf_counter() - began) * 1000, 3)
            return msgspec.structs.replace(kept, embed_ms=0.0, search_ms=spent, cached=True)
        result, switched = self._run_search(asking, narrowing)
        current = (result.version, switched.text) == (state.version, state.switches)
        if current and is_sound(result):
            self._results.put(key, result)
        return result

    def _run_search(self, asking: Asking, narrowing: Predicate) -> tuple[Result, Switched]:
        """The search itself, and the switches that it obeyed."""
        began = time.perf_counter()
        if self._settings.query.unknown_user == "nothing" and not self._knows(
            asking.tenant, asking.principals
        ):
            nothing = Result(self._index, self._pin().version.version_id, asking.mode, (), 0.0, 0.0)
            return nothing, self._switched
        reading = partial(self._reading, asking.tenant, asking.principals)
        rewritten = self._rewrite(asking, reading)
        question = Question(rewritten.text if rewritten else asking.text, asking.mode, self._vectors)
        depth = self._stages.depth(asking.k)
        params: dict[str, Any] = {
            "index_name": self._index,
            "fixed": self._fixed is not None,
            "text": question.text,
            "quoted": phrases(question.text),
            "dense": asking.mode != "lexical",
            "lexical": asking.mode != "dense",
            "tenant": asking.tenant,
            "principals": list(asking.principals),
            "k": depth,
            **self._fusion(depth),
            **narrowing.params,
        }
        pinned, rows, switched = self._fetch_rows(question, narrowing, params)
        tracing.note(version=pinned.version.version_id, candidates=len(rows))
        hits = [hit_of(row) for row in rows if row["score"] is not None]
        ask = partial(self._ask_again, pinned, question, switched)
        left, quoted = None, params["quoted"]
        by_words = asking.mode != "dense" or switched.is_lexical
        if not hits and by_words:
            left = find_unquoted(quoted, lambda kept: ask(narrowing, {**params, "quoted": kept}))
            quoted = left.kept if left else ()

        def without(documents: Sequence[int]) -> list[Hit]:
            return ask(without_documents(narrowing, documents), {**params, "quoted": quoted})

        asked = asking.read(question.text, pinned, reading, without)
        candidates, steps = self._stages.run(asked, left.hits if left else hits, switched.without())
        found = tuple(one.hit for one in candidates)
        told = switched.notes(self._sources_of(asking.tenant), asking.mode, reranks=self._stages.reranks)
        if left:
            told = (*told, left.note)
        elif by_words and not rows[0]["with_words"] and not self._has_words(pinned, question.text):
            told = (*told, stop_words_note(meant=len(found)))
        result = Result(
            index=self._index,
            version=pinned.version.version_id,
            mode="lexical" if switched.is_lexical else asking.mode,
            hits=() if left else found,
            embed_ms=question.embed_ms,
            search_ms=round((time.perf_counter() - began) * 1000 - question.embed_ms, 3),
            route=Route(rows[0]["exact"], rows[0]["thorough"] is not False),
            rewritten=rewritten,
            steps=tuple(steps),
            notes=told,
            unquoted=Unquoted(left.phrases, found) if left else None,
            asked_by=AskedBy(asking.tenant, asking.principals),
        )
        return result, switched

    def pack(self, result: Result, max_tokens: int, *, order: Order = "relevance") -> PackedContext:
        """What a model is given to read of a result of this searcher: see `context.pack_context`.

        Room that the hits leave goes to the text around them, the rest of their sections first.
        Tokens are those of the version's own model. Whether the hits hold an answer is judged by what
        `rag-pipelines eval calibrate` has learned of the index; where it has not, nothing is claimed.
        """
        self._must_be_open()
        with self._database.connection() as connection:
            calibration = calibration_of(connection, result.version, result.mode)
        count = self._pin().embedder.tokenizer.count
        around: Sequence[Hit] = ()
        if result.asked_by is not None:
            tenant, principals = result.asked_by.tenant, result.asked_by.principals
            reading = partial(self._reading, tenant, principals)
            asked = Asked("", len(result.hits), reading, {}, tenant, principals, datetime.now(UTC))
            around = Neighbours(PACKED).around(asked, result.hits)
        return pack_context(
            result.hits, max_tokens, count=count, calibration=calibration, order=order, around=around
        )

    @contextmanager
    def view(self, tenant: str, principals: Sequence[str] = ()) -> Iterator[View]:
        """What this caller may see of the live version beside searching it, in one snapshot and by the same
        rules and switches.

        Raises:
            UsageError, TransientError: as `search`.
        """
        self._must_be_open()
        allowed = sorted({EVERYONE, *principals})
        caller = {"tenant": tenant, "principals": allowed}
        known = self._settings.query.unknown_user != "nothing" or self._knows(tenant, allowed)
        with self._database.snapshot() as connection:
            pinned = self._pin_live(connection)
            row = query(connection, "switches", {"index_name": self._index}).fetchone()
            assert row is not None
            with self._as_caller(connection, tenant, allowed):
                yield View(
                    connection,
                    pinned.version.version_id,
                    pinned.search.parts,
                    {**UNKNOWN._asdict(), **caller},
                    Switched(row["switches"]),
                    known,
                )

    def prepare(self, tenant: str | None = None) -> None:
        """Have ready what stages would load while searches go without it: a model, a tenant's vocabulary.

        Raises:
            RagError: the reranker's model cannot be had; searches are answered without it.
        """
        self._must_be_open()
        if tenant is not None and self._rewriter is not None:
            self._rewriter.prepare(self._pin().search.parts, tenant)
        self._stages.prepare()

    def close(self) -> None:
        """Give connections and, if they are its own, models back."""
        self._closed = True
        self._stages.close()
        if self._rewriter is not None:
            self._rewriter.close()
        self._database.close()
        if self._owns_embedders:
            self._embedders.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _must_be_open(self) -> None:
        if self._closed:
            raise UsageError(f"this searcher of index {self._index!r} is closed; make a new one")

    def check_tenant(self, tenant: str) -> None:
        """Raise `UsageError` for a tenant of which there is no source and no document, mostly a misspelt one.

        A login under row-level security sees no other tenants, so it is told of none.
        """
        known = {source.tenant for source in self._settings.sources_of(self._index).values()}
        if tenant in known or self._as_reader:
            return
        with self._database.connection() as connection:
            if query(connection, "has_documents_of", {"tenant": tenant}).fetchone() is None:
                raise UsageError(
                    f"index {self._index!r} has no source of tenant {tenant!r}; valid: "
                    f"{', '.join(sorted(known))}"
                )

    @contextmanager
    def _reading(self, tenant: str, principals: Sequence[str]) -> Iterator[Pg]:
        """A connection that reads for this caller."""
        with self._database.connection() as connection, self._as_caller(connection, tenant, principals):
            yield connection

    def _as_caller(
        self, connection: Pg, tenant: str, principals: Sequence[str]
    ) -> AbstractContextManager[None]:
        """Row-level security set to the caller, where the login is subject to it."""
        return reading_as(connection, tenant, principals) if self._as_reader else nullcontext()

    def _knows(self, tenant: str, principals: Sequence[str]) -> bool:
        """Whether the caller is anybody to the tenant's groups and rules."""
        own = [principal for principal in principals if principal != EVERYONE]
        with self._database.connection() as connection:
            row = query(connection, "is_known", {"tenant": tenant, "principals": own}).fetchone()
        return row is not None and bool(row["known"])

    def _has_words(self, pinned: Pinned, text: str) -> bool:
        with self._database.connection() as connection:
            return pinned.search.has_words(connection, text)

    def _rewrite(self, asking: Asking, reading: Reading) -> Rewritten | None:
        """The question as rewriting has it; as it was typed where that fails."""
        if self._rewriter is None:
            return None
        asked = asking.read(asking.text, self._pin(), reading)
        try:
            with tracing.span("rewrite"):
                return self._rewriter.rewrite(asked)
        except RagError as error:
            return Rewritten(asking.text, note=f"asked as typed: {error}")

    def _fetch_rows(
        self, question: Question, narrowing: Predicate, params: dict[str, Any]
    ) -> tuple[Pinned, list[Row], Switched]:
        """The statement's rows, of the version that was live and under the switches that were on when they
        were read."""
        for attempt in range(ATTEMPTS):
            switched = self._switched
            narrower, obeying = switched.apply(narrowing, params)
            if attempt == 0:
                pinned = self._pin()
                if obeying["dense"] and not self._embeds(question, pinned):
                    continue
                with self._database.connection() as connection:
                    rows = self._rows(connection, pinned, question, narrower, obeying)
            else:
                with self._database.snapshot() as connection:
                    pinned = self._pin_live(connection)
                    rows = self._rows(connection, pinned, question, narrower, obeying)
            if rows is None:
                self._forget(pinned)
            elif self._purpose == "judge" or rows[0]["switches"] == switched.text:
                return pinned, rows, switched
            else:
                self._obey(rows[0]["switches"])
        raise TransientError(
            f"index {self._index!r} changed its version or its switches {ATTEMPTS} times during one search"
        )

    def _embeds(self, question: Question, pinned: Pinned) -> bool:
        """Whether the question has its vector; where that fails and a switch has said meanwhile that it needs
        none, the search is asked again."""
        try:
            question.vector(pinned.embedder)
        except RagError:
            with self._database.connection() as connection:
                row = query(connection, "switches", {"index_name": self._index}).fetchone()
            if row is None or self._purpose == "judge" or row["switches"] == self._switched.text:
                raise
            self._obey(row["switches"])
            return False
        return True

    def _obey(self, text: str | None) -> None:
        """From now on the switches are these. Raises `SwitchedOffError` in each search of an ended canary."""
        switched = Switched(text)
        reason = switched.reason("canary-off")
        if self._purpose == "canary" and reason is not None:
            raise SwitchedOffError(f"the canary of index {self._index!r} is off: {reason}")
        self._switched = switched

    def _rows(
        self,
        connection: Pg,
        pinned: Pinned,
        question: Question,
        narrowing: Predicate,
        params: dict[str, Any],
    ) -> list[Row] | None:
        """The statement's rows, or None when another version is live."""
        params = {**params, "vector": question.vector(pinned.embedder) if params["dense"] else None}
        try:
            with self._as_caller(connection, params["tenant"], params["principals"]):
                return pinned.search.rows(connection, params, narrowing, keeps=not self._as_reader)
        except psycopg.errors.UndefinedTable:
            return None

    def _ask_again(
        self,
        pinned: Pinned,
        question: Question,
        switched: Switched,
        narrowing: Predicate,
        params: dict[str, Any],
    ) -> list[Hit]:
        """The hits of the statement with something else; none where another version is live by now, or
        something else is switched off."""
        narrower, obeying = switched.apply(narrowing, params)
        with self._database.connection() as connection:
            rows = self._rows(connection, pinned, question, narrower, {**obeying, **narrower.params})
        if not rows or (self._purpose != "judge" and rows[0]["switches"] != switched.text):
            return []
        return [hit_of(row) for row in rows if row["score"] is not None]

    def _pin(self) -> Pinned:
        """The version that was live when we last looked."""
        pinned = self._pinned
        if pinned is not None:
            return pinned
        with self._database.connection() as connection:
            return self._pin_live(connection)

    def _pin_live(self, connection: Pg) -> Pinned:
        """The version that is live in the snapshot of `connection`, kept for the next search."""
        if self._as_reader:
            prove_reader(connection)
        version = version_to_read(connection, self._index, self._fixed)
        with self._lock:
            if self._pinned is None or self._pinned.version.version_id != version.version_id:
                self._pinned = pin(version, self._settings, self._embedders)
            return self._pinned

    def _forget(self, pinned: Pinned) -> None:
        with self._lock:
            if self._pinned is pinned:
                self._pinned = None

    def _fusion(self, k: int) -> dict[str, Any]:
        fusion = self._index_settings.fusion
        return {
            "candidates": max(fusion.candidates, k),
            "foremost": fusion.candidates,
            "dense_weight": fusion.dense_weight,
            "rrf_k": fusion.rrf_k if fusion.method == "rrf" else None,
        }

    def _narrowing(self, filters: Filter | Filters, tenant: str) -> Predicate:
        """The filter as SQL. A source of another tenant is as unknown as one that there is not."""
        valid = self._sources_of(tenant)
        for name in sorted(named_sources(filters)):
            if name not in valid:
                raise UsageError(
                    f"index {self._index!r} has no source {name!r}; valid: {', '.join(valid) or 'none'}"
                )
        return predicate(filters)

    def _sources_of(self, tenant: str) -> list[str]:
        """The index's sources that a tenant may know of."""
        sources = self._settings.sources_of(self._index)
        return [name for name, source in sources.items() if source.tenant == tenant]
