"""``rag-pipelines access``: who may read what, why, and by which groups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, age, number, print_facts, print_json, print_table, say
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from rag_pipelines.query.explain_access import AccessExplanation, Clause, DocumentState, Verdict

app = typer.Typer(no_args_is_help=True, help="Explain who may read what, and list groups.")


@app.command()
def explain(
    context: typer.Context,
    document: Annotated[
        str | None,
        typer.Option("--document", metavar="SOURCE:ID", help="The document, by source and external id."),
    ] = None,
    chunk: Annotated[
        str | None, typer.Option("--chunk", metavar="CHUNK_ID", help="A passage, by the chunk_id of a hit.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="USER", help="The user, such as ann@example.com.")
    ] = None,
    principals: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            "--principal",
            metavar="PRINCIPAL",
            help="A further principal of the caller, such as group:hr; may be repeated.",
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", help="The caller's tenant; the document's own by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a user may or may not read a document or a passage, clause by clause."""
    import msgspec

    from rag_pipelines.query.explain_access import explain as explain_access
    from rag_pipelines.query.explain_access import explain_chunk

    if (document is None) == (chunk is None):
        raise UsageError("give either --document SOURCE:ID or --chunk CHUNK_ID")
    source, colon, external_id = (document or "").partition(":")
    if chunk is None and not (colon and source and external_id):
        raise UsageError(f"--document received {document!r}; valid: SOURCE:ID, such as docs:hr/pay.md")
    with invocation(context).database.connection() as connection:
        if chunk is None:
            found = [
                explain_access(
                    connection, source, external_id, user=user, principals=principals or (), tenant=tenant
                )
            ]
        else:
            found = explain_chunk(connection, chunk, user=user, principals=principals or (), tenant=tenant)
    if as_json:
        answers = [{"may_read": one.may_read, **msgspec.to_builtins(one)} for one in found]
        print_json(answers[0] if chunk is None else answers)
        return
    caller = ", ".join([*([user] if user else []), *(principals or [])]) or "anybody"
    for one in found:
        _show(one, caller)


@app.command()
def reader(
    context: typer.Context,
    role: Annotated[
        str, typer.Option("--role", metavar="NAME", help="The role; created if it does not exist.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a database login that reads only what a search's caller may see, under row-level security."""
    from psycopg.conninfo import make_conninfo

    from rag_pipelines.store.reader import admit_reader

    chosen = invocation(context)
    with chosen.database.connection() as connection:
        hints = admit_reader(connection, role)
    url = make_conninfo(chosen.database.url, user=role, password=None)
    if as_json:
        print_json({"role": role, "reader_url": url, "hints": hints})
        return
    print_facts(f"{role} may serve searches", [("database.reader_url", url)])
    for hint in hints:
        say(f"note: {hint}")


@app.command("groups")
def groups(
    context: typer.Context,
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="The source; all by default.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most this many.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """List groups with how many members each has and how long ago they were read."""
    from rag_pipelines.store.principals import list_groups

    chosen = invocation(context)
    if source is not None:
        chosen.settings.source(source)
    with chosen.database.connection() as connection:
        rows = list_groups(connection, source, limit)
    if as_json:
        print_json(rows)
    elif not rows:
        typer.echo("no group is known; sources whose system has groups list them with their documents")
    else:
        columns = ("source", "group", "name", "members", "read")
        print_table(
            columns,
            (
                (row["source"], row["principal"], row["name"], row["members"], f"{age(row['age_s'])} ago")
                for row in rows
            ),
        )


def _show(found: AccessExplanation, caller: str) -> None:
    document, verdict = found.document, found.verdict
    answer = "may read" if found.may_read else "may not read"
    facts = [("because", reason) for reason in found.reasons]
    facts += [("has", text) for text in _describe_principals(verdict)]
    total = len(verdict.clauses)
    facts += [
        (f"clause {place} of {total}", _clause(clause, verdict))
        for place, clause in enumerate(verdict.clauses, 1)
    ]
    if not verdict.clauses:
        facts.append(("clauses", "none: everyone in the tenant may read it"))
    facts.append(("deny", ", ".join(_label_principal(one, verdict) for one in verdict.denied_by) or "no hit"))
    if found.section:
        facts.append(("section", " › ".join(found.section)))
    facts += _state(document)
    print_facts(f"{caller} {answer} {document.source}:{document.external_id}", facts)
    for hint in found.hints:
        say(f"note: {hint}")


def _describe_principals(verdict: Verdict) -> Iterator[str]:
    """What the caller was given, and the groups that the rule names, each with the way to it."""
    named = {*verdict.denied_by, *(one for clause in verdict.clauses for one in clause.satisfied_by)}
    others = 0
    for held in verdict.held:
        if not held.through:
            yield held.principal
        elif held.principal in named:
            last = held.through[-1]
            chain = " in ".join([held.through[0].member, *(step.group for step in held.through)])
            seen = f"read from {last.source} {_ago(last.observed_at)}, so since {last.since:%Y-%m-%d %H:%M}"
            yield f"{_label_principal(held.principal, verdict)}: {chain} ({seen})"
        else:
            others += 1
    if others:
        yield f"{number(others, 'other group')}, which the rule does not name (--json lists them)"


def _clause(clause: Clause, verdict: Verdict) -> str:
    if clause.holds:
        return f"yes: {', '.join(_label_principal(one, verdict) for one in clause.satisfied_by)}"
    if not clause.principals:
        return "no: access is closed, nobody may read it"
    rest = clause.principals - len(clause.sample)
    more = f" and {rest:,} more" if rest else ""
    return f"no: none of {', '.join(_label_principal(one, verdict) for one in clause.sample)}{more}"


def _state(document: DocumentState) -> list[tuple[str, str]]:
    found = ", ".join(f"{number(count, 'passage')} in {name}" for name, count in document.passages.items())
    return [
        ("document", f"{document.state}, {document.status}, tenant {document.tenant}"),
        ("live", found or "not in the live version of any index"),
        ("access as of", _ago(document.listed_at)),
        ("groups as of", _ago(document.groups_at) if document.groups_at else ""),
    ]


def _label_principal(principal: str, verdict: Verdict) -> str:
    name = verdict.names.get(principal)
    return f"{principal} ({name})" if name else principal


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return "never completely listed"
    return f"{age((datetime.now(UTC) - moment).total_seconds())} ago"
