"""The settings of a Jira source.

What belongs here: options and their validation. What does not: how to reach a site (`atlassian_client`).
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, field_validator

from rag_pipelines.connectors.atlassian_client import AtlassianOptions
from rag_pipelines.connectors.jira.access import parse_holder
from rag_pipelines.connectors.jira.jql import check_filter


class JiraOptions(AtlassianOptions):
    """Which issues are listed, and what belongs to their content.

    Archived issues and projects are none of them: Jira's search does not find them, so their documents go
    as deleted ones do.

    ``security_levels`` says who is in an issue security level, for sites that do not tell: Data Center
    has no request for it, Cloud wants an administrator. It maps the name of a level to holders:
    ``group:legal``, ``role:Developers``, ``user:<account>``, ``reporter``, ``assignee``, ``lead``.
    """

    projects: tuple[str, ...] = Field((), description="keys of projects to include; none means every project")
    exclude_projects: tuple[str, ...] = Field(
        (), description="keys of projects to exclude; wins over projects"
    )
    jql: str | None = Field(None, description="only issues that this JQL finds; without ORDER BY")
    fields: tuple[str, ...] = Field(
        ("environment",), description="names or ids of fields whose values belong to the content of an issue"
    )
    comments: bool = Field(True, description="whether comments belong to the content")
    attachments: bool = Field(True, description="whether attachments are documents")
    max_bytes: int = Field(100_000_000, gt=0, description="a larger attachment is a failed document")
    security_levels: Mapping[str, tuple[str, ...]] = Field(
        {}, description="name of an issue security level to who is in it; only where Jira does not tell"
    )

    @field_validator("projects", "exclude_projects")
    @classmethod
    def _keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if any(not key.strip() for key in keys):
            raise ValueError("a project key is empty")
        return tuple(key.strip().upper() for key in keys)

    @field_validator("jql")
    @classmethod
    def _jql(cls, text: str | None) -> str | None:
        return text if text is None else check_filter(text)

    @field_validator("security_levels")
    @classmethod
    def _security_levels(cls, levels: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for holders in levels.values():
            for holder in holders:
                parse_holder(holder)
        return levels
