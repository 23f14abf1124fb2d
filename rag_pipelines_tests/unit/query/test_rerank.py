"""Reranking by a local cross-encoder and by a service on a real socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rag_pipelines.config.query import RerankSettings
from rag_pipelines.errors import RagError, TransientError
from rag_pipelines.query.hits import Step
from rag_pipelines.query.rerank import LocalReranker, Rerank, ServiceReranker, passage_text
from rag_pipelines.query.stage_chain import Stages
from rag_pipelines_tests.doubles.faults import Drip
from rag_pipelines_tests.doubles.server import Answer, Request, Server
from rag_pipelines_tests.unit.query.examples import asked, candidates, hit

POOL = candidates(*(hit(f"passage {n}", document=n, fused=1 - n / 10) for n in range(4)))


class Fixed:
    """A reranker with an answer of its own."""

    def __init__(self, scores: Sequence[float] = (), error: RagError | None = None) -> None:
        self.given, self.error, self.calls = scores, error, 0

    def scores(self, question: str, passages: Sequence[str], deadline: float) -> list[float]:
        self.calls += 1
        if self.error:
            raise self.error
        return list(self.given)

    def prepare(self) -> None: ...

    def close(self) -> None: ...


def settings(**fields: Any) -> RerankSettings:
    return RerankSettings.model_validate({"model": "any", **fields})


def order(stage: Rerank) -> list[int]:
    return [one.hit.document_id for one in stage.apply(asked(), POOL).candidates]


def step(stage: Rerank) -> Step:
    """What a whole search says of the stage; it must be answered in any case."""
    candidates, (told,) = Stages([stage]).run(asked(), [one.hit for one in POOL])
    assert len(candidates) == len(POOL)
    return told


def test_the_model_decides_the_order() -> None:
    assert order(Rerank(settings(), Fixed([0.1, 0.9, 0.2, 0.5]))) == [1, 3, 2, 0]


def test_candidates_beyond_the_depth_follow_in_their_old_order() -> None:
    outcome = Rerank(settings(depth=2), Fixed([-3.0, -1.0])).apply(asked(), POOL)
    assert [one.hit.document_id for one in outcome.candidates] == [1, 0, 2, 3]
    scores = [one.score for one in outcome.candidates]
    assert scores == sorted(scores, reverse=True)


def test_the_share_of_the_model_is_a_setting() -> None:
    scores = [0.0, 0.4, 0.6, 1.0]
    assert order(Rerank(settings(weight=1.0), Fixed(scores))) == [3, 2, 1, 0]
    assert order(Rerank(settings(weight=0.0), Fixed(scores))) == [0, 1, 2, 3]


def test_a_search_is_answered_without_a_model_that_fails_and_says_so() -> None:
    told = step(Rerank(settings(), Fixed(error=TransientError("no answer"))))
    assert [place.document_id for place in told.places] == [0, 1, 2, 3]
    assert (told.failed, told.note) == (True, "answered without it: no answer")


def test_a_model_that_failed_is_left_alone_for_a_while() -> None:
    broken = Fixed(error=TransientError("no answer"))
    stage = Rerank(settings(pause=timedelta(hours=1)), broken)
    assert all(step(stage).failed for _ in range(3))
    assert broken.calls == 1
    eager = Rerank(settings(pause=timedelta(0)), broken)
    assert all(step(eager).failed for _ in range(3))
    assert broken.calls == 4


def test_the_model_reads_title_section_table_header_and_text() -> None:
    one = hit("row", title="Prices", heading_path=("Prices", "2024"), context="item | price")
    assert passage_text(one) == "Prices\n2024\nitem | price\nrow"


@pytest.fixture
def service() -> Iterator[Server]:
    with Server() as server:
        yield server


def answers(server: Server, reply: Callable[[Request], Any]) -> list[dict[str, Any]]:
    """Let the server answer every request; returns the bodies that it gets."""
    bodies: list[dict[str, Any]] = []

    def answer(request: Request) -> Any:
        bodies.append(json.loads(request.body) | {"login": request.headers.get("Authorization")})
        return reply(request)

    server.route("/rerank", answer, "POST")
    return bodies


def remote(server: Server, **fields: Any) -> ServiceReranker:
    return ServiceReranker(settings(**{"provider": "cohere", "url": f"{server.url}/rerank", **fields}))


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize("provider", ["cohere", "jina"])
def test_cohere_and_jina_are_asked_in_their_protocol(service: Server, provider: str) -> None:
    results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]
    bodies = answers(service, lambda _: {"id": "x", "results": results})
    reranker = remote(service, provider=provider, model="rerank-v3.5", api_key="secret")
    assert reranker.scores("why?", ["a", "b"], soon()) == [0.2, 0.9]
    asked_for = {"model": "rerank-v3.5", "query": "why?", "documents": ["a", "b"], "top_n": 2}
    assert bodies == [{**asked_for, "login": "Bearer secret"}]


def test_text_embeddings_inference_is_asked_in_its_protocol(service: Server) -> None:
    bodies = answers(service, lambda _: [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.2}])
    assert remote(service, provider="tei").scores("why?", ["a", "b"], soon()) == [0.2, 0.9]
    assert bodies == [{"query": "why?", "texts": ["a", "b"], "truncate": True, "login": None}]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Answer(503, b"loading"), "answered 503: loading"),
        (Answer(429, b"slow down", {"Retry-After": "7"}), "answered 429"),
        (Answer(401, b"who?"), "check 'api_key'"),
        (Answer(404, b"no such model"), "check 'url', 'model' and 'provider'"),
        (Answer(200, b"<html>"), "does not speak the protocol 'cohere'"),
        (Answer(200, b'{"results": [{"index": 0, "relevance_score": 1}]}'), "does not speak the protocol"),
        (Answer(200, b'{"results": 3}'), "does not speak the protocol"),
        (
            Answer(
                200,
                b'{"results": [{"index": 0, "relevance_score": 1}, {"index": 1, "relevance_score": "NaN"}]}',
            ),
            "not all of them numbers",
        ),
        (Answer(200, b" " * 5_000_000), "which is no ranking"),
    ],
)
def test_any_other_answer_is_an_error_that_says_what_came(
    service: Server, reply: Answer, message: str
) -> None:
    answers(service, lambda _: reply)
    with pytest.raises(RagError, match=message):
        remote(service).scores("why?", ["a", "b"], soon())


def test_a_service_that_is_not_there_is_an_error() -> None:
    with pytest.raises(TransientError, match="gave no answer"):
        ServiceReranker(settings(provider="tei", url="http://127.0.0.1:9/rerank")).scores("q", ["a"], soon())


def test_a_slow_service_is_waited_for_no_longer_than_its_time_out(service: Server) -> None:
    left = threading.Event()
    answers(service, lambda _: left.wait(60) and [])
    with pytest.raises(TransientError, match="gave no answer"):
        remote(service).scores("why?", ["a"], soon(0.2))
    left.set()


def test_a_service_that_drips_is_left_at_the_time_out(service: Server) -> None:
    """Each byte comes in time, the answer would not for half a minute."""
    service.faults.script(Drip(pause=0.01))
    answers(service, lambda _: [{"index": 0, "score": 1.0, "text": "x" * 3000}])
    with pytest.raises(TransientError, match="had not finished after"):
        remote(service, provider="tei").scores("why?", ["a"], soon(0.3))
    assert service.log[-1].bytes < 2000


@pytest.fixture(scope="module")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of one small layer with random weights, saved as a user's would be."""
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("cross-encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "passage"]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    CrossEncoder(str(folder), local_files_only=True).save_pretrained(str(folder))
    return folder


@pytest.mark.slow
def test_a_cross_encoder_on_disk_scores_as_the_library_does(tiny_cross_encoder: Path) -> None:
    from sentence_transformers import CrossEncoder

    passages = [f"passage {letter}" for letter in "abcdefg"]
    reranker = LocalReranker(settings(model=str(tiny_cross_encoder), batch_size=3))
    expected = CrossEncoder(str(tiny_cross_encoder), local_files_only=True).predict(
        [("what", passage) for passage in passages]
    )
    assert reranker.scores("what", passages, soon(60)) == pytest.approx(expected.tolist(), abs=1e-5)
    assert len({round(score, 6) for score in expected.tolist()}) > 1


@pytest.mark.slow
def test_a_question_does_not_wait_for_the_model_to_load_unless_told_to(tiny_cross_encoder: Path) -> None:
    reranker = LocalReranker(settings(model=str(tiny_cross_encoder)))
    with pytest.raises(TransientError, match="is still being loaded"):
        reranker.scores("what", ["a"], time.monotonic())
    reranker.prepare()
    assert len(reranker.scores("what", ["a"], soon(60))) == 1
    reranker.close()


@pytest.mark.slow
def test_a_cross_encoder_stops_at_its_time_out(tiny_cross_encoder: Path) -> None:
    reranker = LocalReranker(settings(model=str(tiny_cross_encoder), batch_size=1))
    reranker.scores("what", ["a"], soon(60))
    with pytest.raises(TransientError, match="had scored 0 of 3 passages"):
        reranker.scores("what", ["a", "b", "c"], time.monotonic() - 1)


def test_a_model_that_is_not_here_is_named_and_never_fetched() -> None:
    missing = settings(model="cross-encoder/none-such")
    told = step(Rerank(missing, LocalReranker(missing)))
    assert told.failed
    assert "'cross-encoder/none-such' is not on this machine" in told.note


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"provider": "tei"}, "needs 'url'"),
        ({"provider": "cohere", "url": "https://x.example", "model": ""}, "needs 'model'"),
        ({"url": "https://x.example"}, "takes no 'url'"),
    ],
)
def test_settings_that_do_not_fit_the_provider_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**fields)
