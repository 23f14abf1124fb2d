"""Reading over real sockets from a server with faults: what is tried again, what is told, what is secret."""

from __future__ import annotations

import datetime as dt
import gzip
import ipaddress
import json
import pickle
import random
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import requests.certs

from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
    ThrottledError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.http.answers import HttpResponse, decode_json, fault_of
from rag_pipelines.http.credentials import Anonymous, BearerCredential, Credential
from rag_pipelines.http.pacing import Pacer, Pacers, Patience, requested_wait
from rag_pipelines.http.session import HttpSession, Transport
from rag_pipelines.logs import fields_of
from rag_pipelines_tests.doubles.faults import (
    PROXY_PAGE,
    STORM,
    Close,
    Drip,
    Fault,
    Hang,
    Oversized,
    Status,
    Truncate,
    html_page,
)
from rag_pipelines_tests.doubles.server import Answer as Sent
from rag_pipelines_tests.doubles.server import Server, json_answer, redirect

TOKEN = "s3cr3t-T0ken"
BEARER = f"Bearer {TOKEN}"
NOW = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)


class FakeClock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return NOW.timestamp() + self.now - 1_000.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class NoJitter(random.Random):
    """Always the longest back-off."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Reader:
    """A session on a server, whose waits take no time."""

    def __init__(
        self, server: Server, token: str = TOKEN, pacers: Pacers | None = None, **patience: Any
    ) -> None:
        self.clock = FakeClock()
        settings = {"read_timeout": 0.2, "connect_timeout": 1.0, **patience}
        self.credential = Credential(server.url, f"Bearer {token}")
        self.transport = Transport(
            self.credential,
            Patience(**settings),
            clock=self.clock,
            rng=NoJitter(),
            pacers=pacers or Pacers(),
        )
        self.session = HttpSession(self.credential, self.transport)
        self._url = server.url

    def json(self, path: str = "/thing") -> Any:
        return self.session.get(self._url + path, headers={"Accept": "application/json"}).json()

    def bytes(self, path: str = "/file", max_bytes: int = 1_000_000) -> bytes:
        return self.session.get_bytes(self._url + path, max_bytes)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(logins={BEARER: "ann", "Bearer other": "bob"}) as server:
        server.route("/thing", lambda request: {"name": "thing", "words": ["a"] * 200})
        server.route(
            "/file", lambda request: Sent(200, bytes(range(256)) * 40, {"Content-Type": "image/png"})
        )
        yield server


@pytest.fixture
def reader(server: Server) -> Iterator[Reader]:
    reader = Reader(server)
    yield reader
    reader.session.close()


@pytest.mark.parametrize("fault", STORM, ids=lambda fault: repr(fault)[:60])
def test_every_passing_fault_is_tried_again(server: Server, reader: Reader, fault: Fault) -> None:
    server.faults.script(fault)
    assert reader.json()["name"] == "thing"
    assert len(server.requests()) == 2
    assert reader.transport.traffic.requests == 2
    assert reader.transport.traffic.retries == 1


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_file_that_breaks_off_is_read_again(server: Server, reader: Reader, framing: str) -> None:
    server.faults.script(Truncate(0.9, framing))
    whole = bytes(range(256)) * 40
    assert reader.session.get_bytes(server.url + "/file", 1_000_000, size=len(whole)) == whole
    assert len(server.requests()) == 2


def test_a_file_that_changed_since_it_was_listed_is_not_taken_for_broken_off(
    server: Server, reader: Reader
) -> None:
    assert len(reader.session.get_bytes(server.url + "/file", 1_000_000, size=99_999)) == 10_240
    assert len(server.requests()) == 1


@pytest.mark.parametrize(
    "fault", [Status(500), Close(), Truncate(), Hang()], ids=lambda fault: type(fault).__name__
)
def test_tries_are_bounded_and_waits_double(server: Server, fault: Fault) -> None:
    reader = Reader(server, retries=3, first_delay=1.0, read_timeout=0.1)
    server.faults.script(fault, times=100)
    with pytest.raises(TransientError):
        reader.json()
    assert len(server.requests()) == 4
    assert reader.clock.slept == [1.0, 2.0, 4.0]


def test_jitter_spreads_a_wait_over_its_whole_length() -> None:
    waits = [Patience(first_delay=1.0).backoff(3, random.Random(seed)) for seed in range(200)]
    assert min(waits) < 0.2
    assert 3.8 < max(waits) <= 4.0


def test_no_wait_is_longer_than_the_longest() -> None:
    assert Patience(first_delay=1.0, longest_delay=5.0).backoff(40, NoJitter()) == 5.0


def test_all_waits_of_a_request_stay_below_max_wait(server: Server) -> None:
    reader = Reader(server, retries=20, first_delay=1.0, max_wait=10.0)
    server.faults.script(Status(503), times=100)
    with pytest.raises(TransientError):
        reader.json()
    assert sum(reader.clock.slept) <= 10.0


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Status(429, retry_after=7), 7.0),
        (Status(503, retry_after=7), 7.0),
        (Status(429, retry_after=format_datetime(NOW + dt.timedelta(seconds=30), usegmt=True)), 30.0),
        (Status(429, headers={"X-RateLimit-Reset": "2026-11-20T12:02Z"}), 120.0),
        (Status(429, headers={"X-RateLimit-Interval-Seconds": "60"}), 60.0),
        (Status(429, retry_after="soon"), 0.0),
        (Status(429, retry_after=-5), 0.0),
    ],
    ids=["seconds", "503", "date", "reset", "interval", "nonsense", "negative"],
)
def test_a_server_says_when_to_come_back(server: Server, fault: Status, seconds: float) -> None:
    reader = Reader(server, first_delay=0.5)
    server.faults.script(fault)
    assert reader.json()["name"] == "thing"
    assert reader.clock.slept == [pytest.approx(seconds + 0.5)]


def test_a_wait_that_is_too_long_is_told_instead_of_waited(server: Server) -> None:
    reader = Reader(server, max_wait=60.0)
    server.faults.script(Status(429, retry_after=3_600))
    with pytest.raises(ThrottledError) as caught:
        reader.json()
    assert caught.value.retry_after == pytest.approx(3_600, abs=2)
    assert reader.clock.slept == []
    with pytest.raises(ThrottledError):
        reader.json()
    assert len(server.requests()) == 1, "the next request must not go out before its time"


def test_a_server_that_says_the_quota_is_spent_is_not_asked_before_it_is_filled(
    server: Server, reader: Reader
) -> None:
    spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Interval-Seconds": "4"}
    server.route("/spent", lambda request: json_answer({}, headers=spent))
    reader.json("/spent")
    server.faults.script(Status(404, headers=spent))
    with pytest.raises(MissingEntityError):
        reader.json()
    assert reader.clock.slept == [4.0]
    reader.json()
    assert reader.clock.slept == [4.0, 4.0]


def test_no_answer_locks_a_credential_for_good(server: Server) -> None:
    reader = Reader(server)
    server.faults.script(Status(429, retry_after="1e300"))
    with pytest.raises(ThrottledError) as caught:
        reader.json()
    assert caught.value.retry_after == pytest.approx(86_400, abs=1)


def test_an_outage_is_not_taken_for_a_rejected_login(server: Server, reader: Reader) -> None:
    server.faults.script(Status(503, headers={"X-AUSERNAME": "anonymous"}))
    assert reader.json()["name"] == "thing"


def test_a_shorter_wait_does_not_cut_a_longer_one_short() -> None:
    pacer, clock = Pacer(), FakeClock()
    for seconds in (100.0, 5.0):
        pacer.hold(seconds, clock)
    assert pacer.remaining(clock) == 100.0


def test_requests_of_one_credential_wait_together_and_those_of_another_do_not(server: Server) -> None:
    pacers = Pacers()
    throttled, same = Reader(server, pacers=pacers), Reader(server, pacers=pacers)
    other = Reader(server, token="other", pacers=pacers)
    server.faults.script(Status(429, retry_after=500))
    with pytest.raises(ThrottledError):
        throttled.json()
    assert other.json()["name"] == "thing"
    with pytest.raises(ThrottledError):
        same.json()
    assert len(server.requests()) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UsageError),
        (401, CredentialError),
        (403, ForbiddenEntityError),
        (404, MissingEntityError),
        (410, GoneError),
        (414, UsageError),
        (501, UsageError),
    ],
)
def test_a_refusal_is_told_at_once_with_the_servers_words(
    server: Server, reader: Reader, status: int, kind: type[RagError]
) -> None:
    server.faults.script(Status(status, body='{"errorMessages": ["no such JQL field"], "errors": {}}'))
    with pytest.raises(kind, match=f"/thing answered {status}: no such JQL field") as caught:
        reader.json()
    assert type(caught.value) is kind
    assert len(server.requests()) == 1
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Seraph-LoginReason": "AUTHENTICATION_DENIED"},
        {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"},
        {"X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE; login-url=https://wiki.example.com/login"},
        {"X-AUSERNAME": "anonymous"},
    ],
    ids=["seraph-denied", "seraph-failed", "captcha", "anonymous"],
)
@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_rejected_login_is_recognised_whatever_the_status(
    server: Server, reader: Reader, headers: dict[str, str], status: int
) -> None:
    """An expired token gets 200 with what anonymous people see: taken at its word, all else is deleted."""
    server.faults.script(Status(status, headers=headers, body='{"results": []}'))
    with pytest.raises(CredentialError):
        reader.json()


def test_a_valid_login_is_not_taken_for_a_rejected_one(server: Server, reader: Reader) -> None:
    fine = {"X-Seraph-LoginReason": "OK", "X-AUSERNAME": "ann"}
    server.faults.script(Status(403, headers=fine))
    with pytest.raises(ForbiddenEntityError):
        reader.json()


def test_a_login_page_instead_of_json_is_a_rejected_login(server: Server, reader: Reader) -> None:
    server.faults.script(html_page())
    with pytest.raises(CredentialError, match=r"Log in - Example SSO.*single sign-on"):
        reader.json()


def test_a_redirect_to_a_login_page_is_a_rejected_login(server: Server, reader: Reader) -> None:
    server.route("/old", lambda request: redirect("/login.action?os_destination=x"))
    server.route("/login.action", lambda request: Sent(200, b"<html>", {"Content-Type": "text/html"}))
    with pytest.raises(CredentialError, match=r"login\.action"):
        reader.json("/old")
    with pytest.raises(CredentialError, match=r"login\.action"):
        reader.bytes("/old")


def test_another_web_page_instead_of_json_passes_or_is_told(server: Server, reader: Reader) -> None:
    server.faults.script(html_page(page=PROXY_PAGE))
    assert reader.json()["name"] == "thing"
    server.faults.script(html_page(page=PROXY_PAGE), times=100)
    with pytest.raises(TransientError, match="Just a moment; that is a web page instead of JSON"):
        reader.json()


def test_a_web_page_is_fine_where_a_file_was_asked_for(server: Server, reader: Reader) -> None:
    page = b"<html><form class=login-form><input type=password></form></html>"
    server.route("/login.html", lambda request: Sent(200, page, {"Content-Type": "text/html"}))
    assert reader.bytes("/login.html") == page


def test_a_file_above_its_limit_is_not_read_to_its_end(server: Server) -> None:
    reader = Reader(server, read_timeout=10.0)
    server.faults.script(Oversized(20_000_000))
    with pytest.raises(TooLargeDocumentError, match=r"more than 100,000 bytes"):
        reader.bytes(max_bytes=100_000)
    assert reader.transport.traffic.bytes < 5_000_000


def test_a_wait_above_a_second_and_each_try_are_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults.script(Status(429, retry_after=7))
    server.faults.script(Status(500), nth=2)
    with caplog.at_level("INFO", logger="rag_pipelines"):
        Reader(server).json()
    told = [(record.levelname, record.getMessage(), fields_of(record)) for record in caplog.records]
    assert ("WARNING", "waiting for the server") in [(level, message) for level, message, _ in told]
    assert any(fields.get("seconds", 0) >= 7 for _, _, fields in told)
    tries = [fields for _, message, fields in told if message == "request retried"]
    assert ["429" in tries[0]["reason"], "500" in tries[1]["reason"]] == [True, True]


def test_a_file_of_exactly_its_limit_is_read(reader: Reader) -> None:
    assert len(reader.bytes(max_bytes=10_240)) == 10_240
    with pytest.raises(TooLargeDocumentError):
        reader.bytes(max_bytes=10_239)


def test_a_limit_counts_what_a_compressed_body_unfolds_to(server: Server, reader: Reader) -> None:
    server.faults.script(Oversized(2_000_000, compressed=True))
    with pytest.raises(TooLargeDocumentError):
        reader.bytes(max_bytes=100_000)
    assert reader.transport.traffic.bytes < 10_000


def test_a_listing_has_a_limit_too(server: Server, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_pipelines.http.session.MAX_ANSWER_BYTES", 10_000)
    server.faults.script(Oversized(20_000))
    with pytest.raises(UsageError, match="lower page_size"):
        reader.json()


def test_a_compressed_answer_is_unfolded(server: Server, reader: Reader) -> None:
    packed = gzip.compress(b'{"name": "packed"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    server.route("/packed", lambda request: Sent(200, packed, headers))
    assert reader.json("/packed") == {"name": "packed"}
    assert reader.transport.traffic.bytes == len(packed)


def test_a_body_that_drips_is_given_up(server: Server) -> None:
    credential = Credential(server.url, BEARER)
    patience = Patience(retries=0, read_timeout=5.0, total_timeout=0.15)
    session = HttpSession(credential, Transport(credential, patience, pacers=Pacers()))
    server.faults.script(Drip(0.005))
    with pytest.raises(TransientError, match=r"in 0\.15 s and was not done"):
        session.get(server.url + "/thing", headers={"Accept": "application/json"})
    session.close()


def test_a_host_that_does_not_answer_is_a_passing_fault(server: Server) -> None:
    reader = Reader(server, retries=1)
    server.stop()
    with pytest.raises(TransientError, match=r"did not answer: .*refused"):
        reader.json()


def test_connections_are_kept(server: Server, reader: Reader) -> None:
    for _ in range(5):
        reader.json()
        reader.bytes()
    assert len({entry.connection for entry in server.log}) == 1


def test_only_reading_is_allowed(server: Server, reader: Reader) -> None:
    with pytest.raises(UsageError, match="a connector only reads; POST"):
        reader.session.post(server.url + "/thing", json={})
    assert server.requests() == []


def test_a_redirect_elsewhere_is_followed_without_the_credential(server: Server, reader: Reader) -> None:
    """Confluence Cloud sends whoever asks for an attachment on to a media store."""
    with Server() as media:
        media.route("/stored", lambda request: Sent(200, b"bytes", {"Content-Type": "image/png"}))
        server.route("/file/1", lambda request: redirect(f"{media.origin}/stored?token=abc"))
        assert reader.bytes("/file/1") == b"bytes"
        assert [entry.authorization for entry in media.log] == [None]
    assert server.log[0].authorization == BEARER


def test_no_credential_of_a_netrc_file_is_sent(
    server: Server, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Server() as media:
        media.route("/stored", lambda request: Sent(200, b"bytes"))
        server.route("/file/1", lambda request: redirect(f"{media.origin}/stored"))
        reader.bytes("/file/1")
        reader.json()
        assert [entry.authorization for entry in media.log] == [None]
    assert {entry.authorization for entry in server.log} == {BEARER}


def test_json_is_not_taken_from_another_host(server: Server, reader: Reader) -> None:
    with Server() as elsewhere:
        server.route("/moved", lambda request: redirect(f"{elsewhere.origin}/thing"))
        with pytest.raises(
            CredentialError, match=r"redirects to http://127.*/thing, where the login is not sent"
        ):
            reader.json("/moved")
        assert elsewhere.log == []


def test_redirects_that_do_not_end_are_told(server: Server, reader: Reader) -> None:
    server.route("/round", lambda request: redirect("/round?token=abc"))
    with pytest.raises(UsageError, match="/round cannot be read: TooManyRedirects"):
        reader.json("/round")


def test_no_error_shows_a_credential(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    faults: list[Fault] = [
        Status(status, body=f"sent {BEARER}") for status in (400, 401, 403, 404, 410, 429, 500)
    ]
    faults += [Close(), Truncate(), html_page(page=f"<title>{TOKEN}</title>")]
    reader = Reader(server, retries=0)
    shown = [repr(reader.credential), repr(reader.session.auth), repr(reader.transport.traffic)]
    for fault in faults:
        server.faults.script(fault)
        with pytest.raises(RagError) as caught:
            reader.json()
        assert caught.value.__cause__ is None
        shown += [str(caught.value), repr(caught.value)]
        reader.clock.now += 1_000
    assert TOKEN not in " ".join([*shown, caplog.text])


def test_a_password_is_struck_out_too() -> None:
    credential = Credential("https://wiki.example.com", "Basic YW5uOmh1bnRlcjI=")
    answer = HttpResponse("https://wiki.example.com/x", 400, {}, b"not hunter2", True, credential.secrets)
    assert "hunter2" not in str(fault_of(answer))
    assert "hunter2" not in repr(answer.secrets and answer).replace(repr(answer.body), "")


def test_half_a_surrogate_pair_is_replaced_and_the_rest_kept() -> None:
    assert decode_json(b'{"title": "Caf\\u00e9 \\ud83d", "body": "a\xff"}') == {
        "title": "Café ?",
        "body": "a\ufffd",
    }
    with pytest.raises(ValueError, match="Expecting"):
        decode_json(b'{"title": ')


def test_threads_may_share_a_session(server: Server) -> None:
    reader = Reader(server, retries=20, read_timeout=2.0, max_wait=1e9)
    server.faults.storm(0.3, seed=1, kinds=[Status(500), Close(), Truncate()])
    with ThreadPoolExecutor(8) as pool:
        names = [thing["name"] for thing in pool.map(lambda _: reader.json(), range(40))]
    assert names == ["thing"] * 40
    reader.session.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return file


def test_certificates_are_checked(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", requests.certs.where())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(tls=context) as server:
        server.route("/thing", lambda request: {"name": "thing"})

        def read(verify: bool | str) -> Any:
            credential = Credential(server.url, BEARER)
            transport = Transport(credential, Patience(retries=2), clock=FakeClock(), pacers=Pacers())
            with HttpSession(credential, transport, verify) as session:
                return session.get(server.url + "/thing").json()

        with pytest.raises(UsageError, match=r"is not trusted.*ca_bundle"):
            read(True)
        assert server.log == []
        assert read(str(certificate)) == {"name": "thing"}
        with pytest.warns(Warning, match="Unverified HTTPS"):
            assert read(False) == {"name": "thing"}


def test_a_ca_bundle_that_is_not_there_is_told() -> None:
    credential = Credential("https://wiki.example.com", BEARER)
    with pytest.raises(ConfigError, match=r"ca_bundle: received '/nowhere\.pem'"):
        HttpSession(credential, Transport(credential), "/nowhere.pem")


class Changing:
    """Tokens of which each can be refused once."""

    identity = "changing"

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)

    def token(self) -> str:
        return self._tokens[0]

    def renew(self, refused: str) -> bool:
        if self._tokens[0] == refused and len(self._tokens) > 1:
            del self._tokens[0]
        return self._tokens[0] != refused


def bearer_session(server: Server, tokens: Changing, pacers: Pacers | None = None) -> HttpSession:
    credential = BearerCredential([server.url], tokens)
    transport = Transport(credential, clock=FakeClock(), rng=NoJitter(), pacers=pacers or Pacers())
    return HttpSession(credential, transport)


JSON = {"Accept": "application/json"}


def test_a_token_that_is_refused_is_renewed_once(server: Server) -> None:
    with bearer_session(server, Changing("expired", TOKEN)) as session:
        assert session.get(server.url + "/thing", headers=JSON).json()["name"] == "thing"
    assert [one.status for one in server.requests()] == [401, 200]


def test_a_token_that_is_refused_again_is_an_error(server: Server) -> None:
    refused = Changing("expired", "revoked", TOKEN)
    with bearer_session(server, refused) as session, pytest.raises(CredentialError):
        session.get(server.url + "/thing", headers=JSON)
    assert len(server.requests()) == 2


def test_a_token_goes_to_its_own_hosts_only(server: Server) -> None:
    with Server() as other:
        other.route("/file", lambda request: Sent(200, request.headers.get("Authorization", "-").encode()))
        server.route("/away", lambda request: redirect(other.url + "/file"))
        with bearer_session(server, Changing(TOKEN)) as session:
            assert session.get_bytes(other.url + "/file", 100) == b"-"
            assert session.get_bytes(server.url + "/away", 100) == b"-"


def test_an_address_that_is_a_secret_of_its_own_gets_no_login(server: Server) -> None:
    server.logins = None
    server.route("/signed", lambda request: Sent(200, request.headers.get("Authorization", "-").encode()))
    with bearer_session(server, Changing(TOKEN)) as session:
        assert session.get_bytes(server.url + "/signed", 100, auth=Anonymous()) == b"-"


class TestPost:
    """A POST that changes nothing."""

    @pytest.fixture(autouse=True)
    def _search(self, server: Server) -> None:
        server.route("/search", lambda request: {"asked": request.body.decode()}, "POST")

    def test_it_is_tried_again_as_a_get_is(self, server: Server, reader: Reader) -> None:
        server.faults.script(Status(503))
        server.faults.script(Truncate(0.5, "length"), nth=2)
        request = requests.Request("POST", server.url + "/search", json={"q": 1}, headers=JSON)
        assert reader.session.exchange(request, reads=True).json() == {"asked": '{"q": 1}'}
        assert len(server.requests()) == 3

    def test_one_that_may_change_something_is_not_sent(self, server: Server, reader: Reader) -> None:
        request = requests.Request("POST", server.url + "/search", json={}, headers=JSON)
        with pytest.raises(UsageError, match="only reads; POST is not allowed"):
            reader.session.exchange(request)
        assert server.requests() == []

    def test_it_follows_no_redirect(self, server: Server, reader: Reader) -> None:
        server.route("/moved", lambda request: redirect("/search", 307), "POST")
        request = requests.Request("POST", server.url + "/moved", json={}, headers={"Accept": "*/*"})
        assert reader.session.exchange(request, reads=True).status_code == 307


@pytest.mark.parametrize(("at_most", "met"), [(2, False), (3, True)])
def test_no_more_requests_of_a_credential_are_under_way_than_allowed(at_most: int, met: bool) -> None:
    pacer, three = Pacer(), threading.Barrier(3)

    def ask(_: int) -> bool:
        with pacer.turn(at_most):
            try:
                three.wait(timeout=30 if met else 0.1)
            except threading.BrokenBarrierError:
                return False
            return True

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(ask, range(3))) == {met}


class Queue(Pacer):
    """While its first request waits for a turn, another one is told to hold for five seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[float] = []
        self.clock = FakeClock()

    @contextmanager
    def turn(self, at_most: int) -> Iterator[None]:
        with super().turn(at_most):
            if not self.turns:
                self.hold(5, self.clock)
            self.turns.append(self.clock.now)
            yield


