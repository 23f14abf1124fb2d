"""What a sender may say of documents, and what it is told of them, with examples for OpenAPI.

What belongs here: shapes and bounds. What does not: the routes (`push`), and taking what is sent
(`store.inbox`).
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rag_pipelines.connectors.push import Pushed
from rag_pipelines.connectors.sidecars import Access, Sidecar, check_sidecar, narrow
from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import AccessRule
from rag_pipelines.serving.schema import Model, Moment, Plain, Text
from rag_pipelines.store.inbox import Action, Sending, State

MAX_ID = 1_000
MAX_BATCH = 500
"""Documents of one batch."""

VISIBLE = r"^[\x21-\x7e]+$"

Identity = Annotated[
    Text,
    Field(min_length=1, max_length=MAX_ID, description="The document's id at its system."),
]
Key = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=VISIBLE,
        description="Of the sender, for one sending: the same again with the same key is taken once.",
    ),
]
Principals = Annotated[list[Annotated[Text, Field(min_length=1, max_length=500)]], Field(max_length=1_000)]


def _decodes(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("base64 (RFC 4648, section 4) with its padding") from None
    return text


Encoded = Annotated[
    str,
    AfterValidator(_decodes),
    Field(
        json_schema_extra={"pattern": r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"},
    ),
]


class PushedAccess(Model):
    """Who may see the document: any of `allow` and one of each list of `all_of`, or everybody of the tenant
    where `public`; none of `deny`."""

    allow: Principals | None = None
    all_of: list[Principals] | None = Field(default=None, min_length=1, max_length=20)
    deny: Principals = Field(default=[])
    public: bool = False

    @model_validator(mode="after")
    def _checked(self) -> PushedAccess:
        try:
            check_sidecar(self._sidecar)
            if narrow(Access(), self._sidecar).rule is None:
                raise ValueError("'allow', 'all_of' or 'public: true'")
        except CorruptDocumentError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def _sidecar(self) -> Sidecar:
        allow = None if self.allow is None else tuple(self.allow)
        all_of = None if self.all_of is None else tuple(map(tuple, self.all_of))
        return Sidecar(allow=allow, all_of=all_of, deny=tuple(self.deny), public=self.public)

    @property
    def rule(self) -> AccessRule | None:
        """The same, as documents have it."""
        return narrow(Access(), self._sidecar).rule


class PushedDocument(Model):
    """A document: its content as `text` or as `base64`, and what is known of it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "oneOf": [
                {"required": ["text"], "properties": {"text": {"type": "string"}}},
                {"required": ["base64"], "properties": {"base64": {"type": "string"}}},
            ],
            "examples": [
                {
                    "text": "# Leave\n\nThirty days.",
                    "media_type": "text/markdown",
                    "path": "handbook/leave.md",
                    "title": "Leave",
                    "url": "https://intranet.example/leave",
                    "modified_at": "2026-03-01T12:00:00Z",
                    "metadata": {"department": "hr"},
                    "access": {"allow": ["group:employees"]},
                }
            ],
        },
    )

    text: Text | None = Field(default=None, description="The content, where it is text.")
    base64: Encoded | None = Field(default=None, description="The content, where it is bytes.")
    media_type: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$",
        description="What the content is, such as application/pdf; it is looked at all the same.",
    )
    path: Annotated[Text, Field(min_length=1, max_length=1_000)] | None = Field(
        default=None, description="The place where people look for it; by default its id."
    )
    title: Annotated[Text, Field(max_length=1_000)] | None = None
    url: Annotated[str, Field(max_length=2_000, pattern=r"^https?://[\x21-\x7e]+$")] | None = Field(
        default=None, description="Where people read it."
    )
    author: Annotated[Text, Field(max_length=500)] | None = None
    modified_at: Moment | None = Field(default=None, description="By default when it was sent.")
    metadata: dict[Annotated[Text, Field(min_length=1, max_length=200)], Plain] = Field(
        default={}, max_length=100, description="What filters may ask for."
    )
    access: PushedAccess | None = Field(
        default=None, description="Who may see it; by default whom the source's `access` lets."
    )

    @model_validator(mode="after")
    def _has_content(self) -> PushedDocument:
        if (self.text is None) == (self.base64 is None):
            raise ValueError("either 'text' or 'base64'")
        return self

    @property
    def content(self) -> bytes:
        """The content, as bytes."""
        return base64.b64decode(self.base64) if self.base64 is not None else (self.text or "").encode()

    def sending(self, identity: str, key: str) -> Sending:
        """The same as the inbox takes it."""
        pushed = Pushed(
            path=self.path or identity,
            url=self.url,
            title=self.title,
            media_type=self.media_type,
            modified_at=self.modified_at,
            author=self.author,
            metadata=dict(self.metadata),
            access=self.access.rule if self.access else None,
        )
        return Sending(key, identity, pushed, self.content)


class BatchPut(Model):
    """One document of a batch."""

    action: Literal["put"]
    key: Key
    id: Identity
    document: PushedDocument


class BatchDelete(Model):
    """A document that is gone."""

    action: Literal["delete"]
    key: Key
    id: Identity


class PushBatch(Model):
    """Sendings that are taken together or not at all, in their order."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "sendings": [
                        {"action": "put", "key": "17-1", "id": "17", "document": {"text": "Thirty days."}},
                        {"action": "delete", "key": "12-4", "id": "12"},
                    ]
                }
            ]
        },
    )

    sendings: list[Annotated[BatchPut | BatchDelete, Field(discriminator="action")]] = Field(
        min_length=1, max_length=MAX_BATCH
    )


class PushReceipt(BaseModel):
    """That a sending is kept; a run makes it a document. `repeated`: it had been taken before."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "receipt": "5f2c1f0e-9f0f-4a35-8f39-0c2b8e6f1f5b",
                    "key": "17-1",
                    "external_id": "17",
                    "action": "put",
                    "received_at": "2026-03-01T12:00:00Z",
                    "repeated": False,
                }
            ]
        }
    )

    receipt: UUID
    key: str
    external_id: str
    action: Action
    received_at: datetime
    repeated: bool


class PushReceipts(BaseModel):
    """One for each sending of a batch, in its order."""

    receipts: list[PushReceipt]


class PushReceiptState(BaseModel):
    """What became of a sending. `reason` says why, of one in quarantine or withheld."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "receipt": "5f2c1f0e-9f0f-4a35-8f39-0c2b8e6f1f5b",
                    "key": "17-1",
                    "external_id": "17",
                    "action": "put",
                    "received_at": "2026-03-01T12:00:00Z",
                    "state": "quarantined",
                    "reason": "encrypted: The document is encrypted and needs a password.",
                }
            ]
        }
    )

    receipt: UUID
    key: str
    external_id: str
    action: Action
    received_at: datetime
    state: State
    reason: str | None


class PushedState(BaseModel):
    """What became of the newest sending of a document. `bytes` is null where that was a deletion."""

    external_id: str
    sent_at: datetime
    bytes: int | None
    state: State
    reason: str | None
