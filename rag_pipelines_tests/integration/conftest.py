"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rag_pipelines.cli import main
from rag_pipelines.quality.library import run_suite
from rag_pipelines_tests.databases import copied_database
from rag_pipelines_tests.integration.browser import Person, opened
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    """A pipeline of this test's own."""
    made = Workspace(tmp_path, database_url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def stock_of(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, template_database: str
) -> Iterator[Callable[[Fill], Stock]]:
    """The workspace that a function filled, once for all tests of this process."""
    with ExitStack() as kept:

        @cache
        def stock(fill: Fill) -> Stock:
            url = kept.enter_context(copied_database(postgres, template_database))
            return Stock(tmp_path_factory.mktemp("stock"), postgres, url, fill)

        yield stock


@pytest.fixture
def call(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls ``rag-pipelines`` on the workspace's configuration."""
    monkeypatch.chdir(workspace.folder)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main.app, ["--config", str(workspace.config_file), *arguments])

    return run


@pytest.fixture
def suites_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quality suites of Dagster's runs in this process, which imports their library once, and not in another
    for each run."""

    def here() -> AbstractContextManager[Any]:
        return nullcontext(SimpleNamespace(run=run_suite))

    monkeypatch.setattr("rag_pipelines.orchestration.build.SuiteProcess", here)
    monkeypatch.setattr("rag_pipelines.orchestration.resources.SuiteProcess", here)


@pytest.fixture(scope="module")
def two_tenant_service(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, template_database: str
) -> Iterator[str]:
    """The address of a service of two tenants (`serving.two_tenants`), one of which is sent documents too."""
    from rag_pipelines_tests.integration.serving import sent_to, served, two_tenants

    with copied_database(postgres, template_database) as url:
        team = two_tenants(tmp_path_factory.mktemp("service"), url)
        sent_to(team)
        with served(team) as client:
            yield str(client.base_url)
        team.close()


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    """Somebody before a browser; skips where there is none."""
    with opened() as one:
        yield one
