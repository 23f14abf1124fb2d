#!/usr/bin/env bash
# atlassian-python-api: the second page of a listing is asked beside a Confluence that lies under a path.
#
# Library    atlassian-python-api 5.0.5
# Behaviour  Confluence Data Center gives the next page as a path below its own address:
#            `/rest/api/content?...` with `_links.base` https://host/confluence. The client puts it below the
#            host: the first request goes to /confluence/rest/api/content, the second to /rest/api/content.
#            Where nothing is there it is an HTTPError. Where a portal answers with a page of its own and
#            status 200, which is usual for the root of a host, the answer is taken for text and the listing
#            ends without an error.
# Seen       nothing at the root    HTTPError after 25 of 60 pages
#            a portal at the root   25 of 60 pages, no error
# Who        Anybody whose wiki is one application of a host. A listing that ends early looks like deletions.
#            Here a link is followed below the site's address, and an answer that is not JSON is an error.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'atlassian-python-api==5.0.5' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

PAGES, AT_ONCE = 60, 25


class Host(BaseHTTPRequestHandler):
    """A host with Confluence under /confluence, and a portal or nothing at its root."""

    portal = False

    def do_GET(self) -> None:
        url = urlparse(self.path)
        if url.path.startswith("/confluence/rest/api/"):
            start = int(parse_qs(url.query).get("start", ["0"])[0])
            found = [{"id": str(n), "title": f"Page {n}"} for n in range(PAGES)[start : start + AT_ONCE]]
            links = {"base": f"http://127.0.0.1:{self.server.server_port}/confluence", "context": "/confluence"}
            if start + AT_ONCE < PAGES:
                links["next"] = f"/rest/api/content?spaceKey=HR&limit={AT_ONCE}&start={start + AT_ONCE}"
            body = {"results": found, "start": start, "limit": AT_ONCE, "size": len(found), "_links": links}
            self.answer(200, "application/json", json.dumps(body))
        elif self.portal:
            self.answer(200, "text/html", "<title>Our applications</title>")
        else:
            self.answer(404, "text/html", "<title>Not found</title>")

    def answer(self, status: int, kind: str, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def probe() -> None:
    from atlassian.confluence import ConfluenceServer
    from requests import HTTPError

    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = {}
    for root in ("nothing at the root", "a portal at the root"):
        Host.portal = root.startswith("a portal")
        client = ConfluenceServer(url=f"http://127.0.0.1:{server.server_port}/confluence", token="any")
        listed = 0
        try:
            for _ in client.get_all_pages_from_space("HR"):
                listed += 1
            found[root] = f"{listed} of {PAGES} pages, no error"
        except HTTPError:
            found[root] = f"HTTPError after {listed} of {PAGES} pages"
        print(f"{root:<22} {found[root]}")
    server.shutdown()
    assert list(found.values()) == ["HTTPError after 25 of 60 pages", "25 of 60 pages, no error"], found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
