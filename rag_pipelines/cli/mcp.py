"""``rag-pipelines mcp``: the tool `search` for language models, over standard input and output."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from rag_pipelines.cli.invocation import invocation


def mcp(
    context: typer.Context,
    tenant: Annotated[
        str,
        typer.Option(
            "--tenant", "-t", envvar="RAG_MCP_TENANT", help="The tenant whose documents are searched."
        ),
    ],
    index: Annotated[
        str | None,
        typer.Option("--index", "-i", envvar="RAG_MCP_INDEX", help="May be left out if there is only one."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            "-u",
            metavar="USER",
            envvar="RAG_MCP_USER",
            help="The user who asks, such as ann@example.com.",
        ),
    ] = None,
    principals: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            metavar="PRINCIPAL",
            envvar="RAG_MCP_PRINCIPALS",
            help="A further principal of the caller, such as group:hr; may be repeated.",
        ),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(min=100, max=100_000, help="Token limit of one answer (estimated).")
    ] = 4_000,
) -> None:
    """Serve searches to a language model as a tool, for one caller.

    The model chooses the question and filters; whose documents it sees is chosen here, or in the environment.
    """
    from rag_pipelines.adapters.mcp import Caller, make_server
    from rag_pipelines.cli.query import choose_index
    from rag_pipelines.model import user_principal
    from rag_pipelines.query.asynchronous import AsyncSearcher
    from rag_pipelines.query.search import Searcher

    chosen = invocation(context)
    name = choose_index(chosen, index)
    caller = Caller(tenant, (*([user_principal(user)] if user else []), *(principals or [])), max_tokens)
    searcher = Searcher(chosen.database, chosen.settings, name, chosen.embedders)

    async def serve() -> None:
        async with AsyncSearcher(searcher) as asynchronous:
            await make_server(asynchronous, chosen.settings, name, caller).run_stdio_async()

    try:
        asyncio.run(serve())
    finally:
        searcher.close()
