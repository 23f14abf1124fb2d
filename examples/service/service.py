"""A service that gives a model what it may read: numbered, cited passages, as far as the caller may see them.

uvicorn --app-dir examples/service service:app
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import rag_pipelines
from rag_pipelines.errors import RagError, TransientError

CONFIG = Path(__file__).parents[1] / "rag.yaml"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with rag_pipelines.open(CONFIG) as rag:
        app.state.index = rag.indexes["main"]
        yield


app = FastAPI(title="Cited context", lifespan=lifespan)


class Context(BaseModel):
    """What to put before a model; `citations` has one line for each number in the text."""

    text: str
    citations: list[str]


def principals(x_user: Annotated[str, Header()], x_groups: Annotated[str, Header()] = "") -> list[str]:
    """Who asks. FOR THIS EXAMPLE ONLY it is read from headers, which anybody can write: take the user and the
    groups from the token that your login has verified."""
    return [f"user:{x_user}", *(f"group:{group}" for group in x_groups.split())]


@app.get("/context")
def context(
    request: Request,
    question: str,
    caller: Annotated[list[str], Depends(principals)],
    max_tokens: Annotated[int, Query(ge=50, le=4000)] = 500,
) -> Context:
    index: rag_pipelines.Index = request.app.state.index
    result = index.search(question, tenant="default", principals=caller, k=5)
    packed = index.pack(result, max_tokens)
    return Context(text=packed.text, citations=[citation.line for citation in packed.citations])


@app.exception_handler(RagError)
async def explain(request: Request, error: RagError) -> JSONResponse:
    """An error of ours says in one sentence what is wrong and what to do."""
    return JSONResponse({"error": str(error)}, 503 if isinstance(error, TransientError) else 400)
