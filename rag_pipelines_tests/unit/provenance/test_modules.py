"""What one module says: what changes it and what does not."""

from __future__ import annotations

import ast

import pytest

from rag_pipelines.provenance.modules import Origin, read_module

SAMPLE = r'''
"""What this module is for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import lxml.etree

from house.text import clean
from house.tables import Table, cells as cells_of

if TYPE_CHECKING:
    from house.heavy import Anything

LIMIT: int = 3
"""How many."""


class Row(NamedTuple):
    """One row."""

    name: str
    size: int = 1


def rows(table: Table, *, limit: int = LIMIT) -> Iterator[Row]:
    """The rows of a table."""
    from house.late import order

    for cell in order(cells_of(table)):  # every one
        found: str = clean(cell)
        if found and re.match(r"\w", found):
            yield Row(f"{found!r:>{limit}} é\u2028{{}}")
'''


def said(source: str):
    return read_module(source.encode(), "house")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  # every one", ""),
        ('"""The rows of a table."""', '"""Rows."""'),
        ('"""How many."""', ""),
        ('"""What this module is for."""', ""),
        ("order(cells_of(table))", "order(\n        cells_of(\n            table,\n        )\n    )"),
        ("(table: Table, *, limit: int = LIMIT) -> Iterator[Row]", "(table, *, limit=LIMIT)"),
        ("found: str = clean", "found = clean"),
        ("LIMIT: int = 3", "LIMIT = 0x3"),
        ("from house.heavy import Anything", "from house.other import Anything, Everything"),
        ("from house.text import clean", "from house.mending import clean"),
        (
            "from house.tables import Table, cells as cells_of",
            "from house.tables import cells as cells_of, Table",
        ),
        (
            "import re\nfrom collections.abc import Iterator",
            "from collections.abc import Iterator\nimport re",
        ),
    ],
)
def test_nothing_that_cannot_run_changes_what_a_module_says(before, after):
    assert before in SAMPLE
    assert said(SAMPLE.replace(before, after, 1)).digest == said(SAMPLE).digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("LIMIT: int = 3", "LIMIT: int = 4"),
        ("size: int = 1", "size: str = 1"),
        ("    size: int = 1\n", ""),
        ("if found and re", "if found or re"),
        ("yield Row", "return Row"),
        ("!r:>", "!s:>"),
        ("{{}}", "{{ }}"),
        (r'r"\w"', r'r"\W"'),
        ("order(cells_of(table))", "cells_of(order(table))"),
        ("import lxml.etree", "import lxml.html"),
    ],
)
def test_whatever_can_run_changes_what_a_module_says(before, after):
    assert before in SAMPLE
    assert said(SAMPLE.replace(before, after, 1)) != said(SAMPLE)


def test_annotations_count_where_a_decorator_may_read_them():
    source = "@register\ndef read(value: {kind}) -> None:\n    return value\n"
    assert said(source.format(kind="int")).digest != said(source.format(kind="str")).digest


def test_an_imported_name_counts_as_what_it_is_not_as_what_it_is_called():
    plain = said("from house import text\nfrom house.b import f\nrun = lambda x: text.clean(f(x))\n")
    moved = said(
        "from house.room import mend as m\nfrom house.c import f as g\nrun = lambda x: m.clean(g(x))\n"
    )
    assert plain.digest == moved.digest
    assert plain.uses == (Origin("house", "text"), Origin("house.b", "f"))
    assert moved.uses == (Origin("house.room", "mend"), Origin("house.c", "f"))


def test_a_name_that_is_bound_again_keeps_its_name():
    """Else ``def run(text)`` would be told apart from nothing."""
    outer = said("from house import text\n\ndef run(t):\n    return text.x\n")
    inner = said("from house import text as t\n\ndef run(t):\n    return t.x\n")
    assert outer.digest != inner.digest
    assert inner.uses == (Origin("house", "text"),)


def test_a_name_that_is_bound_again_may_still_come_from_a_module_that_moves():
    source = "from house.a import b\nfrom house{} import text\n\ndef run(text):\n    return text.x + b\n"
    assert said(source.format("")).digest == said(source.format(".room")).digest


def test_a_name_with_two_origins_keeps_the_statements():
    source = "if quick:\n    from house.{} import f\nelse:\n    from house.{} import f\n\nf()\n"
    assert said(source.format("a", "b")) != said(source.format("b", "a"))
    assert said(source.format("a", "b")).uses == (Origin("house.a", "f"), Origin("house.b", "f"))


def test_imports_in_functions_are_followed_and_those_for_types_are_not():
    module = said(SAMPLE)
    assert Origin("house.late", "order") in module.uses
    assert all(origin.module != "house.heavy" for origin in (*module.uses, *module.more))
    assert module.libraries == ("lxml",)


def test_a_relative_import_is_refused():
    with pytest.raises(SyntaxError, match="relative"):
        said("from . import text\n")


def test_every_supported_python_says_the_same():
    """Their trees differ (type parameters, f-strings, empty lists); what is written out does not."""
    assert said(SAMPLE).digest == "f12a31215b2ede07"


def test_how_a_python_cuts_the_constant_parts_of_an_f_string_does_not_count(monkeypatch):
    """Python 3.12 began to join or split them in other places than 3.11."""
    before = said('f"a{x}b"').digest
    parse = ast.parse

    def cut(source):
        tree = parse(source)
        (statement,) = tree.body
        constant = ast.Constant
        statement.value.values[2:] = [constant(value=""), constant(value="b")]
        return tree

    monkeypatch.setattr(ast, "parse", cut)
    assert said('f"a{x}b"').digest == before


def test_lists_that_only_newer_pythons_have_do_not_count(monkeypatch):
    source = "def run(x):\n    return x\n"
    before, parse = said(source).digest, ast.parse

    def newer(source):
        tree = parse(source)
        tree.body[0].type_params = []
        tree.body[0]._fields = (*ast.FunctionDef._fields, "type_params")
        return tree

    monkeypatch.setattr(ast, "parse", newer)
    assert said(source).digest == before
