"""Sidecars: their format, how they combine on random trees, and that whatever is unknown is closed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.connectors.sidecars import (
    MAX_SIDECAR_BYTES,
    Access,
    Sidecar,
    SidecarTree,
    both,
    conjunction,
    narrow,
    parse_sidecar,
)
from rag_pipelines.errors import CorruptDocumentError, ForbiddenEntityError, RagError
from rag_pipelines.model import CLOSED, PUBLIC, AccessRule

PRINCIPALS = ("ann", "bob", "group:hr")
clauses = st.lists(st.sampled_from(PRINCIPALS), max_size=2)
sidecars = st.fixed_dictionaries(
    {},
    optional={
        "allow": clauses,
        "all_of": st.lists(clauses, min_size=1, max_size=2),
        "deny": clauses,
        "public": st.booleans(),
        "inherit": st.booleans(),
        "tenant": st.sampled_from(["acme", "other"]),
    },
)
folders = st.sampled_from(["", "a", "a/b", "a/b/c"])


def sees(rule: AccessRule, caller: set[str]) -> bool:
    return all(caller & set(clause) for clause in rule.clauses) and not caller & set(rule.deny)


def is_valid(content: dict[str, Any]) -> bool:
    says = {**content, "deny": content.get("deny") or None, "public": content.get("public") or None}
    if says.get("inherit") is True:
        del says["inherit"]
    chooses = "allow" in content or "all_of" in content
    return any(value is not None for value in says.values()) and not (content.get("public") and chooses)


def oracle(chain: list[dict[str, Any]], caller: set[str]) -> bool | None:
    """Whether `caller` sees a file below the sidecars of `chain`, outermost first; None: they say nothing."""
    answer: bool | None = None
    for content in chain:
        if not is_valid(content):
            answer = False
            continue
        chooses = content.get("public") or "allow" in content or "all_of" in content
        if content.get("inherit") is False:
            answer = None
        if not chooses and (content.get("deny") or content.get("inherit") is False) and answer is None:
            answer = False
            continue
        if chooses or content.get("deny"):
            own = not caller & set(content.get("deny", ()))
            own = own and ("allow" not in content or bool(caller & set(content["allow"])))
            own = own and all(caller & set(clause) for clause in content.get("all_of", ()))
            answer = own and answer is not False
    return answer


def read_from(files: dict[str, bytes]):
    return lambda path: files.get(path)


@given(st.dictionaries(folders, sidecars), sidecars, st.booleans(), st.sets(st.sampled_from(PRINCIPALS)))
def test_a_file_is_seen_by_who_satisfies_every_sidecar_above_it(
    tree: dict[str, dict], own: dict, has_own: bool, caller: set[str]
) -> None:
    files = {f"{folder}/.access.yaml".lstrip("/"): json.dumps(text).encode() for folder, text in tree.items()}
    chain = [tree[folder] for folder in ("", "a", "a/b", "a/b/c") if folder in tree]
    if has_own:
        files["a/b/c/doc.md.access.yaml"] = json.dumps(own).encode()
        chain.append(own)
    reported: list[str] = []
    access = SidecarTree(read_from(files), lambda path, error: reported.append(path)).file("a/b/c/doc.md")
    expected = oracle(chain, caller)
    assert (access.rule is None) is (expected is None)
    if access.rule is not None:
        assert sees(access.rule, caller) is expected
    for path in files:
        if not is_valid(json.loads(files[path])):
            assert path in reported
    tenants = [content["tenant"] for content in chain if is_valid(content) and "tenant" in content]
    if not reported:
        assert access.tenant == (tenants[-1] if tenants else None)


@given(
    st.lists(st.builds(AccessRule, st.lists(clauses.map(tuple)).map(tuple), clauses.map(tuple))), st.data()
)
def test_a_conjunction_is_seen_by_who_sees_every_part(rules: list[AccessRule], data: st.DataObject) -> None:
    caller = data.draw(st.sets(st.sampled_from(PRINCIPALS)))
    rule = conjunction(*rules, None)
    if rule is None:
        assert not rules
    else:
        assert sees(rule, caller) is all(sees(one, caller) for one in rules)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "allow: group:hr",
        "alow: [group:hr]",
        "allow: [group:hr",
        "allow: ['']",
        "tenant: ''",
        "all_of: []",
        "public: true\nallow: [ann]",
        "inherit: true",
        "- ann",
        "allow: &x [ann]\ndeny: *x",
        "a: " * 500,
        "allow: [" + "[" * 5000,
        "\x00",
    ],
)
def test_a_sidecar_without_a_clear_meaning_is_refused(text: str) -> None:
    with pytest.raises(CorruptDocumentError):
        parse_sidecar(text.encode())


def test_a_huge_sidecar_is_refused() -> None:
    with pytest.raises(CorruptDocumentError, match="at most"):
        parse_sidecar(b"allow: [ann]\n#" + b"x" * MAX_SIDECAR_BYTES)


def test_the_message_names_the_valid_keys() -> None:
    with pytest.raises(CorruptDocumentError, match=r"alow.*valid are allow, all_of, deny"):
        parse_sidecar(b"alow: [ann]")


def test_an_empty_allow_list_closes_and_public_opens() -> None:
    assert narrow(Access(), parse_sidecar(b"allow: []")).rule == CLOSED
    assert narrow(Access(), parse_sidecar(b"public: true")).rule == PUBLIC


@pytest.mark.parametrize("text", [b"deny: [bob]", b"inherit: false", b"inherit: false\ndeny: [bob]"])
def test_a_denial_alone_never_opens_what_the_source_keeps_closed(text: bytes) -> None:
    with pytest.raises(CorruptDocumentError, match="need a rule"):
        narrow(Access(), parse_sidecar(text))


def test_a_sidecar_with_only_a_tenant_leaves_access_to_the_source() -> None:
    assert narrow(Access(), Sidecar(tenant="acme")) == Access(None, "acme")


def test_a_file_reached_by_two_ways_needs_both_and_one_tenant() -> None:
    first = Access(AccessRule((("ann",),)), "acme")
    assert both(first, Access(AccessRule((("bob",),)))).rule == AccessRule((("ann",), ("bob",)))
    assert both(first, Access(None, "other")) == Access(CLOSED, "acme")
    assert both(Access(), Access(None, "other")) == Access(None, "other")


def test_an_unreadable_sidecar_closes_everything_below_and_is_reported_once() -> None:
    reported: list[tuple[str, RagError]] = []

    def read(path: str) -> bytes | None:
        if path == "a/.access.yaml":
            raise ForbiddenEntityError("no permission")
        return None

    tree = SidecarTree(read, lambda path, error: reported.append((path, error)))
    assert tree.folder("").rule is None
    assert tree.file("a/x.md").rule == CLOSED
    assert tree.file("a/b/y.md").rule == CLOSED
    assert [path for path, _ in reported] == ["a/.access.yaml"]


def test_a_sidecar_that_was_listed_and_then_vanished_closes() -> None:
    reported: list[str] = []
    tree = SidecarTree(read_from({}), lambda path, error: reported.append(path))
    assert tree.folder("a", seen=True).rule == CLOSED
    assert reported == ["a/.access.yaml"]


def test_a_folder_that_was_listed_without_a_sidecar_is_not_searched_for_one() -> None:
    asked: list[str] = []

    def read(path: str) -> None:
        asked.append(path)

    tree = SidecarTree(read, lambda path, error: None)
    tree.folder("", seen=False)
    tree.folder("a", seen=False)
    assert not asked
