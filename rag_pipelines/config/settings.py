"""The shape of the configuration file, as frozen pydantic models.

What belongs here: fields, defaults, bounds and look-ups by name. What does not: reading the file,
environment references, wording of problems.

Every model refuses unknown keys. Durations are `datetime.timedelta`, sizes are bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    SerializeAsAny,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.config.automation import AutomationSettings
from rag_pipelines.config.canary import CanarySettings
from rag_pipelines.config.database import DatabaseSettings
from rag_pipelines.config.duplicates import DuplicateSettings
from rag_pipelines.config.execution import ExecutionSettings
from rag_pipelines.config.governance import ErasureSettings, LabelSettings, RetentionSettings
from rag_pipelines.config.kpis import KpiSettings
from rag_pipelines.config.losses import LossSettings
from rag_pipelines.config.notifications import NotificationSettings
from rag_pipelines.config.quality import QualityBounds
from rag_pipelines.config.query import QuerySettings, StageSettings
from rag_pipelines.config.section import Section
from rag_pipelines.config.serving import ServingSettings
from rag_pipelines.config.suites import QualitySettings
from rag_pipelines.config.telemetry import TelemetrySettings
from rag_pipelines.config.triggers import TriggerSettings
from rag_pipelines.config.values import (
    Access,
    Cron,
    Duration,
    LanguageCode,
    Name,
    NamesOrAll,
    Owner,
    Share,
    TextSearchConfig,
    from_config_folder,
)
from rag_pipelines.embedding.prepared import user_cache
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import RagError, UsageError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.parameters import Size
from rag_pipelines.parsing.base import ParseLimits, ParseOptions
from rag_pipelines.privacy.profile import PrivacyProfile

if TYPE_CHECKING:
    from rag_pipelines.connectors.base import Connector

T = TypeVar("T")


class BlobSettings(Section):
    """Where raw bytes and parsed blocks are kept: any fsspec URL; by default a folder of `data_dir`.

    `storage_options` and `storage_secrets` are passed to the fsspec driver; the latter are never shown.
    """

    url: str | None = None
    storage_options: dict[str, Any] = Field(default={}, repr=False)
    storage_secrets: dict[str, SecretStr] = Field(default={})

    @property
    def driver_options(self) -> dict[str, Any]:
        """Both, in plain text."""
        secrets = {name: secret.get_secret_value() for name, secret in self.storage_secrets.items()}
        return {**self.storage_options, **secrets}


class LimitSettings(Section):
    """How much one run takes at once, and what one document may cost.

    `access_principals` is how many principals one access rule may name; a larger rule is closed.
    `build_memory` is what the graph of a vector index may take of the database's memory while it is built,
    by default a quarter of this machine's for the embedded server, else 2 GiB; a larger graph is built on
    disk, some ten times slower. Without
    `sandbox` documents are parsed in the process of the run, where `parse.seconds` and `parse.memory_mb`
    bound nothing: for debugging a parser, never for documents that are not trusted.
    """

    workers: int | None = Field(default=None, ge=1)
    sandbox: bool = True
    batch_documents: int = Field(default=64, ge=1)
    batch_bytes: Size = Field(default=16_000_000, ge=1)
    access_principals: int = Field(default=10_000, ge=1)
    build_memory: Size | None = Field(default=None, ge=2**20)
    parse: ParseLimits = ParseLimits()

    @property
    def worker_count(self) -> int:
        """The number of parser processes: `workers`, or the cores this process may use."""
        if self.workers:
            return self.workers
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _with_default(kind: Callable[[], Any]) -> AfterValidator:
    """Adds the profile ``default``, unless the file has one of its own."""
    return AfterValidator(lambda profiles: {"default": kind(), **profiles})


class Profiles(Section):
    """The named parameters of each stage; each kind has a profile `default` unless the file redefines it, but
    for `privacy`: documents are screened where their source names a profile."""

    model_config = ConfigDict(validate_default=True)

    parsing: Annotated[dict[Name, ParseOptions], _with_default(ParseOptions)] = Field(default_factory=dict)
    chunking: Annotated[dict[Name, ChunkOptions], _with_default(ChunkOptions)] = Field(default_factory=dict)
    embedding: Annotated[dict[Name, EmbeddingProfile], _with_default(EmbeddingProfile)] = Field(
        default_factory=dict
    )
    privacy: dict[Name, PrivacyProfile] = Field(default_factory=dict)


class DeleteGuard(Section):
    """Deletions above both numbers are parked for a person instead of being applied."""

    share: Share = 0.2
    documents: int = Field(default=20, ge=0)


class MonthBudget(Section):
    """The most that all runs of a month may take, by UTC: tokens to embed, and their cost."""

    tokens: int | None = Field(default=None, ge=0)
    cost: float | None = Field(default=None, ge=0)


class Budget(Section):
    """The most that one run may take without being asked: documents added or changed, tokens to embed, and
    their cost by the embedding profile's price. A plan above any of them is parked, and so is one with which
    a `month` would take more than it may."""

    documents: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    cost: float | None = Field(default=None, ge=0)
    month: MonthBudget = MonthBudget()

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self != Budget()


class QuarantineSettings(Section):
    """How many documents (a number or a share) may be in quarantine, and how long, before a check warns.

    A document whose newer bytes cannot be read keeps the text of its earlier ones for `keep_text`.
    """

    documents: Annotated[int, Field(ge=0)] | Share = 0.1
    age: Duration = timedelta(days=14)
    keep_text: Duration = timedelta(days=90)


class SourceSettings(Section):
    """One configured instance of a connector, and how its documents are treated.

    `privacy` names the profile by which personal data and secrets are found in them.
    `full_listing` is how long a change feed that cannot name deletions may go without a full listing,
    `group_listing` how old the members of groups may become before they are listed again.
    """

    connector: str
    options: Annotated[SerializeAsAny[BaseModel], WithJsonSchema({"type": "object"})] = Field(
        default_factory=dict, validate_default=True
    )
    tenant: str = Field(default="default", min_length=1)
    access: Access = Field(default="closed", validate_default=True)
    parsing: str = "default"
    privacy: str | None = None
    freshness: Duration = timedelta(hours=24)
    full_listing: Duration = timedelta(hours=24)
    group_listing: Duration = timedelta(hours=1)
    schedule: Cron | None = None
    triggers: TriggerSettings = TriggerSettings()
    delete_guard: DeleteGuard = DeleteGuard()
    budget: Budget = Budget()
    grace: Duration = timedelta(days=7)
    max_attempts: int = Field(default=3, ge=1)
    quarantine: QuarantineSettings = QuarantineSettings()
    losses: LossSettings = LossSettings()
    labels: LabelSettings | None = None
    retention: RetentionSettings | None = None
    sensitivity: Literal["normal", "high"] = "normal"
    approval: Literal["required", "none"] | None = None
    owner: Owner | None = None

    @property
    def policy_key(self) -> str:
        """Equal as long as labels and retention are; empty without either."""
        policy = [one and one.model_dump(mode="json") for one in (self.labels, self.retention)]
        return fingerprint(policy) if any(policy) else ""

    @property
    def needs_approval(self) -> bool:
        """Whether a person approves its first plan: where `approval` says so, else where it is sensitive."""
        return self.approval == "required" or (self.approval is None and self.sensitivity == "high")

    @field_validator("connector")
    @classmethod
    def _check_connector(cls, kind: str) -> str:
        from rag_pipelines.connectors.registry import connector_class, kinds

        try:
            connector_class(kind)
        except RagError as error:
            known = kinds()
            raise ValueError(str(error) if kind in known else ", ".join(known)) from None
        return kind

    @field_validator("options", mode="before")
    @classmethod
    def _connector_options(cls, options: Any, info: ValidationInfo) -> Any:
        from rag_pipelines.connectors.base import Options
        from rag_pipelines.connectors.registry import connector_class

        kind = info.data.get("connector")
        if kind is None:
            return Options()
        return connector_class(kind).options_type.model_validate(options, context=info.context)


WantedKind = Literal["hnsw", "hnsw_binary", "exact", "auto"]


class VectorSettings(Section):
    """How vectors are stored and found. `halfvec` is 16-bit, `vector` 32-bit floats.

    `hnsw` is a graph of the vectors, and `hnsw_binary` one of their signs, of which far more candidates
    than are wanted are compared by the vectors themselves; `exact` has no graph and compares everything
    that the caller may see. `auto` chooses in each full build: `exact` for few rows, else `hnsw`, and
    `hnsw_binary` where that does not fit `limits.build_memory`.
    """

    type: Literal["halfvec", "vector"] = "halfvec"
    index: WantedKind = "hnsw"
    m: int = Field(default=16, ge=2, le=100)
    ef_construction: int = Field(default=128, ge=4, le=1000)
    ef_search: int = Field(default=200, ge=1, le=1000)


class LexicalSettings(Section):
    """BM25 parameters, and the Postgres text search configurations that stem and drop stop words.

    `languages` are further ones by ISO 639 code. A chunk is read in the language of these that its document
    declares, else in the one of all whose stop words it has most of, and where that does not tell in
    `language`. So is a question, but in all between which its stop words do not tell.
    """

    language: TextSearchConfig = "english"
    languages: dict[LanguageCode, TextSearchConfig] = Field(default_factory=dict)
    k1: float = Field(default=1.2, ge=0)
    b: Share = 0.75

    @property
    def configurations(self) -> list[str]:
        """Every text search configuration in use, `language` first."""
        return list(dict.fromkeys([self.language, *self.languages.values()]))


class FusionSettings(Section):
    """How dense and lexical scores become one. `candidates` is taken from each side before fusing."""

    method: Literal["weighted", "rrf"] = "weighted"
    dense_weight: Share = 0.5
    rrf_k: int = Field(default=60, ge=1)
    candidates: int = Field(default=50, ge=1, le=1000)


class GateSettings(Section):
    """What a version must show before it may go live. One that caught up is judged by what changed, until a
    version was last judged in whole `whole_every` ago, or `whole_share` of its documents changed since."""

    min_recall: Share = 0.95
    recall_sample: int = Field(default=50, ge=1)
    max_chunk_drop: Share = 0.2
    max_missing_share: Share = 0.0
    norm_tolerance: float = Field(default=0.01, gt=0)
    whole_every: Duration = timedelta(days=7)
    whole_share: Share = 0.1
    quality: QualityBounds = QualityBounds()


class KeepSettings(Section):
    """Which retired versions stay for rollback: the newest `versions`, and any younger than `age`.

    `spare` is whether a copy is made of a version that was built in full, from which the next refresh
    catches up, where that would build in full too.
    """

    versions: int = Field(default=2, ge=0)
    age: Duration = timedelta(days=7)
    spare: bool = True


class GarbageSettings(Section):
    """A collection looks at what lost a reference, and at all content where none did so for `whole_every`."""

    whole_every: Duration = timedelta(days=7)


class PartSettings(Section):
    """How the vectors of a version are divided: those of some `tenants` are a part each, which only searches
    for that tenant read, and the others lie in so many parts by the `hash` of their document."""

    hash: int = Field(default=1, ge=1, le=64)
    tenants: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), max_length=64)

    @field_validator("tenants")
    @classmethod
    def _once(cls, tenants: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({one for one in tenants if tenants.count(one) > 1}):
            raise ValueError(f"{', '.join(twice)} is named more than once; name each tenant once")
        return tenants


def _parts(given: Any) -> Any:
    """A number alone is that of the parts by hash."""
    return given if isinstance(given, Mapping | PartSettings) else {"hash": given}


class IndexSettings(Section):
    """A named retrieval target over some sources. `golden` is the set that its versions are judged by.

    The vectors of a version are divided into `parts`, each with a graph of its own: as many of these are
    built at a time as `limits.build_memory` holds.
    """

    sources: NamesOrAll
    chunking: str = "default"
    embedding: str = "default"
    vector: VectorSettings = VectorSettings()
    lexical: LexicalSettings = LexicalSettings()
    fusion: FusionSettings = FusionSettings()
    stages: StageSettings = StageSettings()
    duplicates: DuplicateSettings | None = None
    gates: GateSettings = GateSettings()
    golden: Path | None = None
    canary: CanarySettings = CanarySettings()
    parts: Annotated[PartSettings, BeforeValidator(_parts, json_schema_input_type=int | PartSettings)] = (
        PartSettings()
    )
    full_build_share: Share = 0.3
    keep: KeepSettings = KeepSettings()
    freshness: Duration = timedelta(hours=24)
    owner: Owner | None = None

    @field_validator("golden")
    @classmethod
    def _absolute(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        return None if path is None else from_config_folder(path, info)


class Settings(Section):
    """The whole configuration, valid and complete. Relative paths are already resolved."""

    data_dir: Path = Field(default=Path(".rag"), validate_default=True)
    model_cache: Path | None = Field(
        default=None,
        description="where converted models are kept; by default in `data_dir`, and with the embedded "
        "database in the user's cache, which all data folders of a user share",
    )
    database: DatabaseSettings = DatabaseSettings()
    blobs: BlobSettings = BlobSettings()
    limits: LimitSettings = LimitSettings()
    execution: ExecutionSettings = ExecutionSettings()
    automation: AutomationSettings = AutomationSettings()
    profiles: Profiles = Profiles()
    sources: dict[Name, SourceSettings] = Field(default_factory=dict)
    indexes: dict[Name, IndexSettings] = Field(default_factory=dict)
    quality: QualitySettings = QualitySettings()
    garbage: GarbageSettings = GarbageSettings()
    erasure: ErasureSettings = ErasureSettings()
    query: QuerySettings = QuerySettings()
    serving: ServingSettings = ServingSettings()
    kpis: KpiSettings = KpiSettings()
    notifications: NotificationSettings = NotificationSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @field_validator("data_dir", "model_cache")
    @classmethod
    def _absolute(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        return None if path is None else from_config_folder(path, info)

    @property
    def shared_models(self) -> Path | None:
        """Where converted models are kept beside other data folders', if they are. A data folder without the
        embedded database may be a volume that outlives its machine's home."""
        return self.model_cache or (user_cache() if self.database.url is None else None)

    @property
    def postgres_dir(self) -> Path:
        """The folder of the embedded server."""
        return self.data_dir / "postgres"

    @property
    def blobs_url(self) -> str:
        """The fsspec URL of the blob store."""
        return self.blobs.url or f"file://{self.data_dir / 'blobs'}"

    def source(self, name: str) -> SourceSettings:
        """The source `name`. Raises `UsageError` with the valid names."""
        return named("source", self.sources, name)

    def index(self, name: str) -> IndexSettings:
        """The index `name`. Raises `UsageError` with the valid names."""
        return named("index", self.indexes, name)

    def connector_options(self, source: str) -> Any:
        """The validated options of a source, an instance of its connector's `options_type`."""
        return self.source(source).options

    def connector(self, source: str) -> Connector:
        """The connector of a source, of which nothing is opened yet."""
        from rag_pipelines.connectors.registry import make_connector

        options = self.connector_options(source)
        given = {name: getattr(options, name) for name in options.model_fields_set}
        return make_connector(source, self.source(source).connector, given, data_dir=self.data_dir)

    def sources_of(self, index: str) -> dict[str, SourceSettings]:
        """The sources that feed `index`, in the file's order."""
        wanted = self.index(index).sources
        if "*" in wanted:
            return dict(self.sources)
        return {name: self.source(name) for name in wanted}

    def indexes_of(self, source: str) -> dict[str, IndexSettings]:
        """The indexes that `source` feeds, in the file's order."""
        self.source(source)
        return {n: i for n, i in self.indexes.items() if "*" in i.sources or source in i.sources}

    def parse_options(self, source: str) -> ParseOptions:
        """The parsing profile of a source."""
        return named("parsing profile", self.profiles.parsing, self.source(source).parsing)

    def privacy(self, source: str) -> PrivacyProfile | None:
        """The privacy profile of a source, if it has one."""
        name = self.source(source).privacy
        return None if name is None else named("privacy profile", self.profiles.privacy, name)

    def label_privacy(self, source: str) -> PrivacyProfile | None:
        """The privacy profile of those documents of a source that are masked by their label, if any are."""
        labels = self.source(source).labels
        name = None if labels is None else labels.privacy
        return None if name is None else named("privacy profile", self.profiles.privacy, name)

    def chunk_options(self, index: str) -> ChunkOptions:
        """The chunking profile of an index."""
        return named("chunking profile", self.profiles.chunking, self.index(index).chunking)

    def embedding_profile(self, index: str) -> EmbeddingProfile:
        """The embedding profile of an index."""
        return named("embedding profile", self.profiles.embedding, self.index(index).embedding)


def named(what: str, known: Mapping[str, T], name: str) -> T:
    """The one of `known` by its name; `what` says what they are. Raises `UsageError` with the valid names."""
    if name in known:
        return known[name]
    valid = ", ".join(known) or "none is configured"
    raise UsageError(f"there is no {what} {name!r}; valid: {valid}")
