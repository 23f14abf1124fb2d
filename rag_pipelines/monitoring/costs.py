"""What models cost, summed for people and as rows that tools for cloud costs read.

What belongs here: sums over the ledger, and its form as FOCUS. What does not: the ledger (`store.ledger`),
budgets (`sync.plan`).

FOCUS is the FinOps Open Cost and Usage Specification, here in version 1.0: one row a charge, every column
that it asks for, empty where it does not apply. See https://focus.finops.org/focus-specification/v1-0/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args

import msgspec

from rag_pipelines.store.ledger import Spent

Dimension = Literal["day", "month", "purpose", "source", "tenant", "index", "model"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

FOCUS_COLUMNS = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
)


class Sum(msgspec.Struct, frozen=True):
    """What was spent on one value of each dimension, in the order in which they were asked for."""

    values: tuple[str, ...]
    inputs: int
    tokens: int
    requests: int
    seconds: float
    cost: float


def sum_spent(spent: Sequence[Spent], by: Sequence[Dimension]) -> list[Sum]:
    """The ledger by some dimensions. What several indexes share counts under their names together."""
    groups: dict[tuple[str, ...], list[Spent]] = {}
    for one in spent:
        groups.setdefault(tuple(_value(one, dimension) for dimension in by), []).append(one)
    return [
        Sum(
            values,
            sum(one.inputs for one in rows),
            sum(one.tokens for one in rows),
            sum(one.requests for one in rows),
            round(sum(one.seconds for one in rows), 3),
            round(sum(one.cost for one in rows), 6),
        )
        for values, rows in sorted(groups.items())
    ]


def focus_rows(spent: Sequence[Spent], *, account: str, currency: str) -> Iterator[dict[str, str]]:
    """The ledger as FOCUS has it: a charge for each row, of tokens by the thousand.

    Args:
        account: who pays, as the reader of the rows calls it.
        currency: the ISO 4217 code of the prices in the configuration.
    """
    empty = dict.fromkeys(FOCUS_COLUMNS, "")
    for one in spent:
        provider, _, model = one.model.partition("/")
        start = datetime(one.day.year, one.day.month, one.day.day, tzinfo=UTC)
        month, thousands = start.replace(day=1), one.tokens / 1000
        cost, price = f"{one.cost:.6f}", f"{one.cost / thousands if thousands else 0.0:.9f}"
        tags = {
            "purpose": one.purpose,
            "source": one.source,
            "tenant": one.tenant,
            "indexes": ",".join(one.indexes),
        }
        yield empty | {
            "BilledCost": cost,
            "BillingAccountId": account,
            "BillingAccountName": account,
            "BillingCurrency": currency,
            "BillingPeriodStart": _time(month),
            "BillingPeriodEnd": _time((month + timedelta(days=32)).replace(day=1)),
            "ChargeCategory": "Usage",
            "ChargeDescription": f"{one.purpose}: {one.inputs} texts embedded by {one.model}",
            "ChargeFrequency": "Usage-Based",
            "ChargePeriodStart": _time(start),
            "ChargePeriodEnd": _time(start + timedelta(days=1)),
            "ConsumedQuantity": f"{thousands:.3f}",
            "ConsumedUnit": "1000 Tokens",
            "ContractedCost": cost,
            "ContractedUnitPrice": price,
            "EffectiveCost": cost,
            "InvoiceIssuerName": provider,
            "ListCost": cost,
            "ListUnitPrice": price,
            "PricingCategory": "Standard",
            "PricingQuantity": f"{thousands:.3f}",
            "PricingUnit": "1000 Tokens",
            "ProviderName": provider,
            "PublisherName": provider,
            "ResourceId": one.model,
            "ResourceName": model or provider,
            "ResourceType": "Embedding model",
            "ServiceCategory": "AI and Machine Learning",
            "ServiceName": "Embeddings",
            "SkuId": one.model,
            "SkuPriceId": one.model,
            "SubAccountId": one.tenant,
            "SubAccountName": one.tenant,
            "Tags": msgspec.json.encode({name: value for name, value in tags.items() if value}).decode(),
        }


def _value(one: Spent, dimension: Dimension) -> str:
    if dimension == "month":
        return f"{one.day:%Y-%m}"
    if dimension == "index":
        return ", ".join(one.indexes)
    value: str | date = getattr(one, dimension)
    return str(value)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
