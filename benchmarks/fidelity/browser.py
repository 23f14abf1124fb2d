"""What Chromium shows of a page: its text after layout, scripts off and nothing fetched.

What belongs here: driving the browser and asking a laid-out page for its text, rows and hidden words. What
does not: which pages a mail or a book consists of (`mail`, `books`).

The browser is driven by the WebDriver protocol (https://www.w3.org/TR/webdriver2/) through chromedriver.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

PAGE_SECONDS = 60

ASK = r"""
const shown = element => element.checkVisibility({visibilityProperty: true});
const kinds = ['caption', 'figcaption', 'table', 'pre', 'dl', 'button', 'select', 'details', 'nav', 'aside',
  'header', 'footer', 'form', 'svg', 'math', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'li', 'a', 'p'];
const root = document.body || document.documentElement;
const pieces = [], hidden = [], ordinals = [];
const block = element => {
  while (element.parentElement && /^(inline|contents)/.test(getComputedStyle(element).display))
    element = element.parentElement;
  return element;
};
// Text as laid out: two pieces of a block are one word only where one begins right where the other ends.
const read = (top, collect) => {
  const walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT), range = document.createRange();
  let text = '', last = null, holder = null;
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!parent || parent.closest('script, style, template')) continue;
    if (parent.closest('noscript') || !shown(parent)) { if (collect) hidden.push(node.data); continue; }
    range.selectNodeContents(node);
    const places = range.getClientRects();
    if (!places.length) { if (node.data.trim() && collect) hidden.push(node.data); continue; }
    const first = places[0];
    const within = block(parent);
    const abuts = last && within === holder && Math.abs(first.left - last.right) < 1
      && first.top < last.bottom && last.top < first.bottom;
    const breaks = last && first.top >= last.bottom - 1;
    text += (abuts ? '' : breaks ? '\n' : ' ') + node.data;
    last = places[places.length - 1];
    holder = within;
    if (collect && node.data.trim())
      pieces.push([kinds.find(kind => parent.closest(kind)) || 'text', node.data]);
  }
  return text;
};
const text = read(root, true);
for (const element of document.querySelectorAll('[alt], [title], [placeholder], [value], [aria-label]'))
  for (const name of ['alt', 'title', 'placeholder', 'value', 'aria-label'])
    if (element.hasAttribute(name)) hidden.push(element.getAttribute(name));
for (const list of document.querySelectorAll('ol'))
  [...list.children].forEach((item, at) => ordinals.push((list.start || 1) + at));
const rows = [], spans = [];
for (const row of document.querySelectorAll('tr')) {
  if (!shown(row) || row.querySelector('table')) continue;
  rows.push([...row.cells].filter(shown).map(cell => read(cell, false)));
  for (const cell of row.cells)
    for (let more = cell.rowSpan * cell.colSpan; more > 1 && more < 200; more--)
      spans.push(read(cell, false));
}
return {text, pieces, rows, hidden: [document.title, ...hidden, ...ordinals].join('\n'),
  spans: spans.join('\n')};
"""


class Shown(NamedTuple):
    """A page as shown: text, (kind of element, text) of each piece, table rows; and its unseen words."""

    text: str
    pieces: list[tuple[str, str]]
    rows: list[list[str]]
    hidden: str
    spans: str


class Browser:
    """One headless browser for many pages; use it as a context."""

    def __enter__(self) -> Browser:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._address = f"http://127.0.0.1:{port}"
        self._driver = subprocess.Popen(
            ["nice", "-n", "10", "chromedriver", f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        arguments = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,2000"),
            *("--allow-file-access-from-files", "--host-resolver-rules=MAP * ~NOTFOUND"),
        ]
        asked = {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}, "pageLoadStrategy": "normal"}}
        for patience in range(100):
            try:
                self._session = self._send("POST", "/session", {"capabilities": asked})["sessionId"]
                break
            except urllib.error.URLError:
                if patience == 99:
                    raise
                time.sleep(0.1)
        self._post("/goog/cdp/execute", cmd="Emulation.setScriptExecutionDisabled", params={"value": True})
        self._post("/timeouts", pageLoad=PAGE_SECONDS * 1000, script=PAGE_SECONDS * 1000)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._send("DELETE", f"/session/{self._session}", None)
        finally:
            self._driver.terminate()
            self._driver.wait()

    def show(self, page: Path) -> Shown:
        """What a page in a file shows."""
        self._post("/url", url=page.resolve().as_uri())
        found = self._post("/execute/sync", script=ASK, args=[])
        return Shown(
            found["text"],
            [(kind, text) for kind, text in found["pieces"]],
            found["rows"],
            found["hidden"],
            found["spans"],
        )

    def _post(self, path: str, **body: Any) -> Any:
        return self._send("POST", f"/session/{self._session}{path}", body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        request = urllib.request.Request(
            self._address + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=2 * PAGE_SECONDS) as answer:
            return json.load(answer)["value"]
