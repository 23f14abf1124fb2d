"""``rag-pipelines serve``: the HTTP service with its search page."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Any

import typer

from rag_pipelines import logs
from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import records, say
from rag_pipelines.cli.ports import require_port
from rag_pipelines.errors import UsageError


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on; serving.host by default.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one; serving.port by default.")
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Only print a new API key and its digest for the configuration.")
    ] = False,
) -> None:
    """Answer searches over HTTP, and show the search page.

    Who may log in, limits and everything else is the section `serving` of the configuration.
    """
    if new_key:
        from rag_pipelines.serving.auth import new_key as make_key

        key, digest = make_key()
        say(f"key (for its owner, shown once): {key}\nsha256 (for serving.api_keys): {digest}")
        return
    uvicorn = _uvicorn()
    from rag_pipelines.serving.app import create_app

    chosen = invocation(context)
    serving = chosen.settings.serving
    address, number = host or serving.host, serving.port if port is None else port
    require_port(address, number)
    app = create_app(chosen.settings, chosen.database, chosen.embedders)
    app.state.service.backend.prove()
    _log_to_stderr()
    uvicorn.run(
        app,
        host=address,
        port=number,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(serving.trusted_proxies),
        forwarded_allow_ips=list(serving.trusted_proxies),
        timeout_graceful_shutdown=int(serving.drain.total_seconds()),
    )


def _uvicorn() -> Any:
    try:
        import fastapi  # noqa: F401
        import fastapi_offline  # noqa: F401
        import jwt  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UsageError(f"{error}; install it with: pip install 'rag-pipelines[serve]'") from error
    return uvicorn


def _log_to_stderr() -> None:
    """Requests as JSON and nothing else, and the server's own records in the form of all others."""
    told = logging.StreamHandler(sys.stderr)
    told.setFormatter(logs.FORMATTERS["json" if records.kept else "text"]())
    bare = logging.StreamHandler(sys.stderr)
    bare.setFormatter(logging.Formatter("%(message)s"))
    for name in ("rag_pipelines", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [told]
        logger.setLevel(logging.INFO)
    access = logging.getLogger("rag_pipelines.serving.access")
    access.addHandler(bare)
    access.propagate = False
