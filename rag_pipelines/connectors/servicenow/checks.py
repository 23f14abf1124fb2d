"""What `source check` says of a ServiceNow source: each table tried, and what to grant where it cannot be
read.

What belongs here: findings. What does not: anything that a run needs.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag_pipelines.connectors.base import Finding
from rag_pipelines.connectors.servicenow import articles
from rag_pipelines.connectors.servicenow.access import ARTICLE_CRITERIA, BLOCK_ACCESS, ROLE_SECURITY
from rag_pipelines.connectors.servicenow.criteria import LISTS
from rag_pipelines.connectors.servicenow.directory import BASE_LISTS, ITEM_LISTS
from rag_pipelines.connectors.servicenow.options import ServiceNowOptions
from rag_pipelines.connectors.servicenow.scope import Scope, hidden_bases
from rag_pipelines.connectors.servicenow.site import ServiceNowSite
from rag_pipelines.errors import CredentialError, RagError

_TRIED = 200
"""So many rows of a table are looked for that access rules hide."""

_KNOWLEDGE_ROLE = "grant knowledge_admin, and for bases of applications the application's own admin role"
_PEOPLE_ROLE = "grant user_admin, or a role of your own with a read rule on the table"
_CRITERIA_ROLE = "grant user_criteria_admin, or a role of your own with a read rule on the table"
_OWN_ROLE = "grant a role of your own with a read rule on the table"


def findings(site: ServiceNowSite, options: ServiceNowOptions, scope: Scope) -> Iterator[Finding]:
    """Bases, articles, and whether it can be read who may see them."""
    for missing in scope.missing:
        yield Finding(
            "bases", False, f"there is no active knowledge base {missing!r} that the account can see"
        )
    if scope.hidden:
        yield Finding("bases", False, str(hidden_bases()))
    titles = [row.get("title", "") for row in scope.bases.values()]
    named = ", ".join(titles[:10]) + (" …" if len(titles) > 10 else "")
    advice = "" if titles else "; look at bases and at what the account may read"
    yield Finding("bases", bool(titles), f"{len(titles)} knowledge bases: {named}{advice}")
    yield _table(site, "kb_knowledge", (*articles.RESTRICTING, "text"), _KNOWLEDGE_ROLE, scope.published)
    yield _clock(site)
    if site.has("kb_article_template"):
        for table in ("kb_article_template", "kb_article_template_definition"):
            yield _table(site, table, (), _KNOWLEDGE_ROLE)
    if options.attachments:
        yield _table(site, "sys_attachment", (), _OWN_ROLE)
    if options.blocks and site.has("m2m_kb_knowledge_to_block"):
        yield _table(site, "m2m_kb_knowledge_to_block", ("knowledge", "knowledge_block"), _KNOWLEDGE_ROLE)
        yield _table(site, "kb_knowledge_block", articles.RESTRICTING[:2], _KNOWLEDGE_ROLE)
    for table in BASE_LISTS.values():
        yield _table(site, table, ("kb_knowledge_base", "user_criteria"), _KNOWLEDGE_ROLE)
    if options.catalogue:
        yield _table(site, "sc_cat_item", (), "grant catalog_admin")
        for table in ITEM_LISTS.values():
            yield _table(site, table, ("sc_cat_item", "user_criteria"), "grant catalog_admin")
    yield _table(site, "user_criteria", LISTS, _CRITERIA_ROLE)
    yield _table(site, "sys_user", ("email", "department", "company", "location"), _PEOPLE_ROLE)
    for table in ("sys_user_group", "sys_user_grmember", "sys_user_role", "sys_user_has_role"):
        yield _table(site, table, (), _PEOPLE_ROLE)
    yield _properties(site)
    yield _deletions(site)


def _table(
    site: ServiceNowSite, table: str, fields: tuple[str, ...], role: str, conditions: list[str] | None = None
) -> Finding:
    """Whether rows and fields of a table can be read, tried on its first rows."""
    try:
        sample = site.sample(table, conditions or [], _TRIED)
        unread = site.blind(table, fields)
    except CredentialError as error:
        return Finding(table, False, str(error))
    except RagError as error:
        return Finding(table, False, f"{error}; {role}")
    if sample.hidden:
        return Finding(table, False, f"access rules hide some rows of {table} from the account; {role}")
    if unread:
        return Finding(
            table, False, f"access rules hide {', '.join(unread)} of {table} from the account; {role}"
        )
    return Finding(table, True, f"{table} can be read" if sample.rows else f"{table} has no rows")


def _clock(site: ServiceNowSite) -> Finding:
    """Whether times in queries are UTC, as times in answers are: an article is asked for by its own time."""
    try:
        newest = site.newest("kb_knowledge")
        agrees = newest is None or site.count("kb_knowledge", [f"sys_updated_on={newest}"]) > 0
    except RagError as error:
        return Finding("clock", False, str(error))
    if agrees:
        return Finding("clock", True, "times in queries are UTC")
    return Finding("clock", False, "times in queries are not UTC; set the time zone of the account to GMT")


def _properties(site: ServiceNowSite) -> Finding:
    names = (BLOCK_ACCESS, ARTICLE_CRITERIA, ROLE_SECURITY)
    try:
        rows = site.all("sys_properties", [f"nameIN{','.join(names)}"], ["name", "value"])
    except RagError as error:
        return Finding(
            "sys_properties", False, f"{error}; the stricter value of {', '.join(names)} holds; {_OWN_ROLE}"
        )
    told = [f"{row.get('name')}={row.get('value')}" for row in rows]
    unset = [name for name in names if name not in {row.get("name") for row in rows}]
    strict = f"; not set, so that the stricter value holds: {', '.join(unset)}" if unset else ""
    return Finding("sys_properties", True, ", ".join(told) + strict)


def _deletions(site: ServiceNowSite) -> Finding:
    try:
        sample = site.sample("sys_audit_delete", ["tablenameLIKEkb_"], 1)
    except RagError:
        sample = None
    if sample is None or sample.hidden:
        return Finding(
            "sys_audit_delete", True, "deletions cannot be followed, so that a full listing finds them"
        )
    return Finding("sys_audit_delete", True, "deletions of articles are followed")
