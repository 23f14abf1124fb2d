"""References in the configuration: what they become, when a store is asked again, and that no value shows."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from rag_pipelines.config import load_config
from rag_pipelines.config.load import read_config
from rag_pipelines.config.problems import scrub
from rag_pipelines.embedding.openai import OpenAIEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import ConfigError, CredentialError, TransientError
from rag_pipelines.secrets import references
from rag_pipelines_tests.unit.embedding.endpoint import DIMENSIONS, Fault, serve

VALUE = "correct-horse-battery-staple-and-hay"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "secret"
    made.write_text(f"{VALUE}\n")
    return made


def write(folder: Path, text: str) -> Path:
    config = folder / "rag.yaml"
    config.write_text(text)
    return config


def test_a_secret_takes_the_place_of_its_reference(tmp_path: Path, file: Path):
    config = write(tmp_path, f'database: {{url: "postgresql://rag:${{file:{file}}}@db/${{NAME}}"}}')
    settings = load_config(config, {"NAME": "rag"})
    assert settings.database.url.get_secret_value() == f"postgresql://rag:{VALUE}@db/rag"


def test_what_is_not_there_is_a_problem_with_its_line_or_the_default(tmp_path: Path):
    nothing = tmp_path / "nothing"
    config = write(tmp_path, f'\ndatabase: {{url: "${{file:{nothing}}}"}}')
    with pytest.raises(
        ConfigError, match=rf"database.url \(line 2\): received \$\{{file:{nothing}\}}, but there"
    ):
        load_config(config, {})
    config = write(tmp_path, f'database: {{url: "${{file:{nothing}:-postgresql://db/rag}}"}}')
    assert load_config(config, {}).database.url.get_secret_value() == "postgresql://db/rag"


def test_a_default_takes_no_place_of_a_store_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def away(place: str) -> str:
        raise TransientError("the store is away")

    monkeypatch.setattr(references, "_reader", lambda store: away)
    with pytest.raises(TransientError, match="is away"):
        load_config(write(tmp_path, 'database: {url: "${vault:a#b:-postgresql://db/rag}"}'), {})


@pytest.mark.parametrize("text", ["${FILE:/x}", "${file:}", "${file:/x", "${a b:/x}"])
def test_a_malformed_reference_is_told_with_the_stores(tmp_path: Path, text: str):
    with pytest.raises(ConfigError, match=r"\$\{STORE:PLACE\} \(aws-sm, azure-kv, file, gcp-sm, vault\)"):
        load_config(write(tmp_path, f"database:\n  url: '{text}'"), {})


def test_a_variable_in_small_letters_keeps_its_default(tmp_path: Path):
    config = write(tmp_path, 'database: {url: "${file:-postgresql://db/rag}"}')
    assert load_config(config, {}).database.url.get_secret_value() == "postgresql://db/rag"


def test_no_message_shows_a_secret(tmp_path: Path, file: Path):
    config = write(tmp_path, f'indexes: {{main: {{sources: ["x-${{file:{file}}}"]}}}}')
    with pytest.raises(ConfigError) as caught:
        load_config(config, {})
    assert VALUE not in str(caught.value)
    assert scrub(f"x-{VALUE}", read_config(config)) == f"x-${{file:{file}}}"


def test_a_store_is_asked_once_for_all_references_to_it(tmp_path: Path, file: Path, monkeypatch):
    asked = []
    monkeypatch.setattr(references, "_reader", lambda store: lambda place: asked.append(place) or VALUE)
    config = write(tmp_path, 'data_dir: "/srv/${file:/a}"\nerasure: {key: "${file:/a}"}')
    load_config(config, {})
    load_config(config, {})
    assert asked == ["/a"]


def test_a_rotated_secret_is_read_when_the_old_one_is_refused(tmp_path: Path, file: Path, monkeypatch):
    monkeypatch.setattr(references, "PAUSE", 0.0)
    text = f'database: {{url: "postgresql://rag:${{file:{file}}}@db/rag"}}'
    url = load_config(write(tmp_path, text), {}).database.url.get_secret_value()
    file.write_text("another")
    tried = []

    def attempt(one: str) -> str:
        tried.append(one)
        if VALUE in one:
            raise CredentialError("no")
        return "in"

    for _ in range(2):
        assert references.log_in(url, attempt, lambda error: isinstance(error, CredentialError)) == "in"
    new = "postgresql://rag:another@db/rag"
    assert tried == [url, new, new], "the second time the new one is known"


def test_a_login_that_stays_refused_asks_the_store_once_and_raises(tmp_path: Path, file: Path, monkeypatch):
    load_config(write(tmp_path, f'erasure: {{key: "${{file:{file}}}"}}'), {})
    asked = []
    monkeypatch.setattr(references, "_reader", lambda store: lambda place: asked.append(place) or VALUE)
    clock = [1e9]
    monkeypatch.setattr(references.time, "monotonic", lambda: clock[0])

    def attempt(one: str) -> None:
        raise CredentialError("no")

    for _ in range(3):
        with pytest.raises(CredentialError):
            references.log_in(VALUE, attempt, lambda error: True)
    assert len(asked) == 1, "five seconds have not passed"
    clock[0] += references.PAUSE
    with pytest.raises(CredentialError):
        references.log_in(VALUE, attempt, lambda error: True)
    assert len(asked) == 2


def test_another_failure_asks_no_store(tmp_path: Path, file: Path, monkeypatch):
    load_config(write(tmp_path, f'erasure: {{key: "${{file:{file}}}"}}'), {})
    file.write_text("another")
    with pytest.raises(ValueError, match="full"):
        references.log_in(VALUE, lambda one: (_ for _ in ()).throw(ValueError("full")), lambda error: False)
    assert references.current(VALUE) == VALUE


def test_a_store_that_is_away_leaves_the_old_secret_and_logs_no_value(tmp_path, file, monkeypatch, caplog):
    monkeypatch.setattr(references, "PAUSE", 0.0)
    load_config(write(tmp_path, f'erasure: {{key: "${{file:{file}}}"}}'), {})
    file.unlink()
    with caplog.at_level(logging.WARNING):
        assert references.renewed(VALUE) == VALUE
    assert "could not be read again" in caplog.text
    assert VALUE not in caplog.text


def test_everything_is_renewed_and_may_come_back(tmp_path: Path, file: Path, monkeypatch):
    monkeypatch.setattr(references, "PAUSE", 0.0)
    load_config(write(tmp_path, f'erasure: {{key: "${{file:{file}}}"}}'), {})
    for text in ("second", VALUE, "third"):
        file.write_text(text)
        references.renew_all()
        assert references.current(VALUE) == text
        assert references.current("second") in (text, "second")


def test_a_text_that_came_from_no_store_is_itself():
    assert references.renewed("plain") == references.current("plain") == "plain"


def test_an_endpoint_that_refuses_the_key_is_asked_again_with_the_new_one(tmp_path, file, monkeypatch):
    monkeypatch.setattr(references, "PAUSE", 0.0)
    with serve() as endpoint:
        config = write(
            tmp_path,
            f"""profiles: {{embedding: {{remote: {{provider: openai, base_url: "{endpoint.url}",
            api_key: "${{file:{file}}}", model: small, dimensions: {DIMENSIONS}}}}}}}""",
        )
        embedder = OpenAIEmbedder(load_config(config, {}).profiles.embedding["remote"])
        embedder.embed_query("leave")
        file.write_text("another")
        endpoint.faults = [Fault(401)]
        embedder.embed_query("leave")
        embedder.embed_query("leave")
        embedder.close()
    assert endpoint.keys == [f"Bearer {one}" for one in (VALUE, VALUE, "another", "another")]


def test_a_key_that_was_written_down_stays_refused():
    with serve() as endpoint:
        profile = EmbeddingProfile(
            provider="openai", base_url=endpoint.url, api_key="k", model="small", dimensions=DIMENSIONS
        )
        endpoint.faults = [Fault(401)]
        embedder = OpenAIEmbedder(profile)
        with pytest.raises(CredentialError):
            embedder.embed_query("leave")
        embedder.close()
    assert len(endpoint.keys) == 1
