"""The schemes that decide who may see an issue, read once for each project.

What belongs here: permission schemes, issue security levels, project roles as the site tells them, and
the access rule of an issue. What does not: members of groups and roles (`directory`).

A scheme that we may not read leaves its principal in the rule and names nobody else: nobody gets in by it.
A transient failure is raised, so that what is not known for the moment changes no rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rag_pipelines.connectors.atlassian_client import Json
from rag_pipelines.connectors.jira.access import (
    Holder,
    Names,
    Visibility,
    clause,
    parse_holder,
    restricting_roles,
)
from rag_pipelines.connectors.jira.site import JiraSite
from rag_pipelines.errors import ForbiddenEntityError, MissingEntityError, RagError, UsageError
from rag_pipelines.model import CLOSED, AccessRule

REFUSALS = (ForbiddenEntityError, MissingEntityError, UsageError)
"""What a site answers when it will not tell, now or later."""


class Schemes:
    """Reads schemes when they are asked for, and remembers answers and refusals for its life.

    Each reading method raises the error that the site answered with.
    """

    def __init__(self, site: JiraSite, names: Names, security_levels: Mapping[str, tuple[str, ...]]) -> None:
        self._site = site
        self.names = names
        self._told = {level: tuple(map(parse_holder, holders)) for level, holders in security_levels.items()}
        self._answers: dict[tuple[Callable[..., Any], str], Any] = {}

    def browsers(self, project_id: str) -> tuple[Holder, ...]:
        """Who is granted Browse Projects."""
        return self._once(self._site.browse_holders, project_id)

    def levels(self, project_id: str) -> dict[str, str]:
        """The issue security levels of a project: id to name; none where it has no such scheme."""
        try:
            return self._once(self._site.security_levels, project_id)
        except MissingEntityError:
            return {}

    def members(self, level_id: str, level_name: str) -> tuple[Holder, ...]:
        """Who is in an issue security level."""
        if level_name in self._told:
            return self._told[level_name]
        return self._once(self._site.level_members, "").get(level_id, ())

    def roles(self, project_id: str) -> dict[str, str]:
        """The roles of a project: id to name."""
        return self._once(self._site.roles, project_id)

    def rule(self, fields: Json) -> AccessRule:
        """Who may see the issue with these fields.

        An issue whose security level is hidden from us, although its project has levels, is closed.
        A team-managed project has no levels; its issues may be restricted to some of its roles.
        """
        project_id = str(fields["project"]["id"])
        held = self._read_or(self.browsers, project_id)
        clauses = [clause(self.names, self.names.project(project_id), held, fields)]
        level = fields.get("security")
        if level:
            held = self._read_or(self.members, str(level["id"]), str(level.get("name", "")))
            principal = self.names.level(project_id, str(level["id"]))
            clauses.append(clause(self.names, principal, held, fields))
        elif "security" not in fields and self._may_have_levels(fields["project"]):
            return CLOSED
        roles = restricting_roles(fields)
        if roles is not None:
            clauses.append(tuple(self.names.role(project_id, role_id) for role_id in roles))
        return AccessRule(tuple(clauses)).normalised()

    def visible_to(self, fields: Json, visibility: Visibility) -> AccessRule:
        """The rule of an issue's comments that one role or group may see; closed if there is no such role."""
        rule = self.rule(fields)
        project_id, holder = str(fields["project"]["id"]), visibility.holder
        if visibility.kind == "group":
            principal = self.names.group(holder)
        elif visibility.kind == "role" and holder in self._read_or(self.roles, project_id, otherwise={}):
            principal = self.names.role(project_id, holder)
        else:
            return CLOSED
        return AccessRule((*rule.clauses, (principal,)), rule.deny).normalised()

    def resolve_role(self, fields: Json, visibility: Visibility) -> Visibility:
        """`visibility` with the role's id, where an answer gives its name and we may know the id."""
        if visibility.kind == "role":
            roles = self._read_or(self.roles, str(fields["project"]["id"]), otherwise={})
            for role_id, name in roles.items():
                if visibility.holder == name:
                    return Visibility("role", role_id)
        return visibility

    def _may_have_levels(self, project: Json) -> bool:
        if project.get("simplified"):
            return False
        return bool(self._read_or(self.levels, str(project["id"]), otherwise=True))

    def _read_or(self, read: Callable[..., Any], *arguments: str, otherwise: Any = ()) -> Any:
        """What `read` says, or `otherwise` if the site refuses it for good."""
        try:
            return read(*arguments)
        except REFUSALS:
            return otherwise

    def _once(self, read: Callable[..., Any], argument: str) -> Any:
        key = (read, argument)
        if key not in self._answers:
            try:
                self._answers[key] = read(argument) if argument else read()
            except (ForbiddenEntityError, MissingEntityError) as refusal:
                self._answers[key] = refusal
        answer = self._answers[key]
        if isinstance(answer, RagError):
            raise answer
        return answer
