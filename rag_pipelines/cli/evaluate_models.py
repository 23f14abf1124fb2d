"""``rag-pipelines eval models``: which embedding model to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.golden_options import Golden, Index, Split, Tenant, chosen_index, plain
from rag_pipelines.cli.invocation import Invocation, invocation
from rag_pipelines.cli.output import AsJson, number, print_json, print_table, say, stage_bars

if TYPE_CHECKING:
    from rag_pipelines.embedding.profile import EmbeddingProfile
    from rag_pipelines.evaluation.models import BakeOff


def models(
    context: typer.Context,
    golden: Golden,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="An embedding profile, or a sentence-transformers model by name or folder; may be repeated. "
            "By default every profile of the configuration.",
        ),
    ] = None,
    index: Index = None,
    passages: Annotated[
        int, typer.Option(min=10, help="Embed at most this many: those that are expected, and others.")
    ] = 2_000,
    budget_ms: Annotated[
        float | None, typer.Option(min=0, help="The longest that embedding a question may take, in ms.")
    ] = None,
    budget_bytes: Annotated[
        int | None, typer.Option(min=1, help="The most that one vector may take.")
    ] = None,
    split: Split = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Compare embedding models on the passages of an index: quality, time, memory, size, licence.

    Nothing is stored, built or changed, and nothing is fetched that a profile does not allow.
    """
    from rag_pipelines.evaluation.golden import read_golden
    from rag_pipelines.evaluation.models import compare_models

    chosen = invocation(context)
    name = chosen_index(chosen, index)
    with stage_bars(name, shown=not as_json) as progress:
        found = compare_models(
            chosen.runtime,
            name,
            read_golden(golden, split),
            _profiles(chosen, name, model or ()),
            passages=passages,
            tenant=tenant,
            budget_ms=budget_ms,
            budget_bytes=budget_bytes,
            progress=progress,
        )
    if as_json:
        print_json(plain(found))
        return
    _show(found)


def _profiles(chosen: Invocation, index: str, asked: Sequence[str]) -> Mapping[str, EmbeddingProfile]:
    """The index's own model first, then those asked for, or else all that are configured."""
    from rag_pipelines.embedding.profile import EmbeddingProfile

    known = chosen.settings.profiles.embedding
    own = chosen.settings.index(index).embedding
    return {name: known[name] if name in known else EmbeddingProfile(model=name)
            for name in (own, *(asked or known))}  # fmt: skip


def _show(found: BakeOff) -> None:
    print_table(
        ("model", "dense nDCG@10", "hit@5", "hybrid nDCG@10", "hit@5", "against the first", "passages/s",
         "query ms", "memory MB", "licence"),
        [
            (one.name, f"{one.dense.ndcg:.4f}", f"{one.dense.hit:.3f}", f"{one.hybrid.ndcg:.4f}",
             f"{one.hybrid.hit:.3f}", f"{one.against_first.mean:+.4f} (p {one.against_first.p:.3f})",
             f"{one.passages_a_second:.1f}", f"{one.query_ms:.1f}",
             None if one.memory_mb is None else f"{one.memory_mb:.0f}", one.licence)
            for one in found.models
        ],
        title=f"{number(found.questions, 'question')} of {found.golden} over "
              f"{number(found.passages, 'passage')} of {found.index}",
    )  # fmt: skip
    print_table(
        ("model", "kept as", "bytes a vector", "dense nDCG@10"),
        [(one.name, form.name, form.bytes, f"{form.ndcg:.4f}") for one in found.models for form in one.forms],
    )
    taken = found.recommended
    if taken is None:
        say("no model is within the budget; raise it, or try a smaller model")
        return
    typer.echo(f"recommended: {taken.name}, kept as {taken.form.name} ({taken.form.bytes} bytes a vector)")
    if taken.best != taken.name:
        say(
            f"{taken.best} has {taken.best_gains.mean:+.4f} over it (p {taken.best_gains.p:.3f}), "
            "which these questions cannot tell from chance, and is slower"
        )
