"""Tries a configured source as it really is, and says where it differs from what its connector assumes.

    python -m tools.try_source rag.yaml wiki [--documents 200]

What belongs here: promises of the contract that can be tried without changing anything: a development tool,
for a real tenant with an account that may only read. Secrets come from the environment, as in the
configuration. What does not: the promises of the conformance kit that need somebody who edits.

It reads, and stores nothing. Printed are counts, ids and errors, never content. The exit code is 1 where
something differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rag_pipelines.config.load import load_config
from rag_pipelines.connectors.base import Complete, Connector, Failure, Group, Item, Removed
from rag_pipelines.errors import RagError
from rag_pipelines.model import EVERYONE

SHOWN = 5
"""Examples of one difference."""


def differences(connector: Connector, documents: int) -> Iterator[str]:
    """What is not as the contract says, with `documents` of the listing looked at more closely."""
    yield from (f"check: {one.name}: {one.detail}" for one in connector.check() if not one.ok)
    first, complete = _list(connector)
    items = {one.external_id: one for one in first if isinstance(one, Item)}
    yield from _protocol(first, complete)
    yield from _stable(connector, items)
    sample = list(islice(items.values(), documents))
    yield from _existing(connector, sample)
    yield from _loads(connector, sample)
    yield from _groups(connector, list(items.values()))
    if connector.capabilities.changes and complete is not None and complete.cursor is not None:
        yield from _changes(connector, complete, len(items))


def _list(connector: Connector) -> tuple[list[Item | Failure], Complete | None]:
    began = time.perf_counter()
    entries: list[Item | Failure] = []
    complete = None
    for entry in connector.items():
        if isinstance(entry, Complete):
            complete = entry
        elif not isinstance(entry, Removed):
            entries.append(entry)
    print(f"listed {len(entries):,} entries in {time.perf_counter() - began:.1f} s")
    return entries, complete


def _protocol(entries: list[Item | Failure], complete: Complete | None) -> Iterator[str]:
    ids = [one.external_id for one in entries if one.external_id is not None]
    if len(ids) != len(set(ids)):
        yield f"{len(ids) - len(set(ids)):,} ids are listed twice"
    if complete is None:
        yield "the listing does not end with its marker"
    elif complete.count != len(set(ids)):
        yield f"the marker says {complete.count:,} documents, {len(set(ids)):,} were named"
    elif not complete.full:
        yield "the listing is not complete"
    failures = [one for one in entries if isinstance(one, Failure)]
    for one in failures[:SHOWN]:
        yield f"not listed: {one.external_id or one.entity}: {type(one.error).__name__}: {one.error}"
    if len(failures) > SHOWN:
        yield f"not listed: {len(failures) - SHOWN:,} more"


def _stable(connector: Connector, items: dict[str, Item]) -> Iterator[str]:
    again = {one.external_id: one for one in _list(connector)[0] if isinstance(one, Item)}
    for name, same in (
        ("token", lambda a, b: a.token == b.token),
        ("access rule", lambda a, b: a.access == b.access),
        ("metadata", lambda a, b: a.metadata == b.metadata),
    ):
        changed = [one for one in items.keys() & again.keys() if not same(items[one], again[one])]
        if changed:
            yield f"{len(changed):,} have another {name} in a second listing, such as {changed[:SHOWN]}"
    if items.keys() ^ again.keys():
        yield f"{len(items.keys() ^ again.keys()):,} ids are in one of two listings only"


def _existing(connector: Connector, sample: list[Item]) -> Iterator[str]:
    if not connector.capabilities.lookup:
        return
    ids = [one.external_id for one in sample[:200]]
    found = connector.existing([*ids, "no-such-id"])
    if lost := set(ids) - found:
        shown = sorted(lost)[:SHOWN]
        yield f"{len(lost):,} of {len(ids):,} listed ids do not exist when asked for, such as {shown}"
    if "no-such-id" in found:
        yield "an id that nobody has exists when asked for"


def _loads(connector: Connector, sample: list[Item]) -> Iterator[str]:
    began, read = time.perf_counter(), 0
    for start in range(0, len(sample), 50):
        batch = sample[start : start + 50]
        connector.prefetch(batch)
        for item in batch:
            try:
                size = len(item.load())
            except RagError as error:
                yield f"not loaded: {item.external_id}: {type(error).__name__}: {error}"
                continue
            read += size
            if item.size is not None and item.size != size:
                yield f"{item.external_id} was listed with {item.size:,} bytes and has {size:,}"
    print(f"loaded {len(sample):,} documents, {read:,} bytes, in {time.perf_counter() - began:.1f} s")


def _groups(connector: Connector, items: list[Item]) -> Iterator[str]:
    rules = [one.access for one in items if one.access is not None]
    closed = sum(rule.closed for rule in rules)
    print(f"{len(rules):,} documents have a rule of their own, {closed:,} are closed")
    if not connector.capabilities.groups:
        return
    listed: set[str] = set()
    for entry in connector.groups():
        if isinstance(entry, Group):
            listed.add(entry.principal)
        elif isinstance(entry, Failure):
            yield f"group {entry.entity}: {type(entry.error).__name__}: {entry.error}"
    named = {
        one for rule in rules for clause in (*rule.clauses, rule.deny) for one in clause if one != EVERYONE
    }
    print(f"{len(listed):,} groups are listed, {len(named):,} principals are named by rules")
    unknown = sorted(one for one in named if one.startswith("group:") and one not in listed)
    if unknown:
        yield f"{len(unknown):,} groups that rules name are not listed, such as {unknown[:SHOWN]}"


def _changes(connector: Connector, complete: Complete, known: int) -> Iterator[str]:
    assert complete.cursor is not None
    named = [one for one in connector.changes(complete.cursor) if not isinstance(one, Complete)]
    print(f"the change feed names {len(named):,} entries right after a listing")
    if known and len(named) > known / 2:
        yield f"a feed right after a listing names {len(named):,} of {known:,} documents"


def main() -> int:
    """Try the source that the arguments name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", type=Path, help="configuration file")
    parser.add_argument("source", help="name of the source")
    parser.add_argument("--documents", type=int, default=200, help="how many contents to load")
    arguments = parser.parse_args()
    connector = load_config(arguments.config).connector(arguments.source)
    found = 0
    try:
        for difference in differences(connector, arguments.documents):
            found += 1
            print(f"DIFFERS  {difference}")
    finally:
        connector.close()
    print(f"{found} differences" if found else "as assumed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
