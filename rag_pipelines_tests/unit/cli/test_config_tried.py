"""What a configuration is tried for beyond its form: moments that come, addresses one can read, places."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rag_pipelines.config import DEMO_CONFIG, config_path, load_config
from rag_pipelines.config.places import missing_places
from rag_pipelines.config.values import Cron
from rag_pipelines.errors import ConfigError
from rag_pipelines_tests.unit.cli.conftest import Call

SECRET = "correct-horse-battery-staple"
CRON = TypeAdapter(Cron)
FIELDS = st.from_regex(
    r"(\\*|[0-9]{1,2}|[0-9]{1,2}-[0-9]{1,2}|(mon|jan|L))(/[0-9]{1,2})?(,[0-9]{1,2})?", fullmatch=True
)


def is_cron(text: str) -> bool:
    try:
        CRON.validate_python(text)
    except ValidationError:
        return False
    return True


@given(st.lists(FIELDS, min_size=5, max_size=5).map(" ".join))
def test_a_schedule_that_is_taken_is_one_that_dagster_takes(text: str) -> None:
    from dagster._utils.schedules import is_valid_cron_string

    assert is_valid_cron_string(text) or not is_cron(text)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("0 3 * * *", True),
        ("*/15 8-18 * * mon-fri", True),
        ("0 0 29 2 *", True),
        ("0 0 L * *", True),
        ("@weekly", True),
        ("99 99 * * *", False),
        ("0 0 31 2,4 *", False),
        ("0 0 0 * *", False),
        ("*/0 * * * *", False),
        ("0 3 * *", False),
        ("0 3 * * * *", False),
        ("@reboot", False),
        ("nightly", False),
        ("", False),
    ],
)
def test_a_schedule_names_moments_that_come(text: str, taken: bool) -> None:
    assert is_cron(text) is taken


@pytest.mark.parametrize("key", ["url", "session_url", "reader_url"])
@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"mysql://u:{SECRET}@h/d", "not one that begins with mysql://"),
        (f"postgresql+psycopg://u:{SECRET}@h/d", "not one that begins with postgresql+psycopg://"),
        (f"postgresql://u:100%{SECRET}@h/d", "%25 for %"),
        (f"host=h passwort={SECRET}", "an address of Postgres"),
        (f"{SECRET}.example", "an address of Postgres"),
    ],
)
def test_an_address_that_is_not_of_postgres_is_refused_and_not_shown(
    tmp_path: Path, key: str, address: str, words: str
) -> None:
    addresses = {"url": "postgresql://u@h/d", key: address}
    lines = [f"  {name}: {value}\n" for name, value in addresses.items()]
    (tmp_path / "rag.yaml").write_text("".join(["database:\n", *lines]))
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "rag.yaml", {})
    assert f"database.{key} (line" in str(caught.value)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p%40ss@h:5432/d?sslmode=require",
        "postgres:///d?host=/run/pg",
        "host=h password=a://b dbname=d",
    ],
)
def test_addresses_of_postgres_are_taken(tmp_path: Path, address: str) -> None:
    (tmp_path / "rag.yaml").write_text(f"database: {{url: '{address}'}}\n")
    settings = load_config(tmp_path / "rag.yaml", {})
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == address


PLACES = """\
sources:
  a: {connector: filesystem, options: {root: a}, access: public}
  b: {connector: git, options: {repository: b}, access: public}
  c: {connector: records, options: {path: c.jsonl, text: [t]}, access: public}
  d: {connector: sharepoint, options: {tenant_id: t.example, client_id: i, certificate: d.pem}}
  e: {connector: google_drive, options: {service_account_file: e.json}}
indexes:
  main: {sources: "*", golden: g.jsonl}
serving:
  oidc: {issuer: "https://login.example", audience: rag, tenant: t, jwks: keys.json}
"""


def test_places_that_are_not_there_are_found_by_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "rag.yaml").write_text(PLACES)
    settings = load_config(tmp_path / "rag.yaml", {})
    named = {
        ("sources", "a", "options", "root"): "a",
        ("sources", "b", "options", "repository"): "b",
        ("sources", "c", "options", "path"): "c.jsonl",
        ("sources", "d", "options", "certificate"): "d.pem",
        ("sources", "e", "options", "service_account_file"): "e.json",
        ("indexes", "main", "golden"): "g.jsonl",
        ("serving", "oidc", "jwks"): "keys.json",
    }
    found = dict(missing_places(settings))
    assert found == {place: f"there is no {tmp_path / name} on this machine" for place, name in named.items()}
    for name in named.values():
        (tmp_path / name).touch()
    assert dict(missing_places(settings)) == {}


def test_addresses_are_not_looked_for_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "rag.yaml").write_text(
        "sources:\n  a: {connector: filesystem, options: {root: 's3://bucket/x'}}\n"
        "  b: {connector: git, options: {repository: 'git@host.example:x/y.git'}}\n"
    )
    assert dict(missing_places(load_config(tmp_path / "rag.yaml", {}))) == {}


def test_check_warns_of_what_is_missing_and_of_what_nobody_may_see(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rag.yaml").write_text(
        "sources:\n  a: {connector: git, options: {repository: gone}}\nindexes:\n  main: {sources: [a]}\n"
    )
    result = call("config", "check")
    assert result.exit_code == 0
    missing = f"sources.a.options.repository (line 2): there is no {tmp_path / 'gone'} on this machine"
    assert missing in result.stderr
    assert "sources.a (line 2): nobody may see its documents" in result.stderr
    assert result.stdout == "rag.yaml is valid: 1 source, 1 index, 2 warnings\n"
    strict = call("config", "check", "--strict", "--json")
    assert strict.exit_code == 1
    assert len(json.loads(strict.stdout)["warnings"]) == 2


def test_the_usual_file_of_the_folder_is_used_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_path(env={}) == DEMO_CONFIG
    (tmp_path / "rag.yaml").write_text("sources: {}\n")
    assert config_path(env={}) == Path("rag.yaml")
    assert config_path(env={"RAG_CONFIG": "other.yaml"}) == Path("other.yaml")
    assert config_path("given.yaml", {"RAG_CONFIG": "other.yaml"}) == Path("given.yaml")
