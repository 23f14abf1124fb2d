"""A site that answers every fifth request with a fault: the sync ends complete, at a bounded price.

`benchmarks/confluence_storm.py` prints the figures for 5,000 pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines_tests.doubles.confluence import Double
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter
from rag_pipelines_tests.doubles.confluence_sample import LOGINS, sample_site, source_of
from rag_pipelines_tests.doubles.confluence_state import PAGE, Site
from rag_pipelines_tests.integration.workspace import Workspace

PAGES = 600
SHARE = 0.2


@pytest.fixture
def site() -> Site:
    return sample_site(PAGES)


@pytest.fixture(params=[ConfluenceCloud, ConfluenceDataCenter], ids=["cloud", "data-center"])
def doubles(request: pytest.FixtureRequest, site: Site) -> Iterator[dict[str, Double]]:
    """Two servers of one site, by the name of the source that reads each: `calm` has no faults."""
    kind = request.param
    with kind(site, logins=LOGINS) as calm, kind(site, logins=LOGINS) as stormy:
        yield {"calm": calm, "stormy": stormy}


@pytest.fixture
def workspace(tmp_path: Path, database_url: str, doubles: dict[str, Double]) -> Iterator[Workspace]:
    sources = {name: source_of(double, full_listing="0s") for name, double in doubles.items()}
    workspace = Workspace(
        tmp_path, database_url, sources=sources, indexes={"main": {"sources": list(sources)}}
    )
    yield workspace
    workspace.close()


def held(workspace: Workspace, source: str) -> dict[str, Any]:
    """What is served of a source: external id to the hash of its bytes and its access rule."""
    rows = workspace.rows(
        "SELECT d.external_id, d.raw_sha256, d.access_id FROM rag.document d "
        "JOIN rag.source s USING (source_id) WHERE s.name = %s AND d.state <> 'tombstoned'",
        source,
    )
    return {row["external_id"]: (bytes(row["raw_sha256"]), row["access_id"]) for row in rows}


def sync(workspace: Workspace, doubles: dict[str, Double]) -> dict[str, int]:
    """Run both sources to their end; how many requests each took."""
    for name, double in doubles.items():
        double.log.clear()
        report = workspace.ingest(name)
        assert report.outcome == "complete"
        assert report.failed == 0
    return {name: len(double.log) for name, double in doubles.items()}


def test_a_storm_costs_less_than_twice_the_requests_and_loses_nothing(
    workspace: Workspace, doubles: dict[str, Double], site: Site
) -> None:
    weather = doubles["stormy"].faults
    weather.storm(SHARE, seed=5)
    requests = sync(workspace, doubles)
    assert requests["calm"] < requests["stormy"] < 2 * requests["calm"]
    assert len(held(workspace, "calm")) == len(site.contents)
    assert held(workspace, "stormy") == held(workspace, "calm")

    pages = [one for one in site.contents.values() if one.type == PAGE]
    for page in pages[100:130]:
        site.trash(page.id)
    for page in pages[200:230]:
        site.edit(page.id, f"<p>Edited {page.id}</p>")
    for page in pages[300:310]:
        site.restrict(page.id, people=("user3",))
    requests = sync(workspace, doubles)
    assert requests["stormy"] < 2 * requests["calm"]
    alive = {one.id for one in site.contents.values() if site.alive(one)}
    assert {int(re.sub(r"\D", "", one)) for one in held(workspace, "stormy")} == alive
    assert held(workspace, "stormy") == held(workspace, "calm")
    assert sum(weather.met.values()) >= 15
    assert len(weather.met) >= 5
