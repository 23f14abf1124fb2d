"""Who may read what of a ServiceNow instance, one user and one record at a time, as documented.

What belongs here: the decision. What does not: anything of the connector, which gets there by clauses and
groups.

Source: ServiceNowDocs user-access-knowledge.md, t_SelectUCArticle.md, t_AppUserCritItemsCat.md,
select-user-criteria-for-knowledge-block.md, create-user-criteria-record-in-knowledge-management.md, and the
decision of the script include KBDiagnosticsSNC. Where the connector is stricter on purpose, so is the oracle;
these places are marked with *stricter*.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rag_pipelines_tests.doubles.servicenow_state import (
    ARTICLE_CRITERIA,
    BLOCK_ACCESS,
    CRITERIA_TABLES,
    ITEM_TABLES,
    ROLE_SECURITY,
    Instance,
    Row,
)

_OF_THE_USER = ("department", "company", "location")


class Oracle:
    """Answers for one instance as it is now. `known` False: its properties cannot be read."""

    def __init__(self, instance: Instance, *, known: bool = True) -> None:
        self._instance = instance
        self._blocked = not known or instance.property(BLOCK_ACCESS) != "false"
        self._articles_decide = not known or instance.property(ARTICLE_CRITERIA) != "false"
        self._roles_count = not known or instance.property(ROLE_SECURITY) != "false"

    def reads(self, user: Row, article: Row) -> bool:
        """Whether a user may read an article as it stands (its state is not asked)."""
        if user["active"] != "true":
            return False
        base = self._instance.tables["kb_knowledge_base"][article["kb_knowledge_base"]]
        if base["kb_version"] == "2":
            return False
        can = _list(article["can_read_user_criteria"])
        cannot = _list(article["cannot_read_user_criteria"])
        if self._denied(user, self._of_base(base, "cannot_read")) or self._denied(user, cannot):
            return False  # stricter: contributors, managers and owners are denied as well
        if article["ownership_group"] and self._in_group(user, article["ownership_group"], manager=True):
            return True
        privileged = self._privileged(user, base)
        contributes = self._contributes(user, base)
        if not (privileged or contributes or self._reads_base(user, base)):
            return False
        if (privileged or contributes) and not self._articles_decide:
            return True  # stricter where articles decide: owners and managers too
        if self._roles_count and article["roles"]:
            names = article["roles"].split(",")
            if not any(self._has_role(user, name) for name in names):
                return False
        return not can or any(self.matches(user, one) for one in can)

    def reads_block(self, user: Row, article: Row, block: Row) -> bool:
        """Whether a user sees a block inside an article."""
        if not self.reads(user, article):
            return False
        if self._denied(user, _list(block["cannot_read_user_criteria"])):
            return False  # stricter: contributors are denied as well
        base = self._instance.tables["kb_knowledge_base"][block["kb_knowledge_base"]]
        exempt = self._privileged(user, base) or self._contributes(user, base)
        if exempt and not self._articles_decide and base["kb_version"] != "2":
            return True  # stricter where articles decide: their blocks decide as well
        can = _list(block["can_read_user_criteria"])
        return not can or any(self.matches(user, one) for one in can)

    def sees_item(self, user: Row, item: Row) -> bool:
        """Whether a user is offered an item of the catalogue."""
        available = self._links(ITEM_TABLES["available_for"], "sc_cat_item", item)
        excluded = self._links(ITEM_TABLES["not_available_for"], "sc_cat_item", item)
        if user["active"] != "true" or self._denied(user, excluded):
            return False
        return not available or any(self.matches(user, one) for one in available)

    def matches(self, user: Row, criterion_id: str) -> bool:
        """Whether a criterion surely holds for a user: one that is scripted, empty or inactive never does."""
        row = self._criterion(criterion_id)
        if row is None or row["active"] != "true" or row["advanced"] == "true":
            return False
        tests = self._tests(user, row)
        if not tests or (row["u_cost_center"] and row["match_all"] == "true"):
            return False  # stricter: fields that were added to criteria are not looked at
        return all(one() for one in tests) if row["match_all"] == "true" else any(one() for one in tests)

    def _denied(self, user: Row, criteria: list[str]) -> bool:
        return any(self._may_match(user, one) for one in criteria)

    def _may_match(self, user: Row, criterion_id: str) -> bool:
        """Whether a criterion may hold: what cannot be decided counts."""
        row = self._criterion(criterion_id)
        unsure = row is None or row["advanced"] == "true" or row["u_cost_center"]
        if row is None or (row["active"] == "true" and unsure):
            return True
        if row["active"] != "true":
            return False
        return self.matches(user, criterion_id) or not self._tests(user, row)

    def _tests(self, user: Row, row: Row) -> list[Callable[[], bool]]:
        tests: list[Callable[[], bool]] = []
        if users := _list(row["user"]):
            tests.append(lambda: user["sys_id"] in users)
        if groups := _list(row["group"]):
            tests.append(lambda: any(self._in_group(user, one) for one in groups))
        if roles := _list(row["role"]):
            names = [self._instance.tables["sys_user_role"][one]["name"] for one in roles]
            tests.append(lambda: any(self._has_role(user, one) for one in names))
        lists = [(field, _list(row[field])) for field in _OF_THE_USER]
        tests += [partial(_has, user, field, wanted) for field, wanted in lists if wanted]
        return tests

    def _reads_base(self, user: Row, base: Row) -> bool:
        can = self._of_base(base, "can_read")
        if not can:
            return not self._blocked
        return any(self.matches(user, one) for one in can)

    def _contributes(self, user: Row, base: Row) -> bool:
        """*Stricter*: where nobody is named, ServiceNow may let in every user with a role."""
        if self._denied(user, self._of_base(base, "cannot_contribute")):
            return False
        return any(self.matches(user, one) for one in self._of_base(base, "can_contribute"))

    def _privileged(self, user: Row, base: Row) -> bool:
        if user["sys_id"] in (base["owner"], *_list(base["kb_managers"])):
            return True
        if base["application"] != "global":
            return False
        return self._has_role(user, "admin") or self._has_role(user, "knowledge_admin")

    def _in_group(self, user: Row, group: str, *, manager: bool = False) -> bool:
        rows = self._instance.tables["sys_user_grmember"].values()
        if any((row["group"], row["user"]) == (group, user["sys_id"]) for row in rows):
            return True
        return manager and self._instance.tables["sys_user_group"][group]["manager"] == user["sys_id"]

    def _has_role(self, user: Row, name: str) -> bool:
        """User criteria "are not applicable for elevated privilege roles"."""
        tables = self._instance.tables
        roles = {
            one["sys_id"]
            for one in tables["sys_user_role"].values()
            if one["name"] == name and one["elevated_privilege"] != "true"
        }
        return any(
            row["user"] == user["sys_id"] and row["role"] in roles
            for row in tables["sys_user_has_role"].values()
        )

    def _criterion(self, criterion_id: str) -> Row | None:
        return self._instance.tables["user_criteria"].get(criterion_id)

    def _of_base(self, base: Row, kind: str) -> list[str]:
        return self._links(CRITERIA_TABLES[kind], "kb_knowledge_base", base)

    def _links(self, table: str, column: str, record: Row) -> list[str]:
        rows = self._instance.tables[table].values()
        return [row["user_criteria"] for row in rows if row[column] == record["sys_id"]]


def _has(user: Row, field: str, wanted: list[str]) -> bool:
    return user[field] in wanted


def _list(text: str) -> list[str]:
    return [one for one in text.split(",") if one]
