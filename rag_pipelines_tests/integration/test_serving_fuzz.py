"""Whatever is sent, the service answers as its OpenAPI document says, and never with an error of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from rag_pipelines_tests.integration.serving import CRM, HR, made_app, sent_to, served, two_tenants

EXAMPLES = 40
"""Requests of each kind, valid and invalid, for a path and method."""

KEY = {"X-API-Key": HR}


def unsayable(body: Any) -> bool:
    """Whether OpenAPI cannot say if it is valid: the order of two times, what is left of a text, sizes, what
    contradicts itself."""
    return isinstance(body, dict) and bool(body.keys() & {"filters", "where", "access", "sendings"})


def test_no_request_makes_it_fail_or_answer_undeclared(tmp_path: Path, database_url: str) -> None:
    team = two_tenants(tmp_path, database_url)
    sent_to(team)
    app = made_app(team)
    fuzzed = settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    answers: dict[str, set[int]] = {}
    with served(team, app) as client:
        base = str(client.base_url)
        schema = schemathesis.openapi.from_dict(app.openapi())
        for operation in (found.ok() for found in schema.get_all_operations()):
            kinds = list(GenerationMode) if operation.body else [GenerationMode.POSITIVE]
            for kind in kinds:

                @fuzzed
                @given(operation.as_strategy(kind))
                def probe(case: schemathesis.Case) -> None:
                    login = KEY
                    if "source" in case.path_parameters:
                        login = {"X-API-Key": CRM}
                        case.path_parameters["source"] = "crm"
                    answer = case.call(base_url=base, headers=login)
                    answers.setdefault(case.path, set()).add(answer.status_code)
                    beside = [positive_data_acceptance] if unsayable(case.body) else []
                    case.validate_response(answer, headers=login, excluded_checks=beside)

                probe()
    team.close()
    assert answers.keys() == app.openapi()["paths"].keys()
    push = "/v1/push/{source}"
    assert {202, 422} <= answers[f"{push}/document"] | answers[f"{push}/batch"]
    assert {200, 422} <= answers["/v1/search"]
    assert {404, 422} <= answers["/v1/feedback"]
    assert max(max(statuses) for statuses in answers.values()) < 500
