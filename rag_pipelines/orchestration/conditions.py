"""When the path from a source to its live index is walked: the automation conditions of its assets.

What belongs here: conditions, and the two questions to our own data of which Dagster knows nothing: which
sources owe a listing, and which indexes lack something. What does not: the answers (`sync.freshness`,
`index.build`), and what evaluates conditions (`sensors`).

The two are asked again at each tick, and each answer has a token: the attempt at a listing, the state that an
index lacks. What was requested under a token is not requested again under the same one, so a run that failed
is repeated when the next attempt is due, and a version that failed its gates when something changes.
See https://docs.dagster.io/guides/automate/declarative-automation
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import closing
from typing import Any, TypeAlias

import dagster as dg
from dagster._core.asset_graph_view.entity_subset import EntitySubset

from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.index.build import pending_changes
from rag_pipelines.runtime import Runtime, open_database
from rag_pipelines.store.documents import server_time
from rag_pipelines.sync.freshness import source_freshness

Condition: TypeAlias = dg.AutomationCondition[dg.AssetKey]
Context: TypeAlias = dg.AutomationContext[dg.AssetKey]
Result: TypeAlias = dg.AutomationResult[dg.AssetKey]

WHOLE = ""
"""Stands for an asset without partitions among the tokens."""


def source_condition(settings: Settings) -> Condition:
    """A source is listed when its last complete listing is older than its `freshness`, and at the times of
    its `schedule`."""
    due: Condition = SourceDue(settings)
    for name, source in settings.sources.items():
        if source.schedule:
            at_its_time = dg.AutomationCondition.cron_tick_passed(source.schedule) & OfSource(name)
            due = due | at_its_time.since(_handled())
    return due & ~dg.AutomationCondition.in_progress()


def stage_condition() -> Condition:
    """A later stage follows the one above it, in the same run where automation requests both."""
    followed = dg.AutomationCondition.any_deps_updated().since(_handled())
    return followed & ~_busy()


def candidate_condition(settings: Settings, index: str) -> Condition:
    """A candidate is built when the live version lacks something, and no source of it is being ingested."""
    return IndexLacks(settings, index) & ~_busy()


def live_condition() -> Condition:
    """The live version follows a candidate that automation requests, in the same run. A candidate that a
    person builds is left to that person."""
    return dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested()) & ~_busy()


class _Owed(dg.AutomationCondition[dg.AssetKey]):
    """True for what owes something under a token under which it has not been requested."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @abstractmethod
    def tokens(self, runtime: Runtime) -> Mapping[str, str]:
        """What is owed: a token by partition, or one of `WHOLE`."""

    def evaluate(self, context: Context) -> Result:
        """What is owed now, without what was requested under the same token."""
        with (
            closing(open_database(self._settings)) as database,
            closing(Embedders(self._settings.data_dir, self._settings.shared_models)) as embedders,
        ):
            database.migrate_when_used()
            owed = self.tokens(Runtime(database, self._settings, embedders))
        before, asked = json.loads(context.cursor) if context.cursor else ({}, {})
        requested = context.get_previous_requested_subset(context.key)
        if requested is not None:
            names = {one.partition_key or WHOLE for one in requested.expensively_compute_asset_partitions()}
            asked |= {name: token for name, token in before.items() if name in names}
        new = {name for name, token in owed.items() if asked.get(name) != token}
        kept = {name: token for name, token in asked.items() if name in owed}
        return dg.AutomationResult(context, _subset(context, new), cursor=json.dumps([dict(owed), kept]))


class SourceDue(_Owed):
    """A source whose last complete listing is older than promised; once an attempt."""

    @property
    def description(self) -> str:
        return "The last complete listing of the source is older than its `freshness`"

    def tokens(self, runtime: Runtime) -> Mapping[str, str]:
        """The attempt that each overdue source is at."""
        with runtime.database.connection() as connection:
            now = server_time(connection)
            sources = source_freshness(connection, runtime.settings)
        return {one.source: one.slot(now).isoformat() for one in sources if one.overdue(now)}


class IndexLacks(_Owed):
    """An index whose live version lacks something that its sources have; once a state."""

    def __init__(self, settings: Settings, index: str) -> None:
        super().__init__(settings)
        self._index = index

    @property
    def description(self) -> str:
        return "The live version lacks something that its sources have"

    def tokens(self, runtime: Runtime) -> Mapping[str, str]:
        """The state that the index lacks."""
        state = pending_changes(runtime, self._index)
        return {} if state is None else {WHOLE: state}


class OfSource(dg.AutomationCondition[dg.AssetKey]):
    """True for the partition of one source."""

    def __init__(self, source: str) -> None:
        self._source = source

    @property
    def name(self) -> str:
        return f"OfSource({self._source})"

    @property
    def description(self) -> str:
        return f"The source is {self._source}"

    @property
    def requires_cursor(self) -> bool:
        return False

    def evaluate(self, context: Context) -> Result:
        """The partition, where it is asked about."""
        return dg.AutomationResult(context, _subset(context, {self._source}))


def _subset(context: Context, names: set[str]) -> EntitySubset[dg.AssetKey]:
    """Those of the partitions that are asked about; the asset itself where it has none."""
    if context.partitions_def is not None:
        return context.candidate_subset.compute_intersection_with_partition_keys(names)
    return context.candidate_subset if names else context.get_empty_subset()


def _handled() -> dg.AutomationCondition[Any]:
    return dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()


def _busy() -> dg.AutomationCondition[Any]:
    return dg.AutomationCondition.in_progress() | dg.AutomationCondition.any_deps_in_progress()
