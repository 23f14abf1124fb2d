"""What may be kept: `labels` and `retention` of a source, and the secret of erasures.

What belongs here: fields, bounds and defaults. What does not: applying them to a listing (`sync.withholding`)
and to what is stored (`sync.expiry`), legal holds (`retention.holds`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from rag_pipelines.config.section import Section
from rag_pipelines.config.values import Access, Duration
from rag_pipelines.model import AccessRule


def _years(value: Any) -> Any:
    """``7y`` as days of 365.25, which no other duration knows."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if text.endswith("y") and text[:-1].replace(".", "", 1).isdigit():
        return timedelta(days=float(text[:-1]) * 365.25)
    return value


def _some(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("an age above zero, such as 7y or 90d")
    return value


class RetentionSettings(Section):
    """How old documents may become.

    `created_at` is when the source says that a document was made (its metadata `created_at` or `created`),
    else when it was first stored; `modified_at` when it was last changed there.
    """

    max_age: Annotated[Duration, BeforeValidator(_years), AfterValidator(_some)]
    basis: Literal["modified_at", "created_at"] = "modified_at"


class ErasureSettings(Section):
    """The secret behind pseudonyms and signatures of erasures, kept as long as receipts are to be checked.

    Without it one is made in a file of `data_dir`.
    """

    key: SecretStr | None = None

    @field_validator("key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < 32:
            raise ValueError(
                "at least 32 characters that nobody can guess, such as `openssl rand -hex 32` makes"
            )
        return key


class LabelRule(Section):
    """What becomes of documents with a label. `restrict` lets only callers with a principal of `access` see
    them, who also meet the document's own rule. `mask` screens them by the profile `privacy` in the place of
    the source's. `retention` takes the place of the source's."""

    action: Literal["index", "restrict", "mask", "drop"] = "index"
    access: Access | None = None
    privacy: str | None = None
    retention: RetentionSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {"action": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names_access(self) -> LabelRule:
        if (self.action == "restrict") != (self.access is not None):
            raise ValueError("'access' (a list of principals) with the action restrict, and only there")
        if (self.action == "mask") != (self.privacy is not None):
            raise ValueError("'privacy' (a profile of mode mask) with the action mask, and only there")
        return self


class LabelDecision(NamedTuple):
    """What labels say of one document: why it is withheld and by which; or clauses that its rule gains, and
    whether it is masked."""

    withheld: Literal["label", "unknown_label"] | None = None
    label: str | None = None
    clauses: tuple[tuple[str, ...], ...] = ()
    masked: bool = False


class LabelSettings(Section):
    """What becomes of documents by the classification labels that their source gives.

    Labels are the values of the metadata `field` that begin with `prefix`, in whatever case; a label that
    `policy` does not name withholds the document. Of several labels the strictest counts.
    """

    field: str = Field(default="label", min_length=1)
    prefix: str = ""
    policy: dict[str, LabelRule] = Field(default={}, validate_default=True)
    unlabelled: Literal["index", "drop"] = "index"

    @model_validator(mode="after")
    def _distinct(self) -> LabelSettings:
        known = [label.lower() for label in self.policy]
        if len(known) != len(set(known)):
            raise ValueError("labels that differ in more than their case")
        if odd := [label for label in self.policy if not label.lower().startswith(self.prefix.lower())]:
            raise ValueError(f"labels that begin with the prefix {self.prefix!r}; {odd[0]!r} does not")
        if len({rule.privacy for rule in self.policy.values() if rule.privacy}) > 1:
            raise ValueError("one privacy profile for all labels with the action mask")
        return self

    @property
    def privacy(self) -> str | None:
        """The privacy profile of documents whose label masks them, if any does."""
        return next((rule.privacy for rule in self.policy.values() if rule.privacy), None)

    def decide(self, metadata: Mapping[str, Any]) -> LabelDecision:
        """What becomes of a document with this metadata."""
        rules = {label.lower(): rule for label, rule in self.policy.items()}
        found = sorted({label.lower() for label in self._labels(metadata)})
        if not found:
            return LabelDecision(withheld=None if self.unlabelled == "index" else "label")
        for label in found:
            if label in rules and rules[label].action == "drop":
                return LabelDecision(withheld="label", label=label)
        for label in found:
            if label not in rules:
                return LabelDecision(withheld="unknown_label", label=label)
        clauses = [clause for one in found for clause in _clauses(rules[one].access)]
        masked = any(rules[one].action == "mask" for one in found)
        return LabelDecision(clauses=tuple(clauses), masked=masked)

    def _labels(self, metadata: Mapping[str, Any]) -> Iterable[str]:
        value = metadata.get(self.field)
        values = value if isinstance(value, list | tuple | set) else [value]
        prefix = self.prefix.lower()
        return (str(one) for one in values if one not in (None, "") and str(one).lower().startswith(prefix))


def _clauses(access: AccessRule | None) -> tuple[tuple[str, ...], ...]:
    return () if access is None else access.clauses


def retention_rules(
    labels: LabelSettings | None, retention: RetentionSettings | None
) -> list[dict[str, Any]]:
    """The rules as the function `rag.past_retention` takes them."""
    rules: list[tuple[str | None, str | None, RetentionSettings]] = []
    if retention is not None:
        rules.append((None, None, retention))
    for label, rule in (labels.policy if labels else {}).items():
        if labels is not None and rule.retention is not None:
            rules.append((label.lower(), labels.field, rule.retention))
    return [
        {"label": label, "field": field, "basis": one.basis, "seconds": one.max_age.total_seconds()}
        for label, field, one in rules
    ]
