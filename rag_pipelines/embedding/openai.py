"""A remote model behind any endpoint that speaks OpenAI's embeddings protocol.

What belongs here: requests, their faults, and what they cost. What does not: time arithmetic
(`http.throttle`) and splitting a refused batch among many texts (`batch`).

Protocol: POST {base_url}/embeddings with ``{"model", "input": [...], "encoding_format": "base64"}``,
answered by ``{"data": [{"index", "embedding"}], "usage": {"total_tokens"}}``; an embedding is a list
of numbers or the base64 of little-endian float32. The key is a bearer token. With `api_version` Azure's form:
{base_url}/openai/deployments/{deployment}/embeddings?api-version=…, and the key in the header ``api-key``
(https://learn.microsoft.com/azure/ai-foundry/openai/reference).
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from rag_pipelines import logs, tracing
from rag_pipelines.chunking.base import Tokenizer
from rag_pipelines.embedding.base import ModelIdentity, Usage, normalise
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.embedding.tokenizer import TokenizerSpec, load_tokenizer
from rag_pipelines.errors import ConfigError, CredentialError, EmbeddingError, ThrottledError, TransientError
from rag_pipelines.fingerprint import sha256
from rag_pipelines.http.pacing import Quota
from rag_pipelines.http.statuses import Meaning, Meanings, error_of_status
from rag_pipelines.http.throttle import LONGEST_DELAY, Clock, backoff, retry_after
from rag_pipelines.secrets.references import log_in

log = logs.get(__name__)

if TYPE_CHECKING:
    import httpx

    from rag_pipelines.embedding.base import Vectors

BATCH_SIZE = 64
BATCH_TOKENS = 100_000
"""Tokens in one request; OpenAI takes 300,000, and the count here may be an estimate."""
MAX_TOKENS = 8_191
RESERVED_TOKENS = 2

_EXCERPT = 300
_DENIED = Meaning(CredentialError, "check 'api_key' and the model's permissions")
REFUSALS = Meanings(
    unauthorised=_DENIED,
    forbidden=_DENIED,
    missing=Meaning(ConfigError, "check 'base_url' and 'model', and 'deployment' at Azure"),
    refused=Meaning(EmbeddingError),
)


class OpenAIEmbedder:
    """A model at an OpenAI-compatible endpoint. Safe to share between threads.

    Args:
        profile: the endpoint, the model and its limits.
        clock: replaced in tests.
    """

    def __init__(self, profile: EmbeddingProfile, clock: Clock = time) -> None:
        assert profile.dimensions is not None
        self.usage = Usage()
        self._profile = profile
        self._clock = clock
        self._lock = threading.Lock()
        self._quotas = {
            name: Quota(f"{profile.base_url} {profile.model}", self._key, name, limit, self._clock)
            for name, limit in (
                ("requests", profile.requests_per_minute),
                ("tokens", profile.tokens_per_minute),
            )
            if limit is not None
        }
        self.identity = ModelIdentity(
            provider="openai",
            model=profile.model,
            weights=f"{profile.model}:{profile.dimensions}",
            dimensions=profile.dimensions,
            runtime="remote",
            precision="fp32",
            max_tokens=profile.max_tokens or MAX_TOKENS,
            query_prompt=profile.query_prompt or "",
            document_prompt=profile.document_prompt or "",
        )

    @cached_property
    def tokenizer_spec(self) -> TokenizerSpec:
        path, limit = self._profile.tokenizer, self.identity.max_tokens
        spec = TokenizerSpec("bytes", limit, RESERVED_TOKENS)
        if path:
            try:
                digest = sha256(path.read_bytes()).hex()[:32]
            except OSError as error:
                raise ConfigError(
                    f"cannot read the tokenizer {str(path)!r}: {error}; "
                    "give the path of a tokenizer.json or leave 'tokenizer' out"
                ) from error
            spec = TokenizerSpec("file", limit, RESERVED_TOKENS, str(path), digest)
        prompt_tokens = load_tokenizer(spec).count([self.identity.document_prompt])[0]
        return TokenizerSpec(spec.kind, limit, RESERVED_TOKENS + prompt_tokens, spec.path, spec.digest)

    @property
    def tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.tokenizer_spec)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._embed([self.identity.document_prompt + text for text in texts])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self._embed([self.identity.query_prompt + text])[0]

    def close(self) -> None:
        """Close the connections; the next text opens them again."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

    def _embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts that have their prompt, by as many requests at a time as the profile allows."""
        began = time.perf_counter()
        vectors = np.empty((len(texts), self.identity.dimensions), dtype=np.float32)
        counts = self.tokenizer.count(texts)
        texts = [self._cut(text, count) for text, count in zip(texts, counts, strict=True)]
        batches = list(self._batches([min(count, self.identity.max_tokens) for count in counts]))
        if len(batches) == 1:
            vectors[:] = self._request(texts, batches[0][1])
        else:
            with ThreadPoolExecutor(self._profile.concurrency) as pool:
                pending = [
                    (place, pool.submit(copy_context().run, self._request, texts[place], tokens))
                    for place, tokens in batches
                ]
                try:
                    for place, future in pending:
                        vectors[place] = future.result()
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
        with self._lock:
            self.usage.inputs += len(texts)
            self.usage.seconds += time.perf_counter() - began
        return vectors

    def _cut(self, text: str, tokens: int) -> str:
        """The text as far as the model can read it; endpoints refuse what is longer."""
        room = self.identity.max_tokens - RESERVED_TOKENS
        return text[: self.tokenizer.starts(text)[room]] if tokens > room else text

    def _batches(self, counts: Sequence[int]) -> Iterator[tuple[slice, int]]:
        """Neighbouring texts that go into one request, with their tokens."""
        begin = total = 0
        for end, count in enumerate(counts):
            full = end - begin == (self._profile.batch_size or BATCH_SIZE) or total + count > BATCH_TOKENS
            if full and end > begin:
                yield slice(begin, end), total
                begin, total = end, 0
            total += count
        if counts:
            yield slice(begin, len(counts)), total

    def _request(self, texts: Sequence[str], tokens: int) -> Vectors:
        """Vectors of one request, tried again while the fault may pass.

        Raises:
            EmbeddingError: the endpoint refuses these texts.
            CredentialError: it refuses the key.
            TransientError: it still fails after all tries, or asks for a longer wait than is sensible.
        """
        for attempt in range(1, self._profile.retries + 2):
            if "requests" in self._quotas:
                self._quotas["requests"].take(1)
            if "tokens" in self._quotas:
                self._quotas["tokens"].take(tokens)
            try:
                return log_in(self._key, partial(self._post, texts, tokens), _is_denied)
            except TransientError as error:
                asked = error.retry_after if isinstance(error, ThrottledError) else None
                delay = backoff(attempt) if asked is None else asked
                if attempt > self._profile.retries or delay > LONGEST_DELAY:
                    raise
                log.warning("request retried", attempt=attempt, wait=round(delay, 1), reason=str(error))
                self._clock.sleep(delay)
        raise AssertionError("unreachable")

    def _post(self, texts: Sequence[str], tokens: int, key: str) -> Vectors:
        """One try."""
        import httpx

        body: dict[str, Any] = {
            "model": self._profile.model,
            "input": list(texts),
            "encoding_format": "base64",
        }
        if self._profile.request_dimensions:
            body["dimensions"] = self.identity.dimensions
        try:
            headers = {**self._login(key), **tracing.headers()}
            response = self._client.post(self._path, params=self._query, headers=headers, json=body)
        except httpx.RequestError as error:
            raise TransientError(f"{self._where} cannot be reached: {type(error).__name__}") from error
        if response.status_code != httpx.codes.OK:
            raise self._refusal(response, len(texts), key)
        try:
            answer = response.json()
            vectors = self._vectors(answer["data"], len(texts))
        except (ValueError, KeyError, TypeError) as error:
            raise TransientError(
                f"{self._where} gave an answer that is not of the protocol: {error!r}"
            ) from error
        used = int((answer.get("usage") or {}).get("total_tokens") or tokens)
        with self._lock:
            self.usage.requests += 1
            self.usage.tokens += used
            self.usage.cost += used * self._profile.price_per_million_tokens / 1e6
        return vectors

    def _vectors(self, data: Sequence[dict[str, Any]], count: int) -> Vectors:
        """The embeddings of an answer in the order of the texts, at length 1."""
        dimensions = self.identity.dimensions
        if sorted(item["index"] for item in data) != list(range(count)):
            raise ValueError(f"{len(data)} embeddings came for {count} texts, or with wrong indexes")
        vectors = np.empty((count, dimensions), dtype=np.float32)
        for item in data:
            vector = _decode(item["embedding"])
            if vector.shape != (dimensions,):
                raise ConfigError(
                    f"{self._where} gave a vector of {vector.size} dimensions for model "
                    f"{self._profile.model!r}; the profile says {dimensions}: correct 'dimensions', or set "
                    "'request_dimensions: true' for a model that can shorten its vectors"
                )
            vectors[item["index"]] = vector
        return normalise(vectors)

    def _refusal(self, response: httpx.Response, count: int, key: str) -> Exception:
        """The error of an answer that is not 200; only the endpoint's own words are quoted."""
        status = response.status_code
        said = " ".join(response.text.split())[:_EXCERPT]
        if key:
            said = said.replace(key, "***")
        message = f"{self._where} answered {status} (for {count} texts): {said}"
        wait = retry_after(response.headers.get("Retry-After"), self._clock)
        return error_of_status(status, message, wait, REFUSALS) or ConfigError(f"{message}; check 'base_url'")

    @property
    def _key(self) -> str:
        return self._profile.api_key.get_secret_value() if self._profile.api_key else ""

    @property
    def _path(self) -> str:
        chosen = self._profile
        if chosen.api_version is None:
            return "embeddings"
        return f"openai/deployments/{quote(chosen.deployment or chosen.model, safe='')}/embeddings"

    @property
    def _query(self) -> dict[str, str]:
        return {"api-version": self._profile.api_version} if self._profile.api_version else {}

    def _login(self, key: str) -> dict[str, str]:
        if not key:
            return {}
        return {"api-key": key} if self._profile.api_version else {"Authorization": f"Bearer {key}"}

    @property
    def _where(self) -> str:
        url = urlsplit(self._profile.base_url)
        return f"the endpoint {url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        return httpx.Client(base_url=self._profile.base_url, timeout=self._profile.timeout_seconds)


def _is_denied(error: Exception) -> bool:
    return isinstance(error, CredentialError)


def _decode(embedding: str | Sequence[float]) -> NDArray[np.float32]:
    """A vector from a list of numbers or from base64 of little-endian float32."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), dtype="<f4")
    return np.asarray(embedding, dtype=np.float32)
