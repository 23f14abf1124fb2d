"""The settings of notifications: who is told that a run failed.

What belongs here: fields and their bounds. What does not: sending (`orchestration.notifications`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from rag_pipelines.config.section import Section

WebAddress = Annotated[str, Field(pattern=r"^https?://[^/\s]+")]


class SlackSettings(Section):
    """A channel of Slack, and the token of an app that may write there (``chat:write``)."""

    channel: str = Field(min_length=1)
    token: SecretStr


class TeamsSettings(Section):
    """The address that a workflow or a connector of a Teams channel gave."""

    url: SecretStr


class PagerDutySettings(Section):
    """The integration key of a service (Events API v2)."""

    routing_key: SecretStr


class EmailSettings(Section):
    """Whom to write to, and the mail server; `user` is `sender` by default, `port` that of `security`."""

    sender: str = Field(min_length=1)
    to: tuple[str, ...] = Field(min_length=1)
    password: SecretStr
    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65_535)
    security: Literal["ssl", "starttls"] = "ssl"
    user: str | None = None


class NotificationSettings(Section):
    """Who is told of a failed run in Dagster; nobody by default. `webserver` is its address, for links."""

    webserver: WebAddress | None = None
    slack: SlackSettings | None = None
    teams: TeamsSettings | None = None
    pagerduty: PagerDutySettings | None = None
    email: EmailSettings | None = None
