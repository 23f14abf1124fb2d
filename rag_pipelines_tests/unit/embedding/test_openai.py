"""OpenAI-compatible endpoints: batches, order, faults, limits, costs, and a key that never shows."""

from __future__ import annotations

import threading
from email.utils import formatdate

import numpy as np
import pytest

from rag_pipelines.embedding.batch import embed_all
from rag_pipelines.embedding.openai import OpenAIEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import ConfigError, CredentialError, EmbeddingError, ThrottledError, TransientError
from rag_pipelines_tests.unit.embedding.endpoint import DIMENSIONS, FakeClock, Fault, serve, vector

KEY = "sk-very-secret"
TEXTS = [f"passage number {n}" for n in range(10)]


@pytest.fixture
def endpoint():
    with serve() as state:
        yield state


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def embedder(endpoint, clock):
    made = []

    def make(**settings) -> OpenAIEmbedder:
        defaults = {"model": "small", "base_url": endpoint.url, "api_key": KEY, "dimensions": DIMENSIONS}
        made.append(OpenAIEmbedder(EmbeddingProfile(provider="openai", **{**defaults, **settings}), clock))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("encode", ["base64", "float"])
@pytest.mark.parametrize("reverse", [False, True])
def test_vectors_come_back_at_length_1_in_the_order_of_the_texts(endpoint, embedder, encode, reverse):
    endpoint.encode, endpoint.reverse = encode, reverse
    vectors = embedder(batch_size=3).embed_documents(TEXTS)
    np.testing.assert_allclose(vectors, [vector(text) for text in TEXTS], atol=1e-6)
    assert sorted(len(request["input"]) for request in endpoint.requests) == [1, 3, 3, 3]


def test_prompts_are_put_in_front(endpoint, embedder):
    one = embedder(query_prompt="query: ", document_prompt="passage: ")
    one.embed_query("leave")
    one.embed_documents(["leave"])
    assert [request["input"] for request in endpoint.requests] == [["query: leave"], ["passage: leave"]]
    assert one.tokenizer.special_tokens > embedder().tokenizer.special_tokens


def test_a_throttled_request_waits_as_long_as_it_is_told(endpoint, embedder, clock):
    endpoint.faults = [Fault(429, headers={"Retry-After": "7"})]
    embedder().embed_query("leave")
    assert clock.naps == [7]


def test_a_retry_date_is_understood(endpoint, embedder, clock):
    endpoint.faults = [Fault(503, headers={"Retry-After": formatdate(clock.at + 12, usegmt=True)})]
    embedder().embed_query("leave")
    assert clock.naps == [12]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again_after_a_growing_random_wait(endpoint, embedder, clock, status):
    endpoint.faults = [Fault(status)] * 3
    embedder().embed_query("leave")
    assert len(clock.naps) == 3
    assert all(0 <= nap <= 0.5 * 2**attempt for attempt, nap in enumerate(clock.naps, start=1))


def test_after_the_last_try_the_fault_goes_up_as_transient(endpoint, embedder):
    endpoint.faults = [Fault(500)] * 3
    with pytest.raises(TransientError, match="answered 500"):
        embedder(retries=2).embed_query("leave")
    assert len(endpoint.requests) == 3


def test_a_very_long_wait_is_left_to_the_caller(endpoint, embedder, clock):
    endpoint.faults = [Fault(429, headers={"Retry-After": "3600"})]
    with pytest.raises(ThrottledError) as caught:
        embedder().embed_query("leave")
    assert caught.value.retry_after == 3600
    assert clock.naps == []


def test_an_endpoint_that_is_not_there_is_transient(embedder):
    with pytest.raises(TransientError, match="cannot be reached"):
        embedder(base_url="http://127.0.0.1:9/v1", retries=1).embed_query("leave")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_at_once_and_is_not_shown(endpoint, embedder, status):
    endpoint.faults = [Fault(status, f'{{"error": "key {KEY} is wrong"}}')]
    one = embedder()
    with pytest.raises(CredentialError, match="check 'api_key'") as caught:
        one.embed_query("leave")
    assert KEY not in str(caught.value) + repr(one.__dict__) + repr(one.identity)
    assert endpoint.keys == [f"Bearer {KEY}"]
    assert len(endpoint.requests) == 1


def test_one_refused_text_costs_only_itself(endpoint, embedder):
    endpoint.refuse = lambda text: text == TEXTS[3]
    done, failed = {}, {}
    for part in embed_all(embedder(), TEXTS):
        done.update(zip(part.rows.tolist(), part.vectors, strict=True))
        failed.update(dict(part.failures))
    assert sorted(done) == [n for n in range(10) if n != 3]
    assert isinstance(failed[3], EmbeddingError)
    assert "invalid input" in str(failed[3])
    np.testing.assert_allclose(done[7], vector(TEXTS[7]), atol=1e-6)


