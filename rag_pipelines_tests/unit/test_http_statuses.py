"""From a status to an error: one table for connectors, embedding endpoints and rerankers."""

from __future__ import annotations

import pytest

from rag_pipelines.embedding import openai
from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    EmbeddingError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    ThrottledError,
    TransientError,
    UsageError,
)
from rag_pipelines.http.statuses import ENTITIES, error_of_status
from rag_pipelines.query import rerank

CLIENTS = {"entities": ENTITIES, "embeddings": openai.REFUSALS, "reranker": rerank.REFUSALS}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 529])
def test_a_passing_fault_is_worth_another_try_for_every_client(client: str, status: int):
    assert type(error_of_status(status, "said", meanings=CLIENTS[client])) is TransientError


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("status", "wait"), [(429, None), (429, 7.0), (503, 7.0)])
def test_who_asks_for_a_pause_is_given_it(client: str, status: int, wait: float | None):
    error = error_of_status(status, "said", wait, CLIENTS[client])

    assert isinstance(error, ThrottledError)
    assert error.retry_after == wait


@pytest.mark.parametrize(
    ("client", "kinds"),
    [
        ("entities", [CredentialError, ForbiddenEntityError, MissingEntityError, UsageError]),
        ("embeddings", [CredentialError, CredentialError, ConfigError, EmbeddingError]),
        ("reranker", [CredentialError, CredentialError, UsageError, UsageError]),
    ],
)
def test_a_refusal_means_to_each_client_what_its_user_can_do_about_it(client: str, kinds: list[type]):
    errors = [error_of_status(status, "said", meanings=CLIENTS[client]) for status in (401, 403, 404, 400)]

    assert [type(error) for error in errors] == kinds
    assert all(str(error).startswith("said") for error in errors)


@pytest.mark.parametrize("status", [501, 505])
def test_what_a_server_cannot_do_is_not_asked_of_it_again(status: int):
    assert type(error_of_status(status, "said")) is UsageError


def test_a_cursor_or_endpoint_that_is_gone_is_said_to_be_gone():
    assert isinstance(error_of_status(410, "said"), GoneError)


def test_an_answer_is_no_error():
    assert error_of_status(200, "said") is None
    assert error_of_status(304, "said") is None
