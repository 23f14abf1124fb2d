"""The settings of searches: the optional stages of an index, caches, and callers that nobody knows.

What belongs here: fields, defaults and bounds of `stages` (of an index) and `query`. What does not: what they
do, and settings of the search statement itself (`settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from rag_pipelines.config.section import Section
from rag_pipelines.config.values import Duration, Share
from rag_pipelines.parameters import Size

Phrase = Annotated[str, Field(min_length=1, max_length=200)]


class RewritingSettings(Section):
    """What is changed in a question before it is asked.

    `synonyms` are groups of words or phrases that mean the same; a question with one of a group is asked
    with the others as well. `spelling` mends words that the corpus does not know.
    """

    synonyms: tuple[tuple[Phrase, ...], ...] = ()
    spelling: bool = False

    @field_validator("synonyms")
    @classmethod
    def _of_two(cls, groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        for group in groups:
            if len({phrase.casefold() for phrase in group}) < 2:
                raise ValueError(f"a group of two or more different phrases, not {list(group)}")
        return groups


class RecencySettings(Section):
    """Newer documents first: after one `half_life`, half of the advantage is gone.

    `weight` is the share of a score that depends on age. A document without a date counts as one
    half-life old.
    """

    half_life: Duration = timedelta(days=365)
    weight: Share = 0.2

    @field_validator("half_life")
    @classmethod
    def _not_zero(cls, value: timedelta) -> timedelta:
        if not value:
            raise ValueError("a duration above zero")
        return value


class AuthorityRule(Section):
    """Documents that match everything given have their score multiplied by `factor`.

    `metadata` holds pairs that the document must have; where the document holds a list (its labels),
    one entry must be equal.
    """

    factor: float = Field(gt=0, le=10)
    source: str | None = None
    path_prefix: str | None = None
    metadata: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _names_something(self) -> AuthorityRule:
        if self.source is None and self.path_prefix is None and not self.metadata:
            raise ValueError("a rule needs 'source', 'path_prefix' or 'metadata', else it is for everything")
        return self


class BoostSettings(Section):
    """What makes a document count more or less whatever is asked; factors of all matching rules multiply."""

    recency: RecencySettings | None = None
    authority: tuple[AuthorityRule, ...] = ()


class RerankSettings(Section):
    """A model that reads question and passage together and orders the best `depth` candidates anew.

    `cross-encoder` is a sentence-transformers model on this machine, by name or folder; it is never
    fetched. `cohere`, `jina` and `tei` (Hugging Face Text Embeddings Inference) are the protocols of a
    service at `url`. `weight` is the model's share in the final score, the rest is the score before it.
    After `timeout_seconds` the search answers without it, and for `pause` it is not asked again.
    """

    provider: Literal["cross-encoder", "cohere", "jina", "tei"] = "cross-encoder"
    model: str = ""
    url: str | None = Field(default=None, pattern=r"^https?://")
    api_key: SecretStr | None = None
    depth: int = Field(default=50, ge=1, le=1000)
    weight: Share = 1.0
    batch_size: int = Field(default=16, ge=1, le=512)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    timeout_seconds: float = Field(default=2.0, gt=0, le=60)
    pause: Duration = timedelta(seconds=10)

    @model_validator(mode="after")
    def _fits_provider(self) -> RerankSettings:
        if self.provider == "cross-encoder":
            if self.url or self.api_key:
                raise ValueError("provider 'cross-encoder' runs here and takes no 'url' or 'api_key'")
        elif not self.url:
            raise ValueError(f"provider {self.provider!r} needs 'url', the address of its rerank endpoint")
        if not self.model and self.provider != "tei":
            raise ValueError(f"provider {self.provider!r} needs 'model'")
        return self


class DiversitySettings(Section):
    """Maximal marginal relevance: `relevance` 1 leaves the order as it is, 0 looks at novelty only.

    The best `depth` candidates are ordered anew.
    """

    relevance: Share = 0.8
    depth: int = Field(default=50, ge=2, le=1000)


class NeighbourSettings(Section):
    """How much text around a passage comes with it.

    `before` and `after` count chunks. `section` adds what else stands under the same heading, nearest
    first. No passage grows beyond `max_tokens` (of the embedding model).
    """

    before: int = Field(default=1, ge=0, le=20)
    after: int = Field(default=1, ge=0, le=20)
    section: bool = False
    max_tokens: int = Field(default=800, ge=1)


class StageSettings(Section):
    """The stages of a search, in the order in which they run; all but `precedence` only where they are given.

    `precedence` puts a document that is outdated by its metadata, or beside one of a later year, behind its
    successor, and the year that a question names first. `per_document` limits the hits of one document.
    """

    rewriting: RewritingSettings | None = None
    precedence: bool = True
    boosts: BoostSettings | None = None
    rerank: RerankSettings | None = None
    diversity: DiversitySettings | None = None
    per_document: int | None = Field(default=None, ge=1)
    neighbours: NeighbourSettings | None = None


class CacheSettings(Section):
    """How much of earlier searches each index keeps in memory; 0 keeps nothing.

    `embeddings` are the vectors of questions. `results` are whole answers: they are given again only to the
    same principals, and only while nothing has changed that decides what is visible, which each search asks
    the database. `max_age` bounds what depends on the time, such as boosts of recent documents.
    """

    embeddings: Size = Field(default=16_000_000, ge=0)
    results: Size = Field(default=0, ge=0)
    max_age: Duration = timedelta(minutes=10)


class QuerySettings(Section):
    """All searches.

    `unknown_user` is what a caller sees none of whose principals is known to a group or a rule of the tenant:
    what is `public`, or `nothing`.
    """

    unknown_user: Literal["public", "nothing"] = "public"
    cache: CacheSettings = CacheSettings()
