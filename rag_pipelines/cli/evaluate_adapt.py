"""``rag-pipelines eval adapt``: an adapter for the questions of an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag_pipelines.cli.golden_options import Split, Tenant, chosen_index, plain
from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, number, print_json, say, stage_bars


def adapt(
    context: typer.Context,
    index: Annotated[str, typer.Argument(metavar="INDEX", help="The index to learn for.")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The new folder to write it to.")],
    golden: Annotated[
        list[Path] | None,
        typer.Option(
            "--golden", metavar="GOLDEN", help="A golden set to learn from as well; may be repeated."
        ),
    ] = None,
    split: Split = None,
    restricted: Annotated[
        bool, typer.Option("--restricted", help="Also learn from documents with restricted access.")
    ] = False,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Learn an adapter for questions from an index's titles, headings and links, and from golden sets.

    No index changes. It is written only where it helps on questions that it was not learned from, more than
    chance would.
    """
    from rag_pipelines.evaluation.adapting import adapt as learn_adapter
    from rag_pipelines.evaluation.golden import read_golden

    chosen = invocation(context)
    name = chosen_index(chosen, index)
    with stage_bars(name, shown=not as_json) as progress:
        found = learn_adapter(
            chosen.runtime,
            name,
            out,
            golden=[read_golden(one, split) for one in golden or ()],
            restricted=restricted,
            tenant=tenant,
            progress=progress,
        )
    if as_json:
        print_json(plain(found))
        return
    gain, both = found.gain, found.hybrid_gain
    typer.echo(
        f"learned from {number(found.learned_from, 'question')}; on {found.tested} of other documents "
        f"nDCG@10 {found.before.ndcg:.4f} became {found.after.ndcg:.4f} by vectors: {gain.mean:+.4f} "
        f"({gain.low:+.4f} to {gain.high:+.4f}, p {gain.p:.3f}), hybrid {both.mean:+.4f} (p {both.p:.3f})"
    )
    if found.folder is None:
        typer.echo("that is no more than chance; nothing was written")
        return
    say(f"wrote {found.folder}")
    profile = chosen.settings.index(name).embedding
    typer.echo(
        "put into the configuration, then build a version and let the gates judge it:\n"
        f"  profiles:\n    embedding:\n      {profile}:\n        adapter: {out.resolve()}"
    )
