"""``rag-pipelines query``: ask an index and see the passages with their citations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rag_pipelines.cli.invocation import Invocation, invocation
from rag_pipelines.cli.options import Since, Until, window
from rag_pipelines.cli.output import AsJson, number, print_json, say, stdout
from rag_pipelines.errors import RagError, UsageError

if TYPE_CHECKING:
    from rag_pipelines.query.filters import Filter
    from rag_pipelines.query.hits import Filters, Hit
    from rag_pipelines.query.search import Searcher


def query(
    context: typer.Context,
    question: Annotated[str, typer.Argument(metavar="QUESTION")],
    index: Annotated[
        str | None, typer.Option("--index", "-i", help="May be left out if there is only one.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", help="May be left out if there is only one.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", "-u", metavar="USER", help="The user who asks, such as ann@example.com."),
    ] = None,
    principals: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            metavar="PRINCIPAL",
            help="A further principal of the caller, such as group:hr; may be repeated.",
        ),
    ] = None,
    mode: Annotated[Literal["dense", "lexical", "hybrid"], typer.Option(help="Retrieval mode.")] = "hybrid",
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many passages.")] = 5,
    sources: Annotated[
        list[str] | None, typer.Option("--source", help="Only this source; may be repeated.")
    ] = None,
    path: Annotated[
        str | None, typer.Option("--path", metavar="PREFIX", help="Only below this path.")
    ] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option("--meta", metavar="KEY=VALUE", help="Only with this metadata; may be repeated."),
    ] = None,
    since: Since = None,
    until: Until = None,
    filter_: Annotated[
        str | None,
        typer.Option(
            "--filter", metavar="JSON", help="A filter as JSON, in place of the simple filter options."
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            "--context", min=1, metavar="TOKENS", help="Pack the passages into a context for a model."
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Explain the scores and stages of each hit.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the best passages that the caller may see, each with its citation.

    Nobody is asked who they are here: --user and --as say whose eyes to look with. The groups that
    sources list a caller in count too.
    """
    import msgspec

    from rag_pipelines.model import user_principal
    from rag_pipelines.query.hits import Filters
    from rag_pipelines.query.search import Searcher

    chosen = invocation(context)
    name = choose_index(chosen, index)
    window(since, until)
    simple = Filters(tuple(sources or ()), path, _metadata(meta or []), since, until)
    filters = simple if filter_ is None else _parse_filter(filter_, simple)
    caller = [*([user_principal(user)] if user else []), *(principals or [])]
    whose = _tenant(chosen, name, tenant)
    for bare in (one for one in principals or () if ":" not in one):
        say(f"note: --as {bare} is a principal without a namespace; such are group:{bare} or user:{bare}")
    searcher = Searcher(chosen.database, chosen.settings, name, chosen.embedders)
    try:
        _prepare(searcher, whose)
        result = searcher.search(question, tenant=whose, principals=caller, mode=mode, k=k, filters=filters)
        packed = searcher.pack(result, tokens) if tokens else None
    finally:
        searcher.close()
    if as_json:
        context_ = {"context": {"text": packed.text, **msgspec.to_builtins(packed)}} if packed else {}
        told = {**msgspec.to_builtins(result), "hits": _cited(result.hits)}
        del told["asked_by"]
        if result.unquoted:
            told["unquoted"]["hits"] = _cited(result.unquoted.hits)
        print_json({**told, **context_})
        return
    for note in result.notes:
        say(f"note: {note}")
    from rag_pipelines.cli.passages import show_context, show_explanation, show_hits

    if packed:
        show_context(packed)
    else:
        show_hits(result.hits, question)
        if result.unquoted and result.unquoted.hits:
            stdout().print("without the quoted phrases:", style="bold")
            show_hits(result.unquoted.hits, question)
    if explain:
        show_explanation(result)
    took = f"embedding {result.embed_ms:.0f} ms, search {result.search_ms:.0f} ms"
    say(f"{number(len(result.hits), 'passage')} from version {result.version} of {name} ({mode}; {took})")
    if len(result.hits) < k and not caller:
        say("note: searched as everyone; use --user or --as to find what is restricted to users or groups")


def _cited(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    import msgspec

    return [{"citation": hit.citation, **msgspec.to_builtins(hit)} for hit in hits]


def choose_index(chosen: Invocation, name: str | None) -> str:
    """The index by its name, or the only one. Raises `UsageError`."""
    indexes = chosen.settings.indexes
    if name is None:
        if len(indexes) != 1:
            raise UsageError(
                f"name an index with --index; valid: {', '.join(indexes) or 'none is configured'}"
            )
        return next(iter(indexes))
    chosen.settings.index(name)
    return name


def _tenant(chosen: Invocation, index: str, name: str | None) -> str:
    from rag_pipelines.store.documents import tenants_of

    with chosen.database.connection() as connection:
        tenants = tenants_of(connection, chosen.settings.sources_of(index))
    if name is None and len(tenants) == 1:
        return tenants[0]
    if name in tenants:
        return str(name)
    if not tenants:
        raise UsageError(f"index {index!r} holds nothing yet; run `rag-pipelines refresh {index}`")
    asked = f"index {index!r} has no tenant {name!r}" if name else "name a tenant with --tenant"
    raise UsageError(f"{asked}; valid: {', '.join(tenants)}")


def _prepare(searcher: Searcher, tenant: str) -> None:
    """Wait for models and vocabularies; a search goes without what cannot be had."""
    try:
        searcher.prepare(tenant)
    except RagError as error:
        say(f"note: {error}")


def _parse_filter(text: str, simple: Filters) -> Filter:
    """The filter that a JSON text says."""
    from rag_pipelines.query.filters import filter_from_json
    from rag_pipelines.query.hits import Filters

    if simple != Filters():
        raise UsageError(
            "--filter excludes --source, --path, --meta, --since and --until: express them in the filter"
        )
    try:
        value = json.loads(text)
    except ValueError as error:
        example = '{"field": "path", "prefix": "handbook/"}'
        raise UsageError(f"--filter is not JSON ({error}); valid: such as {example}") from None
    return filter_from_json(value, "--filter")


def _metadata(pairs: list[str]) -> dict[str, Any]:
    """``key=value`` pairs; a value that is JSON is what it says (3, true, "3"), any other is a text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"--meta received {pair!r}; valid: KEY=VALUE, such as department=hr")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found
