"""The page of those who look after knowledge in a real browser: what it shows, and a decision by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from rag_pipelines_tests.databases import copied_database
from rag_pipelines_tests.integration.browser import Person
from rag_pipelines_tests.integration.serving import STAFF, made_app, served
from rag_pipelines_tests.integration.test_admin import LEAD, READER, knowledge_team
from rag_pipelines_tests.integration.workspace import Workspace

pytestmark = pytest.mark.together


class World(NamedTuple):
    """A service on a workspace, and its address."""

    workspace: Workspace
    base: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, postgres: str, template_database: str) -> Iterator[World]:
    with copied_database(postgres, template_database) as url:
        made = knowledge_team(tmp_path_factory.mktemp("admin"), url)
        with served(made, made_app(made)) as client:
            yield World(made, str(client.base_url))
        made.close()


def open_as(person: Person, world: World, key: str) -> None:
    person.forget(world.base)
    person.log_in(world.base, key)
    person.open(f"{world.base}/admin")


def test_it_shows_sources_failures_versions_and_what_waits(person: Person, world: World) -> None:
    open_as(person, world, READER)
    assert "8 documents of docs, of 11 that it held" in person.text("#deletions")
    assert "Your role does not let you decide." in person.text("#deletions")
    assert "66.7 %" in person.text("#sources")
    assert "passed" in person.text("#indexes")
    person.find("#quarantine summary").click()
    person.wait_for_text("broken.pdf")
    person.find("#deletions button").click()
    person.wait_for_text("old/7.md")


def test_a_login_without_a_role_is_told_so(person: Person, world: World) -> None:
    open_as(person, world, STAFF)
    assert "This login may not look after knowledge." in person.text("#status")
    assert not person.find("#all").is_displayed()


def test_the_search_leads_there_whoever_has_a_role(person: Person, world: World) -> None:
    for key, shown in ((READER, True), (STAFF, False)):
        person.forget(world.base)
        person.log_in(world.base, key)
        person.open(world.base)
        assert person.find("#admin").is_displayed() is shown


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_wrong(person: Person, world: World, dark: bool) -> None:
    open_as(person, world, LEAD)
    person.dark(dark)
    person.find("#quarantine summary").click()
    person.wait_for_text("broken.pdf")
    assert person.violations() == []


def test_it_fits_a_narrow_window(person: Person, world: World) -> None:
    open_as(person, world, LEAD)
    person.width(360)
    assert person.wait("return document.documentElement.scrollWidth <= 360")


def test_a_deletion_is_decided_by_keyboard_alone(person: Person, world: World) -> None:
    open_as(person, world, LEAD)
    person.tab_to(lambda name: name == "Why (kept with your name)")
    person.press(*"gone for good")
    assert person.tab_to(lambda name: name == "Delete them")
    person.press("enter")
    person.wait_for_text("Decided: 8 documents of docs, hidden from now on.")
    assert "None waits." in person.text("#deletions")
    assert person.driver.switch_to.active_element.get_attribute("id") == "status"
    assert world.workspace.paths("ferries", mode="lexical") == set()
    (row,) = world.workspace.rows("SELECT actor FROM rag.audit WHERE action LIKE 'deletion%%'")
    assert row["actor"] == "key:lead"
