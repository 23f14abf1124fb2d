"""The settings of a source that reads a double, for tests and benchmarks of whole syncs.

What belongs here: a source as the configuration has it, and the login it uses. What does not: what the
double holds (`confluence_sample`, `jira_sample`, `servicenow_sample`, `zendesk_sample`).
"""

from __future__ import annotations

from typing import Any

from rag_pipelines_tests.doubles.server import Server

TOKEN = "t"
LOGINS = {f"Bearer {TOKEN}": "sync", "Basic c3luYzp0": "sync"}
"""For the `logins` of the double."""


def source_of(connector: str, double: Server, *, cloud: bool, **settings: Any) -> dict[str, Any]:
    """A public source of kind `connector`; it waits little, so that faults cost little."""
    login: dict[str, Any]
    if connector == "servicenow":
        login = {"username": "sync", "password": TOKEN}
    elif connector == "zendesk":
        login = {"oauth_token": TOKEN, "tickets": True, "private_comments": "agents"}
    else:
        login = {
            "deployment": "cloud" if cloud else "data_center",
            "oauth_token" if cloud else "personal_access_token": TOKEN,
        }
    options = {
        "url": double.url,
        **login,
        "directory": "example.com",
        "retry_delay": 0.01,
        "read_timeout": 0.5,
    }
    return {"connector": connector, "options": options, "access": "public", **settings}
