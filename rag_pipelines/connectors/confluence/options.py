"""The settings of a Confluence source, and the position from which its changes are followed.

What belongs here: options and cursor. What does not: how to reach a site (`AtlassianOptions`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from pydantic import Field, field_validator

from rag_pipelines.connectors.atlassian_client import AtlassianOptions
from rag_pipelines.connectors.confluence.content import ATTACHMENT, BLOG_POST, COMMENT, PAGE
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.stored import Form


class ConfluenceOptions(AtlassianOptions):
    """Settings of a Confluence source."""

    spaces: tuple[str, ...] = Field((), description="keys of spaces to include; none means all")
    exclude_spaces: tuple[str, ...] = Field((), description="keys of spaces to exclude; wins over spaces")
    roots: tuple[str, ...] = Field(
        (), description="ids of pages: only they and what is below them; blog posts are below nothing"
    )
    labels: tuple[str, ...] = Field((), description="only pages and posts with one of these labels")
    exclude_labels: tuple[str, ...] = Field(
        (), description="no pages and posts with one of these labels; wins over labels"
    )
    blog_posts: bool = Field(True, description="whether blog posts are documents")
    comments: bool = Field(True, description="whether comments are documents of their own")
    attachments: bool = Field(True, description="whether attached files are documents")
    archived: bool = Field(False, description="whether archived pages and spaces are listed")
    drafts: bool = Field(False, description="whether unpublished drafts are listed")
    max_bytes: int = Field(50_000_000, gt=0, description="a larger attachment is a failed document")
    emails: Literal["visible", "none"] = Field(
        "visible", description="visible: accounts stand for the e-mail addresses that Confluence shows"
    )
    email_template: str | None = Field(
        None, description="address of an account that shows none: {username}@example.com"
    )
    page_size: int = Field(
        250, ge=1, le=250, description="entries asked for at once; the server may give fewer"
    )
    overlap: float = Field(
        60.0, ge=0, description="minutes an incremental poll goes back, for a search index that lags"
    )

    @field_validator("roots")
    @classmethod
    def _roots(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [value for value in values if not value.isdecimal()]:
            raise ValueError(f"{wrong[0]!r} is not the id of a page: a number, as in its URL")
        return values

    @field_validator("spaces", "exclude_spaces")
    @classmethod
    def _keys(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [value for value in values if not value or any(c in value for c in '"\\/ ')]:
            raise ValueError(f"{wrong[0]!r} is not the key of a space, such as HR or ~557058")
        return values

    @field_validator("email_template")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        if value is not None and (value.count("{username}") != 1 or "@" not in value):
            raise ValueError("must be an address with {username} in it, such as {username}@example.com")
        return value

    @property
    def statuses(self) -> tuple[str, ...]:
        """Of pages and posts that are documents."""
        return ("current", *(("archived",) * self.archived), *(("draft",) * self.drafts))

    def chooses(self, space: str) -> bool:
        """Whether a space is wanted, by its key."""
        return (not self.spaces or space in self.spaces) and space not in self.exclude_spaces

    def chooses_kind(self, kind: str) -> bool:
        """Whether contents of a type are documents."""
        wanted = {
            PAGE: True,
            BLOG_POST: self.blog_posts,
            COMMENT: self.comments,
            ATTACHMENT: self.attachments,
        }
        return wanted.get(kind, False)

    def chooses_labels(self, labels: tuple[str, ...]) -> bool:
        """Whether something with these labels is wanted."""
        return not set(self.exclude_labels).intersection(labels) and (
            not self.labels or bool(set(self.labels).intersection(labels))
        )

    def selection(self) -> str:
        """A fingerprint of what decides which documents there are and what is said of them."""
        described = ConfluenceOptions.model_fields.keys() - AtlassianOptions.model_fields.keys()
        return fingerprint(
            self.model_dump(mode="json", include={*described, "url", "deployment", "directory"})
        )


class ConfluenceCursor(msgspec.Struct, frozen=True):
    """Up to when each space was listed, by its key, and a fingerprint of the options it was listed with.

    A position is the time of the newest change seen, as the server gave it. A space without one is
    listed from the beginning.
    """

    options: str
    positions: dict[str, datetime]


CURSOR = Form("cursor of confluence", ConfluenceCursor)
