"""What Drive says of a file, and which fields of that are asked for.

What belongs here: values as the API has them (developers.google.com/workspace/drive/api/reference/rest/v3),
and what they mean by themselves. What does not: requests (`api`), rules (`access`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from rag_pipelines.errors import TransientError

T = TypeVar("T")

FOLDER = "application/vnd.google-apps.folder"
SHORTCUT = "application/vnd.google-apps.shortcut"
EDITORS = "application/vnd.google-apps."
"""How the types begin of what has no bytes of its own."""

_OFFICE = "application/vnd.openxmlformats-officedocument."
EXPORTS: dict[str, str | dict[str, str]] = {
    EDITORS + "document": {"markdown": "text/markdown", "html": "text/html"},
    EDITORS + "spreadsheet": _OFFICE + "spreadsheetml.sheet",
    EDITORS + "presentation": _OFFICE + "presentationml.presentation",
}
"""As what documents of Google's editors are exported
(developers.google.com/workspace/drive/api/guides/ref-export-formats)."""

PERMISSION_FIELDS = (
    "id,type,role,emailAddress,domain,allowFileDiscovery,expirationTime,deleted,view,"
    "permissionDetails(permissionType,role,inherited)"
)
FILE_FIELDS = (
    "id,name,mimeType,parents,trashed,modifiedTime,size,md5Checksum,headRevisionId,webViewLink,driveId,"
    "owners(displayName,emailAddress),lastModifyingUser(displayName),hasAugmentedPermissions,"
    "inheritedPermissionsDisabled,shortcutDetails(targetId,targetResourceKey),resourceKey,"
    "clientEncryptionDetails(encryptionState),capabilities(canListChildren),"
    f"permissions({PERMISSION_FIELDS})"
)
FOLDER_FIELDS = (
    "id,name,mimeType,parents,trashed,driveId,hasAugmentedPermissions,inheritedPermissionsDisabled,"
    "modifiedTime,capabilities(canListChildren)"
)


class Api(msgspec.Struct, frozen=True, rename="camel"):
    """Base of what is read: unknown fields are ignored, those that are not sent have their default."""


class Detail(Api, frozen=True):
    inherited: bool = False
    permission_type: str = ""
    role: str = ""


class Permission(Api, frozen=True):
    """Who may do something with a file. `view`: only in that view of it; None is the file itself."""

    id: str = ""
    type: str = ""
    role: str = ""
    email_address: str | None = None
    domain: str | None = None
    allow_file_discovery: bool | None = None
    expiration_time: datetime | None = None
    deleted: bool = False
    view: str | None = None
    permission_details: tuple[Detail, ...] = ()

    @property
    def is_direct(self) -> bool:
        """Whether it was given here, as far as that is told, and not only above."""
        return not self.permission_details or not all(one.inherited for one in self.permission_details)


class Person(Api, frozen=True):
    display_name: str = ""
    email_address: str | None = None


class Shortcut(Api, frozen=True):
    target_id: str = ""
    target_resource_key: str | None = None


class Encryption(Api, frozen=True):
    encryption_state: str = "unencrypted"


class Abilities(Api, frozen=True):
    can_list_children: bool = True


class LabelField(Api, frozen=True):
    selection: tuple[str, ...] = ()


class Label(Api, frozen=True):
    id: str
    fields: dict[str, LabelField] = {}


class LabelInfo(Api, frozen=True):
    labels: tuple[Label, ...] = ()


class DriveFile(Api, frozen=True):
    """A file, folder or shortcut as one account sees it. `permissions` None: they are not told."""

    id: str
    name: str
    mime_type: str
    modified_time: datetime
    parents: tuple[str, ...] = ()
    trashed: bool = False
    size: int | None = None
    md5_checksum: str | None = None
    head_revision_id: str | None = None
    web_view_link: str | None = None
    drive_id: str | None = None
    owners: tuple[Person, ...] = ()
    last_modifying_user: Person | None = None
    has_augmented_permissions: bool | None = None
    inherited_permissions_disabled: bool = False
    shortcut_details: Shortcut | None = None
    resource_key: str | None = None
    client_encryption_details: Encryption | None = None
    capabilities: Abilities = Abilities()
    permissions: tuple[Permission, ...] | None = None
    label_info: LabelInfo = LabelInfo()

    @property
    def external_id(self) -> str:
        return f"file/{self.id}"

    @property
    def parent(self) -> str | None:
        return self.parents[0] if self.parents else None

    @property
    def owner(self) -> str | None:
        """The owner's address, of a file in My Drive."""
        address = self.owners[0].email_address if self.owners else None
        return address.lower() if address else None

    @property
    def is_folder(self) -> bool:
        return self.mime_type == FOLDER

    @property
    def has_own_permissions(self) -> bool:
        """Whether who may read it is not, or may not be, the same as for what is beside it."""
        return self.has_augmented_permissions is not False or self.inherited_permissions_disabled

    def labels(self, names: Mapping[str, str | Mapping[str, str]]) -> list[str]:
        """Those it has, by their `names` or those of the choices made in them; a choice without a name, or a
        label in which none was made, goes by its id."""
        found: set[str] = set()
        for label in self.label_info.labels:
            name = names.get(label.id, label.id)
            if isinstance(name, str):
                found.add(name)
                continue
            chosen = [choice for field in label.fields.values() for choice in field.selection] or [label.id]
            found.update(name.get(one, one) for one in chosen)
        return sorted(found)

    def export_type(self, docs_format: str) -> str | None:
        """The media type of its export, if it is of an editor that exports text."""
        exported = EXPORTS.get(self.mime_type)
        return exported.get(docs_format) if isinstance(exported, dict) else exported

    def token(self, docs_format: str) -> str:
        """Equal as long as the content is: a checksum, or for what has none the time of the last change."""
        if self.md5_checksum is not None:
            return self.md5_checksum
        if self.head_revision_id is not None:
            return self.head_revision_id
        changed = self.modified_time.isoformat()
        exported = self.export_type(docs_format)
        return f"{changed} {exported}" if exported else changed


def read_file(raw: Mapping[str, Any]) -> DriveFile:
    """`raw` typed. Raises `TransientError` where it does not say what it has to."""
    return _read(raw, DriveFile)


def read_permission(raw: Mapping[str, Any]) -> Permission:
    """`raw` typed. Raises `TransientError` where it is not understood."""
    return _read(raw, Permission)


def text_of(raw: Mapping[str, Any], name: str) -> str:
    """A field that has to be there. Raises `TransientError` where it is not."""
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise TransientError(f"an answer without {name!r} is not understood: {sorted(raw)}")
    return value


def _read(raw: Mapping[str, Any], type: type[T]) -> T:
    try:
        return msgspec.convert(raw, type, strict=False)
    except msgspec.ValidationError as error:
        raise TransientError(f"the description of {raw.get('id')!r} is not understood: {error}") from error
