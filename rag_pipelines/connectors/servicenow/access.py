"""Who may read an article, a block or an item: rules made of the principals that `directory` lists.

What belongs here: principals and rules. What does not: who stands behind a principal (`directory`).

ServiceNowDocs (markdown/servicenow-platform/knowledge-management): user-access-knowledge.md,
t_SelectUCArticle.md, select-user-criteria-for-knowledge-block.md, scoped-knowledge-base-administration.md,
enable-ownership-group.md; the decision itself is in the script include KBDiagnosticsSNC. With

    base    who may read the base: Can Read, or Can Contribute without Cannot Contribute, its owner and
            managers, administrators where it is not scoped
    exempt  those of them whom the article's own criteria do not bind: contributors, owner, managers and
            administrators, unless ``glide.knowman.apply_article_read_criteria`` lets articles decide
    owners  the article's ownership group

an article is read by (base or owners) and, where it has criteria, (its Can Read or exempt or owners) and,
where it has roles, (a role or exempt or owners), but by nobody who matches a Cannot Read.

Stricter than ServiceNow on purpose: Cannot Read binds contributors, owners and administrators as well; where
articles decide, owners and managers have no way around them; and a Can Contribute list that names nobody lets
nobody in, where ServiceNow may let in everybody with a role.

A criterion is two principals: ``criterion/<id>`` for those who surely match, which grants, and
``criterion/<id>/possible`` for those who may match, which denies: a script, which nobody outside the instance
can run, grants to nobody and denies to everybody. A denial works only once its principal was listed, so each
goes with a clause that holds when it was: ``criterion/<id>/known``, behind which everyone stands then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rag_pipelines.connectors.servicenow.site import Row, ServiceNowSite
from rag_pipelines.errors import CredentialError, RagError, TransientError
from rag_pipelines.model import AccessRule

BLOCK_ACCESS = "glide.knowman.block_access_with_no_user_criteria"
ARTICLE_CRITERIA = "glide.knowman.apply_article_read_criteria"
ROLE_SECURITY = "glide.knowman.search.apply_role_based_security"


class Properties(NamedTuple):
    """The system properties that change the meaning of criteria; the stricter value is the default."""

    blocked: bool = True
    """A base without Can Read criteria is read by nobody (else by every user)."""
    articles_decide: bool = True
    """Criteria of articles bind contributors too."""
    roles_count: bool = True
    """Roles of an article bind beside its criteria."""

    @classmethod
    def read(cls, site: ServiceNowSite) -> Properties:
        """As the instance has them; what cannot be read, or is not set, is taken at its stricter value."""
        names = (BLOCK_ACCESS, ARTICLE_CRITERIA, ROLE_SECURITY)
        try:
            rows = site.all("sys_properties", [f"nameIN{','.join(names)}"], ["name", "value"])
        except (CredentialError, TransientError):
            raise
        except RagError:
            return cls()
        values = {row.get("name"): row.get("value") for row in rows}
        return cls(*(values.get(name) != "false" for name in names))


class Names(NamedTuple):
    """Writes principals of one instance."""

    directory: str

    def user(self, sys_id: str) -> str:
        return f"user:{self.directory}/{sys_id}"

    @property
    def users(self) -> str:
        """Every active user of the instance."""
        return f"group:{self.directory}/users"

    def group(self, sys_id: str) -> str:
        return f"group:{self.directory}/group/{sys_id}"

    def owners(self, group: str) -> str:
        """The members of an ownership group and its manager."""
        return f"group:{self.directory}/group/{group}/owners"

    def role(self, name: str) -> str:
        return f"group:{self.directory}/role/{name}"

    def attribute(self, name: str, sys_id: str) -> str:
        """Users by a field of theirs: department, company, location."""
        return f"group:{self.directory}/{name}/{sys_id}"

    def criterion(self, sys_id: str) -> str:
        return f"group:{self.directory}/criterion/{sys_id}"

    def possible(self, sys_id: str) -> str:
        return f"group:{self.directory}/criterion/{sys_id}/possible"

    def known(self, sys_id: str) -> str:
        return f"group:{self.directory}/criterion/{sys_id}/known"

    def base(self, sys_id: str) -> str:
        return f"group:{self.directory}/base/{sys_id}"

    def exempt(self, sys_id: str) -> str:
        return f"group:{self.directory}/base/{sys_id}/exempt"

    def base_denied(self, sys_id: str) -> str:
        return f"group:{self.directory}/base/{sys_id}/denied"

    def item(self, sys_id: str) -> str:
        return f"group:{self.directory}/item/{sys_id}"

    def item_denied(self, sys_id: str) -> str:
        return f"group:{self.directory}/item/{sys_id}/denied"


class Rules(NamedTuple):
    """Makes the rules of one instance."""

    names: Names
    properties: Properties

    def article(self, row: Row) -> AccessRule:
        """Raises `KeyError` where the row lacks a field that decides."""
        names, base = self.names, row["kb_knowledge_base"]
        owners = [names.owners(row["ownership_group"])] if row["ownership_group"] else []
        clauses = [[names.base(base), *owners]]
        if self.properties.roles_count and (roles := listed(row["roles"])):
            clauses.append([*map(names.role, roles), names.exempt(base), *owners])
        if can := listed(row["can_read_user_criteria"]):
            clauses.append([*map(names.criterion, can), names.exempt(base), *owners])
        denied, known = self._cannot(row)
        return _rule([*clauses, *known], [names.base_denied(base), *denied])

    def block(self, article: AccessRule, row: Row) -> AccessRule:
        """Who sees a block in an article: who reads the article and meets the block's own criteria.

        Who is exempt in the block's base sees it too.
        """
        clauses = []
        if can := listed(row["can_read_user_criteria"]):
            clauses.append([*map(self.names.criterion, can), self.names.exempt(row["kb_knowledge_base"])])
        denied, known = self._cannot(row)
        return _rule([*article.clauses, *clauses, *known], [*article.deny, *denied])

    def item(self, row: Row) -> AccessRule:
        sys_id = row["sys_id"]
        return _rule([[self.names.item(sys_id)]], [self.names.item_denied(sys_id)])

    def _cannot(self, row: Row) -> tuple[list[str], list[list[str]]]:
        cannot = listed(row["cannot_read_user_criteria"])
        return list(map(self.names.possible, cannot)), [[self.names.known(one)] for one in cannot]


def listed(text: str) -> list[str]:
    """The entries of a list field."""
    return [one.strip() for one in text.split(",") if one.strip()]


def _rule(clauses: Iterable[Sequence[str]], deny: Sequence[str]) -> AccessRule:
    return AccessRule(tuple(map(tuple, clauses)), tuple(deny)).normalised()
