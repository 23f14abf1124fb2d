"""The compose file, held to what it starts: each service, as a local process, answers its health check."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import yaml

from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines_tests.conftest import SMALL_SERVER
from rag_pipelines_tests.deploy.composed import COMPOSE, DEPLOY, Composed, programs_of_postgres

OURS = ("code", "webserver", "daemon", "serve")
PATIENCE = 150
"""Seconds for which a service may take to become healthy, on a machine that does other things as well."""


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    """The services, laid out, and a Postgres at the address of `postgres` that asks for passwords."""
    if programs_of_postgres() is None:
        pytest.skip("psql and pg_isready are not installed (apt install postgresql-client)")
    if sys.platform != "linux":
        pytest.skip("only Linux has a loopback address for each service")
    folder = tmp_path / "secrets"
    subprocess.run([DEPLOY / "compose" / "make_secrets.sh", folder], check=True, capture_output=True)
    made = Composed(tmp_path / "roots", folder)
    for service in made.services:
        made.lay(service)
    address = made.addresses["postgres"]
    server = EmbeddedServer(
        tmp_path / "pg", {**SMALL_SERVER, "listen_addresses": address, "max_connections": "100"}
    )
    url = server.start()
    try:
        _as_the_image_does(made, server, url, (folder / "rag_password").read_text())
        yield made
    finally:
        server.stop()


def _as_the_image_does(composed: Composed, server: EmbeddedServer, url: str, password: str) -> None:
    """What the image of Postgres does with a new folder: a superuser, its database, the scripts."""
    variables = composed.services["postgres"]["environment"]
    assert variables == {
        "POSTGRES_USER": "rag",
        "POSTGRES_DB": "rag",
        "POSTGRES_PASSWORD_FILE": "/run/secrets/rag_password",
    }
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE rag SUPERUSER LOGIN PASSWORD '{password}'")
        rules = server.data / "pg_hba.conf"
        rules.write_text("local all all trust\nhost all all 127.0.0.0/8 scram-sha-256\n")
        connection.execute("SELECT pg_reload_conf()")
        place = str(psycopg.conninfo.conninfo_to_dict(url)["host"])
    script = composed.root("postgres") / "docker-entrypoint-initdb.d" / "roles.sh"
    environment = {**composed.environment("postgres"), **variables, "PGHOST": place}
    subprocess.run(["sh", script], env=environment, check=True, capture_output=True, timeout=60)


@pytest.mark.slow
@pytest.mark.together
@pytest.mark.timeout(600)
def test_each_service_of_the_compose_file_starts_and_is_healthy(composed: Composed):
    assert composed.check("postgres").returncode == 0
    migrate = composed.run(
        "migrate", composed.services["migrate"]["command"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = migrate.communicate(timeout=PATIENCE)
    assert migrate.returncode == 0, said
    assert "rag_reader may serve searches" in said

    with ExitStack() as running:
        started = {}
        for name in OURS:
            started[name] = running.enter_context(composed.started(name))
            if name in ("code", "webserver"):
                _wait_until_healthy(composed, name, started[name])
        for name in OURS:
            _wait_until_healthy(composed, name, started[name])
        address = composed.addresses["webserver"]
        asked = {"query": "{repositoriesOrError{... on RepositoryConnection{nodes{name location{name}}}}}"}
        answer = _post(f"http://{address}:3000/graphql", asked)
        nodes = answer["data"]["repositoriesOrError"]["nodes"]
        assert [node["location"]["name"] for node in nodes] == ["rag_pipelines"]
        checks = _get(f"http://{composed.addresses['serve']}:8080/readyz")["checks"]
        assert (checks["database"], checks["reader"]) == ("ok", "ok")


def test_what_depends_on_a_service_and_what_it_waits_for_is_there():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], f"{name} waits for a check that {needed} has not"


def test_our_services_run_with_as_few_rights_as_they_need():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    ours = {name: one for name, one in services.items() if name != "postgres"}
    for name, service in ours.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for published in service.get("ports", []):
            assert published.startswith("127.0.0.1:"), f"{name} is open to the network"
        for variable, value in service["environment"].items():
            assert "password" not in f"{variable}{value}".lower(), f"{name} has a password in its environment"


def test_the_instance_of_the_deployment_is_that_of_the_repository_with_its_storage():
    here = yaml.safe_load((DEPLOY.parent / "dagster.yaml").read_text())
    there = yaml.safe_load((DEPLOY / "dagster" / "dagster.yaml").read_text())
    assert there.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_PG_URL"}}}
    assert here == there


def test_secrets_are_made_once_and_can_be_read_by_containers_only(tmp_path: Path):
    folder, program = tmp_path / "secrets", DEPLOY / "compose" / "make_secrets.sh"
    first = subprocess.run([program, folder], check=True, capture_output=True, text=True).stdout
    kept = {file.name: file.read_text() for file in folder.iterdir()}
    second = subprocess.run([program, folder], check=True, capture_output=True, text=True).stdout
    assert set(kept) == set(yaml.safe_load(COMPOSE.read_text())["secrets"])
    assert kept == {file.name: file.read_text() for file in folder.iterdir()}
    assert first.startswith("key of intranet (for its owner, shown once): rag_")
    assert second == ""
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o444}


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.compose-spec", "compose.yaml"),
        ("vendor.github-actions", "ci/github/action.yml"),
        ("vendor.gitlab-ci", "ci/gitlab/evaluate.yml"),
    ],
)
def test_files_that_others_read_are_valid_by_their_schemas(schema: str, file: str):
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, DEPLOY / file]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def _wait_until_healthy(composed: Composed, name: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := composed.check(name)).returncode != 0:
        assert process.poll() is None, f"{name} ended:\n{composed.log(name)}"
        assert time.monotonic() < deadline, f"{name} is not healthy: {found.stdout}\n{composed.log(name)}"


def _post(url: str, body: object) -> dict:
    import httpx

    return httpx.post(url, json=body, timeout=30).raise_for_status().json()


def _get(url: str) -> dict:
    import httpx

    return httpx.get(url, timeout=30).json()
