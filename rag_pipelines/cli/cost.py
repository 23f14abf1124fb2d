"""``rag-pipelines cost``: what models cost, by day, source, tenant, index or model."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, cast

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import print_json, print_table, say
from rag_pipelines.errors import UsageError


class CostFormat(StrEnum):
    """What is printed."""

    table = "table"
    json = "json"
    focus = "focus"


_DAYS = ["%Y-%m-%d"]


def cost(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="Sum by this; may be repeated. By default month and source."),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=_DAYS, help="The first day, in UTC; by default 90 days ago.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=_DAYS, help="The last day, in UTC; by default today.")
    ] = None,
    format: Annotated[
        CostFormat, typer.Option("--format", help="focus: CSV for tools that read cloud costs.")
    ] = CostFormat.table,
    account: Annotated[str, typer.Option(help="With focus: who pays.")] = "rag-pipelines",
    currency: Annotated[str, typer.Option(help="With focus: ISO 4217 code of the prices.")] = "USD",
) -> None:
    """Show what models were asked for and what it cost, by the prices in the configuration."""
    from rag_pipelines.monitoring.costs import (
        DIMENSIONS,
        FOCUS_COLUMNS,
        Dimension,
        focus_rows,
        sum_spent,
    )
    from rag_pipelines.store.ledger import spent_since

    unknown = [one for one in by or () if one not in DIMENSIONS]
    if unknown:
        raise UsageError(f"received --by {unknown[0]}; valid: {', '.join(DIMENSIONS)}")
    dimensions = cast(list[Dimension], by or ["month", "source"])
    today = datetime.now(UTC).date()
    first = since.date() if since else today - timedelta(days=90)
    last = until.date() if until else today
    if last < first:
        raise UsageError(f"received --since {first} and --until {last}; the first day comes first")
    with invocation(context).database.connection() as connection:
        spent = spent_since(connection, first, last + timedelta(days=1))
    if format is CostFormat.focus:
        writer = csv.DictWriter(sys.stdout, FOCUS_COLUMNS)
        writer.writeheader()
        writer.writerows(focus_rows(spent, account=account, currency=currency))
        return
    sums = sum_spent(spent, dimensions)
    if format is CostFormat.json:
        print_json([dict(zip(dimensions, one.values, strict=True)) | _figures(one) for one in sums])
    elif not sums:
        say(f"nothing was asked of a model from {first} to {last}")
    else:
        columns = (*dimensions, "texts", "tokens", "requests", "seconds", "cost")
        print_table(columns, ((*one.values, *_figures(one).values()) for one in sums))


def _figures(one: object) -> dict[str, float]:
    names = ("inputs", "tokens", "requests", "seconds", "cost")
    return {name: getattr(one, name) for name in names}