def test_a_request_that_waited_for_its_turn_looks_again_whether_it_may_go(server: Server) -> None:
    queue, pacers = Queue(), Pacers()
    pacers.of = lambda host, credential: queue  # type: ignore[method-assign]
    reader = Reader(server, pacers=pacers)
    queue.clock = reader.clock
    reader.json()
    assert reader.clock.slept == [5]
    assert queue.turns == [1_000, 1_005]
    assert reader.transport.traffic.requests == 1


def test_a_throttled_request_holds_back_the_others_before_it_gives_its_turn_away(server: Server) -> None:
    held: list[float] = []

    class Watched(Pacer):
        @contextmanager
        def turn(self, at_most: int) -> Iterator[None]:
            with super().turn(at_most):
                yield
                held.append(self.remaining(reader.clock))

    pacer, pacers = Watched(), Pacers()
    pacers.of = lambda host, credential: pacer  # type: ignore[method-assign]
    reader = Reader(server, pacers=pacers)
    server.faults.script(Status(429))
    reader.json()
    assert [wait > 0 for wait in held] == [True, False]


@pytest.mark.parametrize("reason", ["userRateLimitExceeded", "rateLimitExceeded"])
def test_a_refusal_for_too_many_requests_is_no_refusal_of_the_entity(reason: str) -> None:
    body = {"error": {"code": 403, "message": "slow down", "errors": [{"reason": reason}]}}
    answer = HttpResponse("https://h/x", 403, {}, json.dumps(body).encode(), wants_json=True)
    assert isinstance(fault_of(answer), ThrottledError)
    body["error"]["errors"] = [{"reason": "insufficientFilePermissions"}]
    answer = HttpResponse("https://h/x", 403, {}, json.dumps(body).encode(), wants_json=True)
    assert isinstance(fault_of(answer), ForbiddenEntityError)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"RateLimit-Reset": "7"}, 7),
        (200, {"RateLimit-Remaining": "0", "RateLimit-Reset": "9"}, 9),
        (200, {"RateLimit-Remaining": "3", "RateLimit-Reset": "9"}, None),
        (429, {"X-RateLimit-Reset": str(int(NOW.timestamp()) + 30)}, 30),
        (429, {"X-RateLimit-Reset": (NOW + dt.timedelta(seconds=40)).isoformat()}, 40),
        (429, {"Retry-After": "2", "RateLimit-Reset": "9"}, 2),
    ],
)
def test_a_server_says_in_its_own_header_when_to_go_on(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert requested_wait(status, headers, FakeClock()) == seconds
