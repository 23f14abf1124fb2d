"""Reranking: a model that reads question and passage together orders the best candidates anew.

What belongs here: the stage, a local cross-encoder, and the protocols of reranking services. What does
not: how candidates are found.

The search never waits for a model longer than its time-out, and is answered without one that fails.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from rag_pipelines import tracing
from rag_pipelines.config.query import RerankSettings
from rag_pipelines.embedding.model_files import find_model
from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    RagError,
    TransientError,
    UsageError,
)
from rag_pipelines.http.statuses import Meaning, Meanings, error_of_status
from rag_pipelines.http.throttle import retry_after
from rag_pipelines.query.hits import Hit
from rag_pipelines.query.stages import Asked, Candidate, StageOutcome, scale_min_max
from rag_pipelines.secrets.references import log_in

if TYPE_CHECKING:
    import httpx
    from sentence_transformers import CrossEncoder

MAX_ANSWER_BYTES = 4_000_000
"""More is not an answer to a thousand passages."""

_DENIED = Meaning(CredentialError, "check 'api_key'")
_WRONG = Meaning(UsageError, "check 'url', 'model' and 'provider'")
REFUSALS = Meanings(unauthorised=_DENIED, forbidden=_DENIED, missing=_WRONG, refused=_WRONG)


class Reranker(Protocol):
    """A model that scores passages by a question."""

    def scores(self, question: str, passages: Sequence[str], deadline: float) -> list[float]:
        """A finite score for each passage, in order; greater is better.

        Args:
            deadline: in seconds of `time.monotonic`.

        Raises:
            TransientError: it could not answer, or not before the deadline.
            RagError: it is not there, or refuses to answer.
        """
        ...

    def prepare(self) -> None:
        """Load what takes long, for a caller that would rather wait now. Raises `RagError`."""
        ...

    def close(self) -> None:
        """Let go of memory and connections."""
        ...


class Rerank:
    """Scores the best `depth` candidates with a model; the others follow in their old order."""

    name = "rerank"

    def __init__(self, settings: RerankSettings, reranker: Reranker) -> None:
        self._settings = settings
        self.depth = settings.depth
        self._reranker = reranker
        self._paused_until = 0.0

    def apply(self, asked: Asked, candidates: Sequence[Candidate]) -> StageOutcome:
        now = time.monotonic()
        if now < self._paused_until:
            raise TransientError(f"not asked for another {self._paused_until - now:.0f} s after a failure")
        pool, rest = candidates[: self.depth], candidates[self.depth :]
        passages = [passage_text(one.hit) for one in pool]
        try:
            raw = self._reranker.scores(asked.text, passages, now + self._settings.timeout_seconds)
        except RagError:
            self._paused_until = time.monotonic() + self._settings.pause.total_seconds()
            raise
        ordered = self._order(pool, raw)
        floor = ordered[-1].score
        below = [Candidate(one.hit, floor - rank) for rank, one in enumerate(rest, 1)]
        return StageOutcome([*ordered, *below], f"{len(pool)} of {len(candidates)} candidates scored")

    def _order(self, pool: Sequence[Candidate], raw: Sequence[float]) -> list[Candidate]:
        share = self._settings.weight
        final = list(raw)
        if share < 1:
            before = scale_min_max([one.score for one in pool])
            final = [
                share * own + (1 - share) * prior
                for own, prior in zip(scale_min_max(raw), before, strict=True)
            ]
        scored = [Candidate(one.hit, score) for one, score in zip(pool, final, strict=True)]
        return sorted(scored, key=lambda one: -one.score)


class LocalReranker:
    """A sentence-transformers cross-encoder from this machine's disk.

    It is loaded in the background at the first question, which, like those that follow, waits for it no
    longer than until its deadline.
    """

    def __init__(self, settings: RerankSettings) -> None:
        self._settings = settings
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="cross-encoder")
        self._model: Future[CrossEncoder] | None = None
        self._lock = threading.Lock()

    def scores(self, question: str, passages: Sequence[str], deadline: float) -> list[float]:
        model = self._wait_for_model(max(deadline - time.monotonic(), 0))
        size = self._settings.batch_size
        scores: list[float] = []
        for start in range(0, len(passages), size):
            if time.monotonic() > deadline:
                limit = self._settings.timeout_seconds
                raise TransientError(
                    f"{self._settings.model} had scored {start} of {len(passages)} passages "
                    f"after {limit:g} s; lower 'depth' or raise 'timeout_seconds'"
                )
            pairs = [(question, passage) for passage in passages[start : start + size]]
            try:
                found = model.predict(pairs, batch_size=size, show_progress_bar=False)
            except RuntimeError as error:
                raise TransientError(
                    f"{self._settings.model} failed on {len(pairs)} passages: {error}"
                ) from error
            scores.extend(float(score) for score in found)
        return _finite(scores, len(passages))

    def prepare(self) -> None:
        self._wait_for_model(None)

    def close(self) -> None:
        self._loader.shutdown()
        self._model = None

    def _wait_for_model(self, seconds: float | None) -> CrossEncoder:
        with self._lock:
            if self._model is None or (self._model.done() and self._model.exception()):
                self._model = self._loader.submit(self._load)
            loading = self._model
        try:
            return loading.result(seconds)
        except TimeoutError:
            raise TransientError(f"{self._settings.model} is still being loaded") from None

    def _load(self) -> CrossEncoder:
        folder = find_model(self._settings.model)
        from sentence_transformers import CrossEncoder

        device = None if self._settings.device == "auto" else self._settings.device
        try:
            return CrossEncoder(str(folder), num_labels=1, local_files_only=True, device=device)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(f"{str(folder)!r} is not a cross-encoder: {error}") from error


class ServiceReranker:
    """A reranking service: Cohere's protocol (Jina's is the same), or Text Embeddings Inference's."""

    def __init__(self, settings: RerankSettings) -> None:
        self._settings = settings
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def scores(self, question: str, passages: Sequence[str], deadline: float) -> list[float]:
        import httpx

        try:
            post = partial(self._post, self._request(question, passages), deadline)
            key = self._settings.api_key.get_secret_value() if self._settings.api_key else ""
            answer = log_in(key, post, lambda error: isinstance(error, CredentialError))
        except httpx.HTTPError as error:
            raise TransientError(
                f"{self._settings.url} gave no answer: {type(error).__name__} {error}"
            ) from error
        return _finite(self._read(answer, len(passages)), len(passages))

    def prepare(self) -> None:
        """Nothing takes long."""

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _request(self, question: str, passages: Sequence[str]) -> dict[str, Any]:
        if self._settings.provider == "tei":
            return {"query": question, "texts": list(passages), "truncate": True}
        return {
            "model": self._settings.model,
            "query": question,
            "documents": list(passages),
            "top_n": len(passages),
        }

    def _post(self, body: Mapping[str, Any], deadline: float, key: str) -> bytes:
        """The answer's body; the whole exchange ends at the deadline, however slowly bytes come."""
        assert self._settings.url is not None
        left = max(deadline - time.monotonic(), 0.001)
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **tracing.headers()}
        with self._http().stream(
            "POST", self._settings.url, json=body, headers=headers, timeout=left
        ) as response:
            received = bytearray()
            for piece in response.iter_bytes():
                received += piece
                if time.monotonic() > deadline:
                    raise TransientError(
                        f"{self._settings.url} had not finished after {self._settings.timeout_seconds:g} s"
                    )
                if len(received) > MAX_ANSWER_BYTES:
                    raise TransientError(
                        f"{self._settings.url} sent more than {MAX_ANSWER_BYTES:,} bytes, which is no ranking"
                    )
            if response.status_code != 200:
                raise _refusal(self._settings.url, response, bytes(received[:300]))
            return bytes(received)

    def _read(self, answer: bytes, expected: int) -> list[float]:
        """Scores in the order of the passages, from ``[{index, score}]`` or ``{results: [{index, ...}]}``."""
        field = "score" if self._settings.provider == "tei" else "relevance_score"
        try:
            decoded = msgspec.json.decode(answer)
            results = decoded if self._settings.provider == "tei" else decoded["results"]
            by_index = {int(one["index"]): float(one[field]) for one in results}
            return [by_index[at] for at in range(expected)]
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise TransientError(
                f"{self._settings.url} does not speak the protocol {self._settings.provider!r} "
                f"({type(error).__name__}: {error}); its answer begins {answer[:120]!r}"
            ) from error

    def _http(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                import httpx

                self._client = httpx.Client()
            return self._client


def make_reranker(settings: RerankSettings) -> Reranker:
    """The model of the settings; nothing is loaded or connected yet."""
    return LocalReranker(settings) if settings.provider == "cross-encoder" else ServiceReranker(settings)


def passage_text(hit: Hit) -> str:
    """What a reranker reads of a hit: title, section, the header of a table that was cut, text."""
    headings = " > ".join(heading for heading in hit.heading_path if heading != hit.title)
    return "\n".join(filter(None, (hit.title, headings, hit.context, hit.text)))


def _refusal(url: str, response: httpx.Response, body: bytes) -> RagError:
    said = f"{url} answered {response.status_code}: {body.decode('utf-8', 'replace')}"
    wait = retry_after(response.headers.get("Retry-After"), time)
    return error_of_status(response.status_code, said, wait, REFUSALS) or UsageError(f"{said}; check 'url'")


def _finite(scores: Sequence[float], expected: int) -> list[float]:
    if len(scores) != expected or not all(map(math.isfinite, scores)):
        raise TransientError(
            f"the reranker gave {len(scores)} scores for {expected} passages, not all of them numbers"
        )
    return list(scores)
