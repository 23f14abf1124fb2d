"""Settings that connectors share: addresses of sites, and text that may be left out."""

from __future__ import annotations

from typing import Any

import pytest

from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.errors import ConfigError

LOGINS: dict[str, dict[str, Any]] = {
    "confluence": {"oauth_token": "t"},
    "jira": {"oauth_token": "t"},
    "servicenow": {"username": "ann", "password": "t"},
    "zendesk": {"oauth_token": "t"},
}
CLOUD = {
    "confluence": "acme.atlassian.net",
    "jira": "acme.atlassian.net",
    "servicenow": "acme.service-now.com",
    "zendesk": "acme.zendesk.com",
}


def options(kind: str, **given: Any) -> Any:
    return make_connector("docs", kind, {"url": f"https://{CLOUD[kind]}", **LOGINS[kind], **given}).options


@pytest.mark.parametrize("kind", CLOUD)
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("{host}", "must be like https://"),
        ("ftp://{host}", "must be like https://"),
        ("https://", "must be like https://"),
        ("https://{host}:x", "must be like https://"),
        ("https://{host}:99999", "must be like https://"),
        ("https://ann:pw@{host}", "credentials do not belong into the URL; put them into"),
        ("https://{host}/?a=b", "without '?' and '#'"),
        ("https://{host}/#top", "without '?' and '#'"),
        ("http://{host}", "{host} is reached by https only"),
    ],
)
def test_an_address_that_is_none_of_a_site_is_refused(kind: str, url: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        options(kind, url=url.format(host=CLOUD[kind]))
    assert said.format(host=CLOUD[kind]) in str(raised.value)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize("kind", CLOUD)
def test_an_address_is_kept_without_what_means_nothing(kind: str) -> None:
    assert options(kind, url=f" https://{CLOUD[kind]}// ").url == f"https://{CLOUD[kind]}"
    assert options(kind, url="http://127.0.0.1:8090").url == "http://127.0.0.1:8090"


def test_only_what_may_stand_below_a_path_has_one() -> None:
    assert options("confluence", url="https://wiki.example.com/confluence/").url.endswith("/confluence")
    for kind in ("servicenow", "zendesk"):
        with pytest.raises(ConfigError, match="without a path"):
            options(kind, url=f"https://{CLOUD[kind]}/hc")
    with pytest.raises(ConfigError, match="without a path"):
        options("zendesk", brands=["https://shop.zendesk.com/hc"])


@pytest.mark.parametrize("kind", CLOUD)
def test_text_of_white_space_alone_counts_as_left_out(kind: str) -> None:
    assert options(kind, directory="  ").directory is None
    assert options(kind, directory=" acme ").directory == "acme"
