#!/usr/bin/env bash
# atlassian-python-api: a listing of a space ends at the first page that is shorter than was asked for.
#
# Library    atlassian-python-api 5.0.5; see atlassian-api/atlassian-python-api#1598
# Behaviour  `Confluence.get_all_pages_from_space_as_generator` asks for `limit` pages at a time and stops
#            at the first answer that holds fewer, although that answer names the next one in `_links.next`.
#            Confluence may answer with fewer at any time: it lowers the limit where bodies or restrictions
#            are expanded, and leaves out what the account may not read after it has cut the page.
# Seen       Of 250 pages, from a server that gives at most 50 at once, it lists 50 and reports no error.
# Who        Anybody who copies a space with it: what was not listed looks deleted. The Confluence connector
#            follows `_links.next` itself, uses no paging of the library, and deletes nothing on a listing
#            whose count does not agree.
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

PAGES, AT_MOST = 250, 50


class Server(BaseHTTPRequestHandler):
    """The listing of a space's pages, as Confluence answers it, with a limit of the server's own."""

    def do_GET(self) -> None:
        asked = parse_qs(urlparse(self.path).query)
        start, limit = int(asked.get("start", ["0"])[0]), min(int(asked.get("limit", ["25"])[0]), AT_MOST)
        found = [
            {"id": str(n), "type": "page", "title": f"Page {n}"} for n in range(PAGES)[start : start + limit]
        ]
        links = {"next": f"/rest/api/content?spaceKey=HR&start={start + limit}&limit={limit}"}
        body = {"results": found, "start": start, "limit": limit, "size": len(found)}
        body["_links"] = links if start + limit < PAGES else {}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def probe() -> None:
    from atlassian import Confluence

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = Confluence(url=f"http://127.0.0.1:{server.server_port}", token="any", cloud=False)
    listed = list(client.get_all_pages_from_space_as_generator("HR", limit=100))
    server.shutdown()
    print(f"{len(listed)} of {PAGES} pages were listed")
    assert len(listed) == AT_MOST, f"{len(listed)} pages were listed, not {AT_MOST}"


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH DAGSTER_DISABLE_TELEMETRY=true FINDING_FOLDER="$folder" venv/bin/python probe.py
