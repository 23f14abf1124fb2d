"""The settings of what the product tells other systems about its work: traces, and where data came from.

What belongs here: fields, defaults and bounds of `telemetry`. What does not: sending anything (`otlp`,
`monitoring.lineage`), and figures, which are asked for (`rag-pipelines metrics`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from rag_pipelines.config.section import Section
from rag_pipelines.config.values import Name, Share, from_config_folder
from rag_pipelines.otlp import Target


def _plain_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("a URL such as https://collector.example:4318")
    if url.username or url.password:
        raise ValueError("a URL without a login; logins go into 'headers', where they are never shown")
    return value


Url = Annotated[str, AfterValidator(_plain_url)]
Headers = dict[str, SecretStr]
"""Sent with every request; their values are never shown."""


class TraceSettings(Section):
    """Where spans go: an OTLP/HTTP receiver, by its base address. Without one none are made.

    `sample` is the share of traces that is kept where no caller has decided; `statements` is whether SQL has
    spans, named after its queries. What is left out here is taken from OpenTelemetry's own variables.
    """

    endpoint: Url | None = None
    headers: Headers = Field(default={})
    sample: Share | None = None
    statements: bool = True


class DatasetName(Section):
    """What OpenLineage knows data as."""

    namespace: str = Field(min_length=1)
    name: str = Field(min_length=1)


class LineageSettings(Section):
    """Where OpenLineage events go: to a file, a line an event, or to a receiver such as Marquez or DataHub.

    `namespace` is what jobs are filed under there. `sources` are the datasets that sources are known as to
    other systems; one that is not named is ``CONNECTOR://HOST`` and its name here.
    """

    file: Path | None = None
    url: Url | None = None
    endpoint: str = "api/v1/lineage"
    headers: Headers = Field(default={})
    namespace: str = Field(default="rag-pipelines", min_length=1)
    sources: dict[Name, DatasetName] = Field(default={})

    @field_validator("file")
    @classmethod
    def _absolute(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        return None if path is None else from_config_folder(path, info)

    @model_validator(mode="after")
    def _one_place(self) -> LineageSettings:
        if self.file is not None and self.url is not None:
            raise ValueError("either 'file' or 'url'")
        return self

    @property
    def is_on(self) -> bool:
        """Whether events are sent."""
        return (self.file or self.url) is not None


class TelemetrySettings(Section):
    """Traces by OpenTelemetry and lineage by OpenLineage; both are off until they have a place to go to.

    `service` and `environment` name this deployment in traces.
    """

    service: str | None = Field(default=None, min_length=1)
    environment: str | None = Field(default=None, min_length=1)
    traces: TraceSettings = TraceSettings()
    lineage: LineageSettings = LineageSettings()

    @property
    def target(self) -> Target:
        """Where spans go."""
        return Target(
            endpoint=self.traces.endpoint,
            headers={name: value.get_secret_value() for name, value in self.traces.headers.items()},
            sample=self.traces.sample,
            statements=self.traces.statements,
            service=self.service,
            environment=self.environment,
        )
