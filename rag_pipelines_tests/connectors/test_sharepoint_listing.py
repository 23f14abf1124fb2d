"""What the SharePoint connector lists: sites, libraries, OneDrives and files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rag_pipelines.errors import (
    CorruptDocumentError,
    MissingEntityError,
    RagError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.connectors.sharepoint_bench import Office, cursor_of, opened
from rag_pipelines_tests.doubles.faults import Fault, Status


@pytest.fixture
def office() -> Iterator[Office]:
    yield from opened()


def paths(listing: Listing) -> set[str]:
    return {item.path for item in listing.items.values()}


# Where.


def test_all_sites_are_listed_with_their_libraries_but_no_onedrives(office: Office) -> None:
    tenant = office.tenant
    other = tenant.site("sites/it")
    for site, name in ((office.site, "a.txt"), (other, "b.txt")):
        for library in tenant.places_of(site.key, drive=True) or [tenant.library(site.key, "Shared")]:
            tenant.file(library, name)
    mine = tenant.site("personal/ann", personal=office.ann.key)
    tenant.file(tenant.library(mine.key, "Mine"), "secret.txt")
    assert paths(office.listed()) == {"Hr/Documents/a.txt", "It/Shared/b.txt"}


@pytest.mark.parametrize(
    ("sites", "excluded", "found"),
    [
        (["{base}/sites/hr"], [], {"hr"}),
        (["{base}/SITES/hr/"], [], {"hr"}),
        (["{base}/sites/h*"], [], {"hr", "house"}),
        (["{base}/sites/h*", "{base}/sites/it"], ["{base}/*/house"], {"hr", "it"}),
        ([], ["{base}/sites/h?"], {"it", "house"}),
    ],
)
def test_sites_are_chosen_by_address_or_pattern(
    office: Office, sites: list[str], excluded: list[str], found: set[str]
) -> None:
    base = office.double.sites_url
    for name in ("it", "house"):
        site = office.tenant.site(f"sites/{name}")
        office.tenant.file(office.tenant.library(site.key, "Docs"), f"{name}.txt")
    office.tenant.file(office.library, "hr.txt")
    given = [one.format(base=base) for one in sites]
    listing = office.listed(sites=given, exclude_sites=[one.format(base=base) for one in excluded])
    assert {item.name for item in listing.items.values()} == {f"{one}.txt" for one in found}
    assert listing.is_full


def test_sites_below_a_named_site_are_listed_unless_the_options_say_no(office: Office) -> None:
    inner = office.tenant.site("sites/hr/pay", parent=office.site.key)
    office.tenant.file(office.tenant.library(inner.key, "Slips"), "may.txt")
    assert paths(office.listed(sites=[office.url])) == {"Pay/Slips/may.txt"}
    assert paths(office.listed(sites=[office.url], subsites=False)) == set()


def test_onedrives_are_listed_by_user_or_for_everybody_who_has_one(office: Office) -> None:
    tenant = office.tenant
    mine = tenant.site("personal/ann", personal=office.ann.key)
    tenant.file(tenant.library(mine.key, "Files"), "note.txt")
    everybody = office.listed(onedrive=["*"])
    assert {item.name for item in everybody.items.values()} == {"note.txt"}
    assert everybody.is_full, "bob has no OneDrive, which is no failure"
    named = office.listed(onedrive=["ann@contoso.example", "bob@contoso.example"])
    assert len(named.items) == 1
    assert [one.entity for one in named.failures] == ["OneDrive of bob@contoso.example"]
    assert not named.is_full


def test_libraries_are_chosen_by_name_and_those_of_the_system_never(office: Office) -> None:
    tenant = office.tenant
    for name in ("Plans", "Plans old", "SharePointHomeCacheList", "PreservationHoldLibrary"):
        tenant.file(tenant.library(office.site.key, name), f"{name}.txt")
    tenant.file(tenant.library(office.site.key, "Hidden", system=True), "hidden.txt")
    tenant.file(office.library, "a.txt")
    assert paths(office.listed()) == {
        "Hr/Documents/a.txt",
        "Hr/Plans/Plans.txt",
        "Hr/Plans old/Plans old.txt",
    }
    assert paths(office.listed(libraries=["plans*"], exclude_libraries=["* old"])) == {"Hr/Plans/Plans.txt"}


@pytest.mark.parametrize("status", [423, 404])
def test_a_site_that_is_locked_or_not_found_is_a_failure_and_its_documents_stay(
    office: Office, status: int
) -> None:
    other = office.tenant.site("sites/it")
    library = office.tenant.library(other.key, "Docs")
    file = office.tenant.file(library, "b.txt")
    office.tenant.file(office.library, "a.txt")
    sites = [office.url, f"{office.double.sites_url}/sites/it"]
    cursor = cursor_of(office.listed(sites=sites))
    other.status = status
    full = office.listed(sites=sites)
    assert not full.is_full
    assert [one.entity for one in full.failures] == [sites[1]] or "sites/it" in str(full.failures[0].entity)
    assert paths(full) == {"Hr/Documents/a.txt"}
    followed = office.followed(cursor, sites=sites)
    assert followed.removed == []
    assert len(followed.failures) == 1
    connector = office.connector(sites=sites)
    assert connector.existing([office.id(file, library)]) == {office.id(file, library)}
    other.status = 200
    office.tenant.edit(library, file, b"new")
    assert office.id(file, library) in office.followed(cursor_of(followed), sites=sites).items


# What.


def test_an_item_says_where_a_file_is_and_what_it_is(office: Office) -> None:
    tenant = office.tenant
    folder = tenant.folder(office.library, "Größe & Co")
    file = tenant.file(office.library, "a b.txt", b"hello", parent=folder)
    file.by = "Ann"
    item = office.listed().items[office.id(file)]
    assert item.path == "Hr/Documents/Größe & Co/a b.txt"
    assert item.url == f"{office.url}/Documents/Gr%C3%B6%C3%9Fe%20%26%20Co/a%20b.txt"
    assert (item.name, item.size, item.media_type, item.author) == ("a b.txt", 5, "text/plain", "Ann")
    assert item.metadata == {"type": "file", "site": office.url, "library": "Documents"}


def test_a_file_is_the_same_under_another_name_and_in_another_folder(office: Office) -> None:
    tenant, library = office.tenant, office.library
    folder = tenant.folder(library, "2026")
    file = tenant.file(library, "a.txt")
    before = office.listed().items[office.id(file)]
    tenant.rename(library, file, "b.txt")
    tenant.move(library, file, folder)
    after = office.listed().items[office.id(file)]
    assert (after.token, after.path) == (before.token, "Hr/Documents/2026/b.txt")


def test_files_that_cannot_be_read_are_said_to_be_so_and_never_loaded(office: Office) -> None:
    tenant, library = office.tenant, office.library
    kinds = [
        (tenant.package(library, "Notebook"), UnsupportedDocumentError),
        (tenant.file(library, "Plan.loop"), UnsupportedDocumentError),
        (tenant.file(library, "Section.ONE"), UnsupportedDocumentError),
        (tenant.file(library, "big.bin", b"x" * 1001), TooLargeDocumentError),
    ]
    odd = tenant.file(library, "odd.txt")
    office.double.malformed.add(odd.key)
    listing = office.listed(max_bytes=1000)
    assert listing.items == {}
    assert listing.is_full
    errors = {one.external_id: type(one.error) for one in listing.failures}
    expected = {office.id(thing): error for thing, error in kinds}
    assert errors == {**expected, office.id(odd): CorruptDocumentError}


def test_labels_are_told_and_decide_as_the_options_say(office: Office) -> None:
    tenant, library = office.tenant, office.library
    names = ("open", "secret", "hidden")
    files = {name: tenant.file(library, f"{name}.txt") for name in names}
    for name, label in (("open", "General"), ("secret", "Confidential"), ("hidden", "Top Secret")):
        tenant.label(library, files[name], label)
    labels = {"Confidential": "restrict", "Top Secret": "drop"}
    listing = office.listed(labels=labels)
    ids = {name: office.id(file) for name, file in files.items()}
    assert listing.items.keys() == {ids["open"], ids["secret"]}
    assert listing.items[ids["open"]].metadata["label"] == "General"
    rule = listing.items[ids["secret"]].access
    assert rule is not None
    assert ("group:label/Confidential",) in rule.clauses
    assert len(rule.clauses) == 2
    assert office.connector(labels=labels).existing(list(ids.values())) == {ids["open"], ids["secret"]}
    tenant.label(library, files["open"], "Top Secret")
    assert office.followed(cursor_of(listing), labels=labels).removed == [ids["open"]]


def test_libraries_are_listed_where_the_lists_of_their_site_cannot_be(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt")
    office.double.in_batch.append((r"/lists\?", 403, {}))
    listing = office.listed(sites=[office.url])
    assert listing.items.keys() == {office.id(file)}
    assert [(one.entity, one.whole) for one in listing.failures] == [(f"site {office.url}", False)]
    assert not listing.is_full


@pytest.mark.parametrize("fault", [Status(404), Status(403)])
def test_a_source_of_one_site_that_cannot_be_read_fails_as_a_whole(office: Office, fault: Fault) -> None:
    office.double.faults.script(fault, path=r"/v1.0/sites/", times=100)
    listing = office.listed(sites=[office.url])
    assert [one.whole for one in listing.failures] == [True]
    assert isinstance(listing.failures[0].error, RagError)
    assert isinstance(listing.failures[0].error, MissingEntityError) == (fault == Status(404))
