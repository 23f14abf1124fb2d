"""What connectors of REST interfaces share: settings of a connection, and reading JSON and bytes by path.

What belongs here: requests by path below one address. What does not: retries and errors of HTTP
(`http.session`), logins (`http.oauth`), or what any endpoint's answer means (the connectors).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from rag_pipelines.connectors.base import Options, from_config_folder

if TYPE_CHECKING:
    import requests

    from rag_pipelines.http.credentials import Credential
    from rag_pipelines.http.pacing import Patience
    from rag_pipelines.http.session import Traffic


def _trim(value: str | None) -> str | None:
    return value.strip() or None if value else None


Trimmed = Annotated[str | None, AfterValidator(_trim)]
"""An option that is text, or nothing."""


class SiteAddress(NamedTuple):
    """What the address of a vendor's site looks like.

    `login` are the options that a login belongs into, `cloud` the ends of the names of the vendor's own
    hosts, which are reached by https only. `has_path`: a site may stand below a path.
    """

    example: str
    login: str
    cloud: tuple[str, ...]
    has_path: bool = False

    def read(self, value: str) -> str:
        """The address without a slash at its end. Raises `ValueError` saying what is wrong with it."""
        value = value.strip().rstrip("/")
        parts = urlsplit(value)
        try:
            port_fits = parts.port is None or parts.port > 0
        except ValueError:
            port_fits = False
        if parts.scheme not in ("https", "http") or not parts.hostname or not port_fits:
            raise ValueError(f"must be like {self.example}")
        if "@" in parts.netloc:
            raise ValueError(f"credentials do not belong into the URL; put them into {self.login}")
        if parts.query or parts.fragment:
            raise ValueError("give the address of the site, without '?' and '#'")
        if parts.path and not self.has_path:
            raise ValueError("give the address of the site alone, without a path")
        if parts.scheme == "http" and parts.hostname.endswith(self.cloud):
            raise ValueError(f"{parts.hostname} is reached by https only")
        return value


class HttpOptions(Options):
    """How a server is talked to."""

    model_config = ConfigDict(hide_input_in_errors=True)

    verify_tls: bool = Field(True, description="whether the server's certificate is checked")
    ca_bundle: str | None = Field(
        None, description="file of CA certificates to trust instead of the public ones"
    )
    connect_timeout: float = Field(10.0, gt=0, description="seconds")
    read_timeout: float = Field(60.0, gt=0, description="seconds without data (read timeout)")
    total_timeout: float = Field(
        300.0, gt=0, description="seconds for one answer's body, however slowly it comes"
    )
    retries: int = Field(6, ge=0, le=20, description="tries of a request after the first")
    retry_delay: float = Field(
        0.5, gt=0, description="seconds at most before the first retry; doubles each time"
    )
    max_wait: float = Field(120.0, ge=0, description="seconds that all waits of one request add up to")
    concurrent_loads: int = Field(
        8, ge=1, le=64, description="contents loaded at once, and requests of one login under way at once"
    )

    requests_per_minute: int | None = Field(
        None,
        gt=0,
        description="requests of one login in a minute, from whatever process; by default any number",
    )

    @field_validator("ca_bundle")
    @classmethod
    def _ca_bundle(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value and from_config_folder(value, info)

    @model_validator(mode="after")
    def _trusts_one(self) -> HttpOptions:
        if self.ca_bundle and not self.verify_tls:
            raise ValueError(
                "ca_bundle says whom to trust, verify_tls false trusts everybody; give one of them"
            )
        return self

    @property
    def patience(self) -> Patience:
        """How long one request is tried."""
        from rag_pipelines.http.pacing import Patience

        return Patience(
            retries=self.retries,
            first_delay=self.retry_delay,
            max_wait=self.max_wait,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            total_timeout=self.total_timeout,
        )

    @property
    def verify(self) -> bool | str:
        """As of `HttpSession`."""
        return self.ca_bundle or True if self.verify_tls else False


class RestClient:
    """Reads one interface; loads may share it between threads. Raises what `http.statuses` says.

    Paths are relative to `url`, or whole URLs as answers give them. The login goes to where the credential
    belongs, and nowhere else.

    Args:
        transport: replaces clock, random numbers or shared state in tests (`Transport`'s arguments).
    """

    def __init__(self, url: str, options: HttpOptions, credential: Credential, **transport: Any) -> None:
        from rag_pipelines.http.session import HttpSession, Transport

        self.url = url.rstrip("/")
        self.credential = credential
        self.verify = options.verify
        self._transport = Transport(
            credential,
            options.patience,
            at_once=options.concurrent_loads,
            per_minute=options.requests_per_minute,
            **transport,
        )
        self._session = HttpSession(credential, self._transport, options.verify)

    @property
    def traffic(self) -> Traffic:
        """Requests and bytes so far."""
        return self._transport.traffic

    def get_json(
        self, path: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The decoded answer; values of `params` that are None are left out, lists are repeated."""
        from rag_pipelines.http.answers import decode_json

        return decode_json(self.get_response(path, params, headers).content)

    def get_response(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        max_bytes: int | None = None,
        redirects: bool = True,
    ) -> requests.Response:
        """The whole answer, for what its headers say. It is JSON unless `headers` accept something else."""
        import requests

        request = requests.Request(
            "GET",
            self._address(path),
            params=plain_params(params),
            headers={"Accept": "application/json", **(headers or {})},
        )
        return self._session.exchange(request, max_bytes=max_bytes, redirects=redirects)

    def post_json(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """The decoded answer to a POST that changes nothing: a search, a batch of questions.

        It is tried again like any other, and follows no redirect.
        """
        import requests

        from rag_pipelines.http.answers import decode_json

        request = requests.Request(
            "POST", self._address(path), json=body, headers={"Accept": "application/json", **(headers or {})}
        )
        return decode_json(self._session.exchange(request, reads=True).content)

    def get_bytes(
        self, path: str, max_bytes: int, size: int | None = None, *, anonymous: bool = False
    ) -> bytes:
        """The content at `path`. Raises `TooLargeDocumentError` above `max_bytes`.

        Give the `size` that a listing promised: without it, a file that breaks off is taken for whole where
        no header tells its length. `anonymous`: the address is a secret of its own and gets no login.
        """
        from rag_pipelines.http.credentials import Anonymous

        auth = Anonymous() if anonymous else None
        return self._session.get_bytes(self._address(path), max_bytes, size, auth)

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def _address(self, path: str) -> str:
        return path if urlsplit(path).scheme else f"{self.url}/{path.lstrip('/')}"


def plain_params(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters as they are sent: None is left out, and truth values are words."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in (params or {}).items()
        if value is not None
    }
