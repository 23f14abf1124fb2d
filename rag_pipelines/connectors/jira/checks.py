"""What `source check` says of a Jira source: each part tried, and what to do where it fails.

What belongs here: findings. What does not: anything that a run needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from rag_pipelines.connectors.base import Finding
from rag_pipelines.connectors.jira import jql
from rag_pipelines.connectors.jira.access import Names
from rag_pipelines.connectors.jira.options import JiraOptions
from rag_pipelines.connectors.jira.schemes import Schemes
from rag_pipelines.connectors.jira.scope import JiraScope, Project
from rag_pipelines.connectors.jira.site import JiraSite
from rag_pipelines.errors import CredentialError, RagError

_PROJECTS = 20
"""So many projects are tried for their schemes."""
_ACCOUNTS = 200


def findings(site: JiraSite, schemes: Schemes, options: JiraOptions) -> Iterator[Finding]:
    """Login, projects, filter, fields, and whether it can be read who may see what."""
    try:
        account = site.myself()
        zone = account.get("timeZone")
        known = "" if jql.zone_of(zone) is not jql.FURTHEST_BEHIND else ", which is not known here"
        name = account.get("displayName") or account.get("name") or "an account"
        yield Finding("login", True, f"{options.url} knows us as {name}, in time zone {zone}{known}")
        scope = JiraScope.of(site, options)
    except RagError as error:
        yield Finding("site", False, str(error))
        return
    for missing in scope.missing.values():
        yield Finding("projects", False, str(missing))
    listed = scope.projects
    named = ", ".join(project.key for project in listed[:10]) + (" …" if len(listed) > 10 else "")
    advice = "" if listed else "; look at projects and at what the account may browse"
    yield Finding("projects", bool(listed), f"{len(listed)} projects: {named}{advice}")
    if listed:
        yield _issues(site, scope, options)
    tried = listed[:_PROJECTS]
    yield _readable("permissions", "who may browse", tried, lambda project: schemes.browsers(project.id))
    yield _readable("roles", "the roles", tried, lambda project: schemes.roles(project.id))
    yield _readable("security levels", "who is in the security levels", tried, _levels(schemes))
    yield _emails(site, schemes.names)


def _issues(site: JiraSite, scope: JiraScope, options: JiraOptions) -> Finding:
    """Whether anything is found."""
    ranges = [jql.JqlRange(project.id, project.key) for project in scope.projects[:_PROJECTS]]
    query = jql.in_ranges(ranges, jql.FURTHEST_BEHIND, options.jql)
    try:
        found = next(iter(site.pages(query, ("project",))), [])
    except RagError as error:
        return Finding("issues", False, str(error))
    where = f"the filter {options.jql!r}" if options.jql else "the projects"
    advice = "" if found else "; look at projects and jql"
    return Finding("issues", True, f"{where}: {'some' if found else 'no'} issues found{advice}")


def _levels(schemes: Schemes) -> Callable[[Project], object]:
    return lambda project: [
        schemes.members(level, name) for level, name in schemes.levels(project.id).items()
    ]


def _readable(
    name: str, what: str, projects: Sequence[Project], read: Callable[[Project], object]
) -> Finding:
    """Whether something can be read of every project; what cannot be read is closed."""
    refused: list[str] = []
    reason = ""
    for project in projects:
        try:
            read(project)
        except CredentialError as error:
            return Finding(name, False, str(error))
        except RagError as error:
            refused.append(project.key)
            reason = reason or str(error)
    if refused:
        return Finding(
            name,
            False,
            f"{what} cannot be read in {', '.join(refused)}, so it admits nobody; the account needs "
            f"Administer Projects there, or Administer Jira: {reason}",
        )
    return Finding(name, True, f"{what} can be read in {len(projects)} projects")


def _emails(site: JiraSite, names: Names) -> Finding:
    """Whether people can be recognised by their e-mail address, tried on a few."""
    try:
        accounts = [user for user in islice(site.users(), _ACCOUNTS) if user.get("active", True)]
    except RagError as error:
        return Finding("accounts", False, f"the accounts cannot be listed: {error}")
    people = [user for user in accounts if user.get("accountType", "atlassian") == "atlassian"]
    hidden = sum(not user.get("emailAddress") for user in people)
    detail = f"{len(people) - hidden} of {len(people)} accounts show their e-mail address"
    if hidden:
        detail += f"; the others are not recognised by it: search on their behalf as {names.user('ACCOUNT')}"
    return Finding("accounts", hidden < len(people) or not people, detail)
