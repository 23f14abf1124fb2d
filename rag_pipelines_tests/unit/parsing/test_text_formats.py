"""Plain text, light markup and source code."""

from __future__ import annotations

import pytest

from rag_pipelines.model import BlockKind
from rag_pipelines_tests.unit.parsing.reading import read, shown, tables, texts


def test_plain_text_is_cut_at_blank_lines_and_form_feeds():
    document = read("One\r\nline two\r\n \r\n\r\nTwo\fThree\n", "a.txt")
    assert shown(document) == [("paragraph", "One\nline two"), ("paragraph", "Two"), ("paragraph", "Three")]


@pytest.mark.parametrize(
    "text", ["word " * 600_000, "line\n\n" * 100_000, "\n" * 2_000_000 + "x", " \n" * 500_000 + "x"]
)
def test_megabytes_of_text_cost_linear_time(text):
    assert read(text, "a.txt").text


def test_restructured_text_has_headings_code_and_lists():
    document = read(
        """=====
Guide
=====

Install
-------

Run this::

    pip install x

.. code-block:: python
   :linenos:

   print(1)

.. note:: Mind the gap.

.. image:: duck.png
   :alt: duck

1. one
2. two
""",
        "a.rst",
    )
    assert document.title == "Guide"
    assert shown(document) == [
        ("heading", "Guide"),
        ("heading", "Install"),
        ("paragraph", "Run this:"),
        ("code", "pip install x"),
        ("code", "print(1)"),
        ("paragraph", "Mind the gap."),
        ("list_item", "1. one"),
        ("list_item", "2. two"),
    ]
    assert [block.level for block in document.blocks[:2]] == [1, 2]
    assert document.blocks[4].language == "python"


def test_org_has_headlines_blocks_and_tables():
    document = read(
        "#+TITLE: Guide\n#+AUTHOR: Ann\n* TODO Install :work:\n:PROPERTIES:\n:ID: 7\n:END:\n"
        "See [[https://x.example][the site]].\n#+BEGIN_SRC sh\nmake\n#+END_SRC\n"
        "| a | b |\n|---+---|\n| 1 | 2 |\n** Deeper\n- item\n",
        "a.org",
    )
    assert (document.title, document.metadata) == ("Guide", {"author": "Ann"})
    assert shown(document) == [
        ("heading", "Install"),
        ("paragraph", "See the site."),
        ("code", "make"),
        ("table", "a | b\n1 | 2"),
        ("heading", "Deeper"),
        ("list_item", "item"),
    ]
    assert document.blocks[-1].heading_path == ("Install", "Deeper")


def test_asciidoc_has_titles_listings_and_tables():
    document = read(
        "= Guide\n:author: Ann\n\n== Install\n\n[source,bash]\n----\nmake\n----\n\n"
        ".Fees\n|===\n|City |Fee\n\n|Oslo\n|10\n|===\n\n"
        "* item\n** inner\n// hidden\n",
        "a.adoc",
    )
    assert document.title == "Guide"
    assert shown(document) == [
        ("heading", "Guide"),
        ("heading", "Install"),
        ("code", "make"),
        ("caption", "Fees"),
        ("table", "City | Fee\nOslo | 10"),
        ("list_item", "item"),
        ("list_item", "inner"),
    ]
    assert document.blocks[2].language == "bash"
    assert tables(document)[0][0] == ("City", "Fee")


def test_source_code_is_cut_between_top_level_definitions():
    source = (
        "import os\n\n\n@cached\ndef one():\n    a = 1\n\n    return a\n\n\n"
        "class Two:\n    x = 1\n\n    y = 2\n"
    )
    document = read(source, "tool.py")
    assert texts(document, BlockKind.CODE) == [
        "import os",
        "@cached\ndef one():\n    a = 1\n\n    return a",
        "class Two:\n    x = 1\n\n    y = 2",
    ]
    assert {block.language for block in document.blocks} == {"python"}


def test_a_long_class_is_cut_between_its_methods():
    methods = "".join(f"    void m{n}() {{\n        a();\n\n        b();\n    }}\n\n" for n in range(30))
    document = read(f"class Big {{\n{methods}}}\n", "Big.java")
    assert len(document.blocks) == 30
    assert all(text.count("void") == 1 for text in texts(document, BlockKind.CODE))


@pytest.mark.parametrize(
    ("name", "language"), [("a.yaml", "yaml"), ("Makefile", "makefile"), ("x/a.TSX", "typescript")]
)
def test_the_language_is_known_from_the_name(name, language):
    assert read("key: value", name).blocks[0].language == language


def test_the_language_is_known_from_the_first_line():
    assert read("#!/usr/bin/env python3\nprint(1)\n").blocks[0].language == "python"
