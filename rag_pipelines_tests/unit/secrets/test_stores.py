"""What each store gives, and how its refusals are told: which class, and never with a value."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from moto import mock_aws

from rag_pipelines.errors import ConfigError, CredentialError, TransientError
from rag_pipelines.secrets import vault as vault_module
from rag_pipelines.secrets.references import MissingSecretError, read
from rag_pipelines_tests.doubles.cloud_secrets import KeyVault, SecretManager
from rag_pipelines_tests.doubles.vault import TOKEN, Vault

VALUE = "correct-horse-battery-staple"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    with Vault() as double:
        for name in [name for name in os.environ if name.startswith("VAULT_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("VAULT_ADDR", double.url)
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        yield double


def test_a_file_gives_its_text_without_the_line_end(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(f"{VALUE} \n")
    assert read("file", str(file)) == f"{VALUE} "


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (None, MissingSecretError, "there is no file"),
        (b"\n", MissingSecretError, "is empty"),
        (b"\xff\xfe", ConfigError, "is not UTF-8"),
        (b"x" * 65_537, ConfigError, "more than 65,536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_says_what_is_wrong(tmp_path: Path, content, kind, said):
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(kind, match=said):
        read("file", str(file))


def test_a_file_is_named_by_its_whole_path():
    with pytest.raises(ConfigError, match="valid: an absolute path"):
        read("file", "run/secrets/key")


def test_a_folder_is_no_secret(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read("file", str(tmp_path))


def test_vault_is_read_by_path_and_key_in_both_versions_of_its_store(vault: Vault):
    vault.versioned["secret/data/rag"] = {"url": VALUE, "port": 5432}
    vault.plain["database/creds/rag"] = {"username": "v-rag-1", "password": VALUE}

    assert read("vault", "secret/data/rag#url") == VALUE
    assert read("vault", "secret/data/rag#port") == "5432"
    assert read("vault", "database/creds/rag#password") == VALUE


def test_a_user_and_its_password_come_from_one_reading(vault: Vault):
    vault.plain["database/creds/rag"] = {"username": "v-rag-1", "password": VALUE}
    read("vault", "database/creds/rag#username"), read("vault", "database/creds/rag#password")
    assert len(vault.requests("creds/rag")) == 1


def test_vault_says_what_keys_there_are(vault: Vault):
    vault.versioned["secret/data/rag"] = {"url": VALUE, "user": "rag"}
    with pytest.raises(MissingSecretError, match="it has url, user"):
        read("vault", "secret/data/rag#password")
    with pytest.raises(ConfigError, match="add one of its keys: vault:secret/data/rag#url, user"):
        read("vault", "secret/data/rag")


def test_vault_has_nothing_there(vault: Vault):
    with pytest.raises(MissingSecretError, match="read at MOUNT/data/NAME"):
        read("vault", "secret/rag#url")


def test_vault_refuses_a_token(vault: Vault, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.wrong")
    with pytest.raises(CredentialError, match="refuses to read secret/data/rag") as caught:
        read("vault", "secret/data/rag#url")
    assert "hvs.wrong" not in str(caught.value)


def test_vault_is_away(vault: Vault):
    vault.stop()
    with pytest.raises(TransientError, match="cannot be reached"):
        read("vault", "secret/data/rag#url")


def test_vault_is_logged_into_by_a_role(vault: Vault, monkeypatch: pytest.MonkeyPatch):
    vault.versioned["secret/data/rag"] = {"url": VALUE}
    vault.roles["approle"] = {"role_id": "rag", "secret_id": "s"}
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("VAULT_ROLE_ID", "rag")
    monkeypatch.setenv("VAULT_SECRET_ID", "s")
    assert read("vault", "secret/data/rag#url") == VALUE


def test_vault_is_logged_into_as_a_pod(vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    vault.versioned["secret/data/rag"] = {"url": VALUE}
    vault.roles["kubernetes"] = {"role": "rag", "jwt": "ey.of.the.pod"}
    token = tmp_path / "token"
    token.write_text("ey.of.the.pod")
    monkeypatch.setattr(vault_module, "POD_TOKEN", token)
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("VAULT_KUBERNETES_ROLE", "rag")
    assert read("vault", "secret/data/rag#url") == VALUE


def test_vault_without_an_address_or_a_login_says_so(vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VAULT_TOKEN")
    with pytest.raises(ConfigError, match="there is no login for Vault"):
        read("vault", "secret/data/rag#url")
    monkeypatch.delenv("VAULT_ADDR")
    with pytest.raises(ConfigError, match="VAULT_ADDR"):
        read("vault", "secret/data/rag#url")


@pytest.fixture
def secrets_manager(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield botocore.session.get_session().create_client("secretsmanager")


def test_aws_gives_texts_and_keys_of_objects(secrets_manager):
    secrets_manager.create_secret(Name="rag/key", SecretString=VALUE)
    made = secrets_manager.create_secret(Name="rag/database", SecretString=json.dumps({"password": VALUE}))

    assert read("aws-sm", "rag/key") == VALUE
    assert read("aws-sm", "rag/database#password") == VALUE
    assert read("aws-sm", f"{made['ARN']}#password") == VALUE


def test_aws_has_none_or_only_bytes(secrets_manager):
    secrets_manager.create_secret(Name="binary", SecretBinary=b"\x00\x01")
    with pytest.raises(MissingSecretError, match="has no secret rag/none"):
        read("aws-sm", "rag/none")
    with pytest.raises(ConfigError, match="is binary"):
        read("aws-sm", "binary")


def test_a_key_of_what_is_no_object_is_an_error_without_the_value(secrets_manager):
    secrets_manager.create_secret(Name="rag/key", SecretString=VALUE)
    with pytest.raises(ConfigError, match="is not a JSON object") as caught:
        read("aws-sm", "rag/key#password")
    assert VALUE not in str(caught.value)


def test_azure_gives_a_text(monkeypatch: pytest.MonkeyPatch):
    with KeyVault() as double:
        client = double.client("https://acme.vault.azure.net")
        monkeypatch.setattr("rag_pipelines.secrets.azure.client", {client.vault_url: client}.__getitem__)
        double.secrets["url"] = VALUE
        assert read("azure-kv", "acme/url") == VALUE
        with pytest.raises(MissingSecretError, match=r"acme\.vault\.azure\.net has no secret 'none'"):
            read("azure-kv", "acme/none")
        with pytest.raises(ConfigError, match="valid: azure-kv:VAULT/SECRET"):
            read("azure-kv", "url")
        double.refusal = 403
        with pytest.raises(CredentialError, match="403"):
            read("azure-kv", "acme/other")
        double.refusal = 503
        with pytest.raises(TransientError, match="does not answer: 503"):
            read("azure-kv", "acme/third")


def test_google_gives_a_text(monkeypatch: pytest.MonkeyPatch):
    with SecretManager() as double:
        monkeypatch.setattr("rag_pipelines.secrets.gcp.client", double.client)
        double.secrets["projects/acme/secrets/url/versions/latest"] = VALUE.encode()
        double.secrets["projects/acme/secrets/url/versions/3"] = b"third"
        assert read("gcp-sm", "acme/url") == VALUE
        assert read("gcp-sm", "acme/url/3") == "third"
        with pytest.raises(MissingSecretError, match="versions/4"):
            read("gcp-sm", "acme/url/4")
        with pytest.raises(ConfigError, match="valid: gcp-sm:PROJECT/SECRET"):
            read("gcp-sm", "url")
        double.closed = True
        with pytest.raises(CredentialError, match="refuses"):
            read("gcp-sm", "acme/other")


def test_a_store_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="valid are aws-sm, azure-kv, file, gcp-sm, vault"):
        read("keychain", "x")
    monkeypatch.setitem(sys.modules, "hvac", None)
    monkeypatch.delitem(sys.modules, "rag_pipelines.secrets.vault", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'rag-pipelines\[vault\]'"):
        read("vault", "secret/data/rag#url")
