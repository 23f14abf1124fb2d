"""The embedding profile: which model, how it is run, and for remote models where and how fast.

What belongs here: the settings and their checks. What does not: anything that loads a model; this
module is imported by the configuration and stays light.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

_OWN_FIELDS = {
    "sentence-transformers": {"runtime", "precision", "device", "batch_size", "allow_download", "dimensions"},
    "openai": {
        "base_url", "api_key", "api_version", "deployment", "dimensions", "request_dimensions", "max_tokens",
        "tokenizer", "batch_size",
        "concurrency", "requests_per_minute", "tokens_per_minute", "price_per_million_tokens",
        "timeout_seconds", "retries",
    },
    "hash": {"dimensions", "max_tokens"},
}  # fmt: skip
_SHARED_FIELDS = {"provider", "model", "query_prompt", "document_prompt", "adapter"}
_DEFAULT_MODELS = {"sentence-transformers": "all-MiniLM-L6-v2", "hash": "sha512"}


class EmbeddingProfile(BaseModel):
    """The parameters of an embedding model.

    `sentence-transformers` takes `runtime`, `precision`, `device`, `batch_size`, `allow_download` and
    `dimensions`, to which its vectors are cut; only a model that was trained for it is still good then;
    `openai` (any endpoint that speaks its protocol) takes the rest; `hash` (no model, for tests and for
    measuring everything else) takes `dimensions` and `max_tokens`. Prompts left out are the model's own.
    Vectors are always normalised to length 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    provider: Literal["sentence-transformers", "openai", "hash"] = "sentence-transformers"
    model: str = Field(default="", description="Name or folder of the model; all-MiniLM-L6-v2 by default.")
    query_prompt: str | None = Field(default=None, description="Prefix of every query.")
    document_prompt: str | None = Field(default=None, description="Prefix of every passage.")
    adapter: Path | None = Field(
        default=None, description="A folder that `rag-pipelines eval adapt` has made, for queries."
    )
    batch_size: int = Field(
        default=0, ge=0, le=2048, description="Batch size; 0 means the provider's default."
    )

    runtime: Literal["auto", "openvino", "torch"] = "auto"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    allow_download: bool = Field(default=False, description="Whether a model may be fetched from its hub.")

    base_url: str = Field(default="https://api.openai.com/v1", pattern=r"^https?://")
    api_key: SecretStr | None = None
    api_version: str | None = Field(
        default=None,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$",
        description="Of Azure OpenAI, whose own form of requests is used then.",
    )
    deployment: str | None = Field(
        default=None, min_length=1, description="Name of the model's deployment in Azure; by default `model`."
    )
    dimensions: int | None = Field(default=None, ge=1, le=16_000)
    request_dimensions: bool = Field(
        default=False,
        description="Send `dimensions` with each request, for a model that can shorten its vectors.",
    )
    max_tokens: int | None = Field(default=None, ge=16, description="The model's own limit on one input.")
    tokenizer: Path | None = Field(
        default=None, description="A tokenizer.json of the remote model; else tokens are estimated."
    )
    concurrency: int = Field(default=4, ge=1, le=64)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    price_per_million_tokens: float = Field(default=0.0, ge=0)
    timeout_seconds: float = Field(default=60.0, gt=0)
    retries: int = Field(default=6, ge=0, le=20)

    @model_validator(mode="before")
    @classmethod
    def _default_model(cls, values: object) -> object:
        if isinstance(values, dict) and not values.get("model"):
            provider = values.get("provider", "sentence-transformers")
            return {**values, "model": _DEFAULT_MODELS.get(str(provider), "")}
        return values

    @model_validator(mode="after")
    def _fits_provider(self) -> EmbeddingProfile:
        own = _OWN_FIELDS[self.provider]
        strangers = sorted(self.model_fields_set - own - _SHARED_FIELDS)
        if strangers:
            raise ValueError(
                f"provider {self.provider!r} does not take {', '.join(strangers)}; "
                f"it takes {', '.join(sorted(own | _SHARED_FIELDS))}"
            )
        if not self.model:
            raise ValueError(f"provider {self.provider!r} needs 'model', the model's name at the endpoint")
        if self.provider == "openai" and self.dimensions is None:
            raise ValueError("provider 'openai' needs 'dimensions', the length of the model's vectors")
        if self.deployment is not None and self.api_version is None:
            raise ValueError("'deployment' is Azure's; give 'api_version' too, such as 2024-10-21")
        if self.runtime == "openvino" and self.device == "cuda":
            raise ValueError(
                "runtime 'openvino' runs on the processor; use runtime 'torch' for device 'cuda'"
            )
        return self
