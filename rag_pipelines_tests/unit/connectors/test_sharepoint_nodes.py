"""What a library holds while it is read."""

from __future__ import annotations

import tracemalloc

import pytest

from rag_pipelines.connectors.sharepoint.nodes import FILE, FOLDER, PACKAGE, Node, Nodes
from rag_pipelines.errors import TransientError


def file(identity: str, parent: str = "root", name: str = "a.txt") -> Node:
    return Node(identity, parent, name, FILE, 7, "hash:7", "2026-01-01T00:00:00Z", "Ann", "text/plain", None)


def test_of_two_entries_of_one_thing_the_later_counts_and_stands_later() -> None:
    nodes = Nodes()
    for one in (file("1"), file("2"), file("1", name="b.txt"), Node("2", "root", "notes", PACKAGE)):
        nodes.put(one)
    assert list(nodes.documents()) == [Node("2", "root", "notes", PACKAGE), file("1", name="b.txt")]
    nodes.discard("1")
    nodes.discard("2")
    nodes.discard("3")
    assert list(nodes.documents()) == []
    assert "1" not in nodes


def test_folders_are_found_and_are_no_documents() -> None:
    nodes = Nodes()
    folder = Node("f", "root", "plans", FOLDER)
    nodes.put(folder)
    nodes.put(file("1", "f"))
    nodes.put(file("2", "elsewhere"))
    assert nodes.above("f") == folder
    assert nodes.above("1") is None
    assert nodes.above(None) is None
    assert "f" in nodes
    assert "1" in nodes
    assert nodes.orphaned() == {"root", "elsewhere"}
    assert list(nodes.documents()) == [file("1", "f"), file("2", "elsewhere")]


def test_a_name_that_is_no_text_is_kept_as_it_is() -> None:
    nodes = Nodes()
    odd = file("1", name="broken \ud800 pair")
    nodes.put(odd)
    assert list(nodes.documents()) == [odd]


def test_files_are_not_held_in_memory() -> None:
    nodes = Nodes()
    nodes.put(file("0"))
    tracemalloc.start()
    for number in range(5_000):
        nodes.put(file(f"01ABCDEF{number:010d}", "folder", f"document {number}.txt"))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 5_000 * 20
    assert sum(1 for _ in nodes.documents()) == 5_001


def test_a_folder_without_room_is_said() -> None:
    nodes = Nodes()
    nodes._files.execute("PRAGMA max_page_count = 4")
    with pytest.raises(TransientError, match="TMPDIR"):
        nodes.put(file("1", name="n" * 100_000))
