"""Which knowledge bases a source covers, and the conditions on articles that its options make.

What belongs here: the choice of documents as parts of encoded queries. What does not: requests for them.

An article is what readers see in the state ``published``; the latest version may be a draft of the next one,
and the one before it is ``outdated`` (ServiceNowDocs: article-versioning.md). It is found until its Valid to
date has passed, and not at all without one (article-validity.md).
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from rag_pipelines.connectors.servicenow.options import ServiceNowOptions
from rag_pipelines.connectors.servicenow.site import Row, ServiceNowSite
from rag_pipelines.errors import ForbiddenEntityError, UsageError

BASE_FIELDS = ("sys_id", "title", "owner", "kb_managers", "application", "kb_version")
BLOCK_CLASS = "kb_knowledge_block"

_BASES_AT_ONCE = 100


class Scope(NamedTuple):
    """The bases that are there and chosen, by sys_id."""

    bases: dict[str, Row]
    missing: list[str]
    """What `bases` names and the instance does not have."""
    hidden: bool
    """Whether an access rule hides bases, where every one is wanted."""
    conditions: tuple[str, ...]
    """On an article, but for its base and state."""
    today: date

    @classmethod
    def of(cls, site: ServiceNowSite, options: ServiceNowOptions, today: date) -> Scope:
        """Raises what reading the bases raises; `UsageError` where a name is not one base's."""
        every: dict[str, Row] = {}
        hidden = False
        for page in site.pages("kb_knowledge_base", ["active=true"], BASE_FIELDS):
            every.update({row["sys_id"]: row for row in page.rows})
            hidden = hidden or page.hidden
        wanted, missing = _find(every, options.bases)
        excluded, _ = _find(every, options.exclude_bases)
        chosen = {one for one in every if (one in wanted or not options.bases) and one not in excluded}
        conditions = ["active=true", f"sys_class_name!={BLOCK_CLASS}"]
        if options.languages:
            conditions.append(f"languageIN{','.join(options.languages)}")
        dated = f"valid_to>={today.isoformat()}"
        conditions.append(f"{dated}^ORvalid_toISEMPTY" if options.undated else dated)
        return cls(
            {one: every[one] for one in sorted(chosen)},
            missing,
            hidden and not options.bases,
            tuple(conditions),
            today,
        )

    @property
    def published(self) -> list[str]:
        """The conditions on an article that readers find, but for its base."""
        return ["workflow_state=published", *self.conditions]

    def ranges(self) -> list[str]:
        """The condition on the base, some bases at a time."""
        ids = list(self.bases)
        parts = [ids[start : start + _BASES_AT_ONCE] for start in range(0, len(ids), _BASES_AT_ONCE)]
        return [f"kb_knowledge_baseIN{','.join(part)}" for part in parts]


def hidden_bases() -> ForbiddenEntityError:
    """Says that there are bases that the account does not see."""
    return ForbiddenEntityError(
        "access rules hide knowledge bases from the account, so that their documents are missing; grant it a "
        "role that reads them, or name those it sees in bases"
    )


def _find(bases: dict[str, Row], names: tuple[str, ...]) -> tuple[set[str], list[str]]:
    """The bases that titles or sys_ids name, and the names that are no base's."""
    by_title: dict[str, list[str]] = {}
    for sys_id, row in bases.items():
        by_title.setdefault(row.get("title", ""), []).append(sys_id)
    found: set[str] = set()
    missing = []
    for name in names:
        same = [name] if name in bases else by_title.get(name, [])
        if len(same) > 1:
            raise UsageError(f"{len(same)} knowledge bases are titled {name!r}; give the sys_id of one")
        found.update(same)
        missing += [] if same else [name]
    return found, missing
