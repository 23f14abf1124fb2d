"""Finding connectors by kind, and what a mistake in a source's options says."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from rag_pipelines.config.load import load_config
from rag_pipelines.connectors import registry
from rag_pipelines.connectors.base import Connector
from rag_pipelines.connectors.registry import BUILTIN, connector_class, make_connector
from rag_pipelines.errors import ConfigError


@pytest.mark.parametrize("kind", sorted(BUILTIN))
def test_every_built_in_kind_is_found_under_its_own_name(kind: str) -> None:
    cls = connector_class(kind)
    assert issubclass(cls, Connector)
    assert cls.kind == kind


def test_an_unknown_kind_names_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"'gopher'.*valid are .*filesystem.*git.*records"):
        connector_class("gopher")


def test_another_package_adds_a_kind_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    value = "rag_pipelines.connectors.filesystem:FilesystemConnector"
    points = [EntryPoint("wiki", value, registry.ENTRY_POINT_GROUP), EntryPoint("git", "no:no", "")]

    def installed(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in points if name in (None, point.name)]

    monkeypatch.setattr(registry, "entry_points", installed)
    assert connector_class("wiki").kind == "filesystem"
    assert connector_class("git").kind == "git", "a built-in kind cannot be replaced"
    assert "wiki" in registry.kinds()


def test_all_problems_of_the_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        make_connector("wiki", "filesystem", {"max_bytes": "many", "inklude": [], "exclude": ["!x"]})
    problems = "\n".join(caught.value.problems)
    assert "wiki.root: missing; folder or fsspec URL" in problems
    assert "wiki.max_bytes: received 'many'" in problems
    assert "wiki.inklude: not an option of filesystem; valid are root, include" in problems
    assert "wiki.exclude" in problems


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("git", {"repository": "https://ann:hunter2@x.example/r.git"}),
        ("git", {"repository": "https://x.example/r.git", "token": ["hunter2"]}),
        ("records", {"path": "a.csv", "dsn": "postgresql://u:hunter2@h/d", "query": "SELECT 1"}),
        ("records", {"dsn": ["postgresql://u:hunter2@h/d"], "query": "SELECT 1"}),
        ("filesystem", {"root": "s3://b", "storage_secrets": {"secret": ["hunter2"]}}),
    ],
)
def test_a_secret_is_never_part_of_a_problem(kind: str, options: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        make_connector("s", kind, options)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__cause__)


def test_secrets_do_not_show_in_the_options() -> None:
    options = {"repository": "https://x.example/r.git", "token": "hunter2"}
    assert "hunter2" not in repr(make_connector("s", "git", options).options)


def test_a_cache_folder_that_is_not_given_lies_in_the_data_folder(tmp_path: Path) -> None:
    options = {"repository": "https://x.example/r.git"}
    assert make_connector("s", "git", options, data_dir=tmp_path).options.cache_dir == tmp_path / "git"
    assert make_connector("s", "filesystem", {"root": "/x"}, data_dir=tmp_path).options.root == "/x"


def test_listing_local_files_imports_nothing_heavy(tmp_path: Path) -> None:
    """A run in which nothing changed must end within half a second, so it cannot afford these."""
    (tmp_path / "a.md").write_text("text")
    program = (
        "import sys\n"
        "from rag_pipelines.connectors.registry import make_connector\n"
        f"entries = list(make_connector('s', 'filesystem', {{'root': {str(tmp_path)!r}}}).items())\n"
        "assert len(entries) == 2\n"
        "heavy = {'fsspec', 'yaml', 'pyarrow', 'psycopg', 'subprocess', 'asyncio', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert output.stdout.strip() == "[]"


PLACES = {"filesystem": "root", "records": "path", "git": "repository"}


@pytest.mark.parametrize(
    ("kind", "place", "resolved"),
    [
        ("filesystem", "docs", "{folder}/docs"),
        ("filesystem", ".", "{folder}"),
        ("filesystem", "${CONFIG_DIR}/docs", "{folder}/docs"),
        ("filesystem", "/srv/docs", "/srv/docs"),
        ("filesystem", "~/docs", "{home}/docs"),
        ("filesystem", "s3://bucket/docs", "s3://bucket/docs"),
        ("records", "../rows.jsonl", "{folder.parent}/rows.jsonl"),
        ("records", "https://example.com/rows.csv", "https://example.com/rows.csv"),
        ("git", "handbook", "{folder}/handbook"),
        ("git", "https://example.com/handbook.git", "https://example.com/handbook.git"),
        ("git", "git@example.com:handbook.git", "git@example.com:handbook.git"),
    ],
)
def test_a_relative_place_starts_at_the_folder_of_the_configuration(
    kind: str, place: str, resolved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "etc", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    file = folder / "rag.yaml"
    file.write_text(f"sources: {{s: {{connector: {kind}, options: {{{PLACES[kind]}: '{place}'}}}}}}")
    monkeypatch.chdir(elsewhere)
    found = getattr(load_config(file).connector("s").options, PLACES[kind])
    assert found == resolved.format(folder=folder, home=Path.home())


def test_a_relative_cache_starts_at_the_folder_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "rag.yaml"
    file.write_text("sources: {s: {connector: git, options: {repository: a, cache_dir: mirrors}}}")
    assert load_config(file).connector("s").options.cache_dir == tmp_path / "mirrors"


def test_a_place_given_in_code_starts_at_the_working_directory() -> None:
    assert make_connector("s", "filesystem", {"root": "docs"}).options.root == "docs"
