"""Sign-in of people at an OIDC provider: the authorization code flow with PKCE, state and nonce.

What belongs here: the exchange with the provider, by Authlib, and whom its answer stands for. What does not:
checking what the provider signed (`auth`), sessions (`sessions`), and the browser (`sign_in_routes`).

- OpenID Connect Core 1.0, section 3.1; OpenID Connect RP-Initiated Logout 1.0
- RFC 7636 (PKCE), RFC 9207 (`iss` in the answer)
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from rag_pipelines.config.serving import OidcSettings, SignInSettings
from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.secrets.references import current
from rag_pipelines.serving.auth import LoginError, RequestCaller, Tokens
from rag_pipelines.text.canonical import clean

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import OAuth2Client

CALLBACK = "/auth/callback"
"""Below the address of the page: where the provider sends people back to."""

DESCRIPTION_KEPT = 3600.0
"""Seconds after which the provider is asked for its endpoints again."""

WAIT = 5.0
"""Seconds for one answer of the provider."""

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """A sign-in under way, kept by the browser that began it; `verifier` is that of PKCE."""

    state: str
    nonce: str
    verifier: str


class SignedIn(NamedTuple):
    """Who signed in; `shown` is what people call the account."""

    caller: RequestCaller
    shown: str


class SignIn:
    """The sign-in of one service. Safe to use from several threads.

    Raises:
        UsageError: Authlib is not installed.
    """

    def __init__(
        self,
        settings: OidcSettings,
        chosen: SignInSettings,
        tokens: Tokens,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            import authlib.integrations.httpx_client  # noqa: F401
        except ImportError as error:
            raise UsageError(f"{error}; install it with: pip install 'rag-pipelines[serve]'") from error
        self._settings = settings
        self._chosen = chosen
        self._tokens = tokens
        self._clock = clock
        self._about: Mapping[str, Any] = {}
        self._asked = float("-inf")
        self._lock = threading.Lock()

    def begin(self) -> tuple[str, Begun]:
        """The provider's address to send somebody to, and what the browser keeps meanwhile.

        Raises:
            TransientError: the provider cannot be reached.
        """
        from authlib.common.security import generate_token

        begun = Begun(*(generate_token(48) for _ in Begun._fields))
        with self._client() as client:
            address, _ = client.create_authorization_url(
                self._endpoint("authorization_endpoint"),
                state=begun.state,
                nonce=begun.nonce,
                code_verifier=begun.verifier,
            )
        return address, begun

    def finish(self, begun: Begun | None, answered: Mapping[str, str]) -> SignedIn:
        """Who signed in, by what the provider sent along when it sent the browser back.

        Raises:
            LoginError: this browser began no such sign-in, the provider refused, or it says nobody that is
                known here.
            TransientError: the provider cannot be reached.
        """
        if begun is None or not hmac.compare_digest(answered.get("state", "").encode(), begun.state.encode()):
            raise LoginError("this browser began no sign-in that this answer belongs to")
        if answered.get("iss", self._settings.issuer) != self._settings.issuer:
            raise LoginError("the answer is of another provider than the one that was asked")
        if "code" not in answered:
            raise LoginError(f"the provider refused: {answered.get('error', 'it sent no code')[:100]}")
        claims = self._exchange(begun, answered["code"])
        shown = next((claims[name] for name in ("name", "email", "sub") if claims.get(name)), "")
        return SignedIn(self._tokens.caller_of(claims), clean(str(shown))[:200])

    def end_address(self) -> str | None:
        """The provider's page that ends its own session, if that is wanted and there is one."""
        if not self._chosen.end_at_provider:
            return None
        try:
            place = self._describe().get("end_session_endpoint")
        except TransientError:
            return None
        after = {"client_id": self._chosen.client_id, "post_logout_redirect_uri": f"{self._chosen.url}/"}
        return f"{place}{'&' if '?' in place else '?'}{urlencode(after)}" if place else None

    def _exchange(self, begun: Begun, code: str) -> dict[str, Any]:
        """What the provider says of the person, for a code that counts once."""
        import httpx
        from authlib.common.errors import AuthlibBaseError

        try:
            with self._client() as client:
                given = client.fetch_token(
                    self._endpoint("token_endpoint"),
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=begun.verifier,
                )
                claims = self._tokens.claims(str(given.get("id_token", "")), self._chosen.client_id)
                self._check(claims, begun.nonce)
                if missing := self._wanted() - claims.keys():
                    claims = {**self._ask_for(missing, client, claims["sub"]), **claims}
        except AuthlibBaseError as error:
            raise LoginError(f"the provider refused the code: {error.error}") from None
        except (httpx.HTTPError, ValueError) as error:
            log.warning("the provider %s cannot be asked: %s", self._settings.issuer, type(error).__name__)
            raise TransientError("the provider cannot be reached now; try again later") from None
        if "groups" in claims.get("_claim_names", {}):
            log.warning("the provider left out the groups of %s, who have too many", claims["sub"])
        return claims

    def _check(self, claims: Mapping[str, Any], nonce: str) -> None:
        """That an ID token was made for this sign-in (OpenID Connect Core, section 3.1.3.7)."""
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise LoginError("the provider's answer belongs to another sign-in")
        if claims.get("azp", self._chosen.client_id) != self._chosen.client_id:
            raise LoginError("the provider's answer is for another client")

    def _wanted(self) -> set[str]:
        """The claims that say what the person may see."""
        tenant = self._settings.tenant_claim
        return {*self._settings.principals, *([tenant] if tenant else [])}

    def _ask_for(self, missing: set[str], client: OAuth2Client, subject: str) -> dict[str, Any]:
        """What only the provider's description of the person says; nothing where it has none."""
        place = self._describe().get("userinfo_endpoint")
        if place is None:
            return {}
        answer = client.get(place)
        answer.raise_for_status()
        said = answer.json()
        if not isinstance(said, dict) or said.get("sub") != subject:
            raise LoginError("the provider describes somebody else than it signed in")
        return {name: said[name] for name in {*missing, "email_verified", "name"} if name in said}

    def _client(self) -> OAuth2Client:
        from authlib.integrations.httpx_client import OAuth2Client

        chosen = self._chosen
        secret = current(chosen.client_secret.get_secret_value()) if chosen.client_secret else None
        methods = self._describe().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return OAuth2Client(
            chosen.client_id,
            secret,
            token_endpoint_auth_method=method if secret else "none",
            scope=" ".join(chosen.scopes),
            redirect_uri=chosen.url + CALLBACK,
            code_challenge_method="S256",
            timeout=WAIT,
            follow_redirects=False,
        )

    def _endpoint(self, name: str) -> str:
        place = self._describe().get(name)
        if not isinstance(place, str):
            log.warning("the description of %s has no %s", self._settings.issuer, name)
            raise TransientError("the provider does not say where people sign in")
        return place

    def _describe(self) -> Mapping[str, Any]:
        with self._lock:
            if self._clock() - self._asked >= DESCRIPTION_KEPT:
                try:
                    self._about = self._tokens.describe()
                except Exception as error:
                    issuer = self._settings.issuer
                    log.warning("%s does not describe itself: %s: %s", issuer, type(error).__name__, error)
                    raise TransientError("the provider cannot be reached now; try again later") from error
                self._asked = self._clock()
            return self._about
