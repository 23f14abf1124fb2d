"""Versions of what stands behind an import."""

from __future__ import annotations

from importlib.metadata import packages_distributions, version

from rag_pipelines.provenance.libraries import DISTRIBUTIONS, versions


def test_a_library_is_told_by_its_distribution():
    assert versions(["yaml"]) == {"pyyaml": version("PyYAML")}


def test_the_library_that_does_the_work_is_told_too():
    assert versions(["bs4"]) == {"beautifulsoup4": version("beautifulsoup4"), "lxml": version("lxml")}


def test_what_is_not_installed_has_no_version():
    assert versions(["no_such_library"]) == {"no-such-library": None}


def test_a_library_that_only_holds_values_has_no_say():
    assert versions(["msgspec"]) == {}


def test_the_table_names_distributions_as_they_are_installed():
    installed = packages_distributions()
    for name, distributions in DISTRIBUTIONS.items():
        if name in installed:
            assert distributions[0] in {one.lower().replace("_", "-") for one in installed[name]}