def test_a_wrong_number_of_dimensions_is_a_fault_of_the_profile(endpoint, embedder):
    endpoint.dimensions = 4
    with pytest.raises(ConfigError, match=r"vector of 4 dimensions.*the profile says 8"):
        embedder().embed_query("leave")


@pytest.mark.parametrize(
    "body", ["<html>", "{}", '{"data": []}', '{"data": [{"index": 1, "embedding": [1]}]}']
)
def test_an_answer_that_is_not_of_the_protocol_is_transient(endpoint, embedder, body):
    endpoint.faults = [Fault(200, body)]
    with pytest.raises(TransientError, match="not of the protocol"):
        embedder(retries=0).embed_query("leave")


def test_dimensions_are_asked_for_only_on_request(endpoint, embedder):
    embedder().embed_query("leave")
    embedder(request_dimensions=True).embed_query("leave")
    assert [request.get("dimensions") for request in endpoint.requests] == [None, DIMENSIONS]


def test_requests_run_at_once_up_to_the_limit(endpoint, embedder):
    endpoint.barrier = threading.Barrier(3)
    embedder(batch_size=1, concurrency=3).embed_documents(TEXTS[:6])
    assert endpoint.most_at_once == 3


def test_requests_a_minute_are_kept(embedder, clock):
    embedder(batch_size=1, requests_per_minute=6, concurrency=1).embed_documents(TEXTS)
    assert sum(clock.naps) == pytest.approx(40)  # six at once, then four at ten seconds each


def test_tokens_a_minute_are_kept(embedder, clock):
    one = embedder(batch_size=1, tokens_per_minute=60, concurrency=1)
    tokens = sum(one.tokenizer.count(TEXTS))
    one.embed_documents(TEXTS)
    assert sum(clock.naps) == pytest.approx(tokens - 60)


def test_usage_and_cost_are_what_the_endpoint_counts(embedder):
    one = embedder(price_per_million_tokens=20.0, batch_size=5)
    one.embed_documents(TEXTS)
    assert (one.usage.inputs, one.usage.requests, one.usage.tokens) == (10, 2, 100)
    assert one.usage.cost == pytest.approx(100 * 20 / 1e6)


def test_a_text_above_the_models_limit_is_cut_to_it(endpoint, embedder):
    embedder(max_tokens=20).embed_documents(["word " * 100])
    assert len(endpoint.requests[0]["input"][0]) == 18 * 3


def test_where_the_model_is_reached_is_not_part_of_its_identity(embedder):
    assert embedder(base_url="http://elsewhere/v1").identity == embedder().identity
    assert embedder(dimensions=4).identity != embedder().identity


def test_no_texts_make_no_request(endpoint, embedder):
    assert embedder().embed_documents([]).shape == (0, DIMENSIONS)
    assert endpoint.requests == []


def test_azure_is_asked_in_its_own_form(endpoint, embedder):
    one = embedder(api_version="2024-10-21", deployment="small eu", base_url=endpoint.url.removesuffix("/v1"))
    np.testing.assert_allclose(one.embed_query("leave"), vector("leave"), atol=1e-6)
    assert endpoint.paths == ["/openai/deployments/small%20eu/embeddings?api-version=2024-10-21"]
    assert (endpoint.azure_keys, endpoint.keys) == ([KEY], [None])
    assert one.identity == embedder().identity, "a model is the same wherever it runs"


def test_a_deployment_is_called_as_the_model_unless_it_has_a_name(endpoint, embedder):
    embedder(api_version="2024-10-21").embed_query("leave")
    assert endpoint.paths == ["/v1/openai/deployments/small/embeddings?api-version=2024-10-21"]


@pytest.mark.parametrize("status", [401, 403])
def test_azure_refuses_a_key_that_does_not_show(endpoint, embedder, status):
    endpoint.faults = [Fault(status, f'{{"error": {{"code": "{status}", "message": "bad key {KEY}"}}}}')]
    with pytest.raises(CredentialError, match="check 'api_key'") as caught:
        embedder(api_version="2024-10-21").embed_query("leave")
    assert KEY not in str(caught.value)


def test_a_deployment_that_is_not_there_says_what_to_check(endpoint, embedder):
    endpoint.faults = [Fault(404, '{"error": {"code": "DeploymentNotFound", "message": "no"}}')]
    with pytest.raises(ConfigError, match="check 'base_url' and 'model', and 'deployment' at Azure"):
        embedder(api_version="2024-10-21", deployment="gone").embed_query("leave")


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"deployment": "x"}, "give 'api_version' too"), ({"api_version": "v1"}, "api_version")],
)
def test_azures_settings_are_checked(settings, said):
    with pytest.raises(ValueError, match=said):
        EmbeddingProfile(provider="openai", model="m", dimensions=8, **settings)
