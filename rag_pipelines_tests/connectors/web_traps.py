"""A site with every trap that a crawler meets, and what each of them must come to.

What belongs here: the table of traps with their outcomes. What does not: reading the site (`test_web_traps`).

The front page links what `links` names. An outcome is what is listed (`documents`), what is said to have
failed with words of why (`failed`), and what must never be asked for (`unasked`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rag_pipelines_tests.doubles.faults import LOGIN_PAGE, Status
from rag_pipelines_tests.doubles.web_site import WebSite

PROSE = "<p>" + "A sentence of a page that has something to say. " * 12 + "</p>"
MOST = 100_000
"""Bytes of a page at most."""
PDF = b"%PDF-1.4\n%%EOF\n"
PRIVATE = "127.0.0.2"
"""Stands for an address inside of a network, where 127.0.0.1 stands for a public one."""

P = dict[str, Any]


def page(*links: str, head: str = "", **options: Any) -> P:
    """A page that links others."""
    return {"body": PROSE + "".join(f" <a href='{one}'>on</a>" for one in links), "head": head, **options}


def raw(body: bytes | str, **headers: str) -> P:
    """An answer as it stands."""
    data = body if isinstance(body, bytes) else body.encode()
    return {
        "body": "",
        "raw": data,
        "headers": {name.replace("_", "-"): one for name, one in headers.items()},
    }


def canonical(target: str) -> str:
    return f"<link rel='canonical' href='{target}'>"


@dataclass(frozen=True)
class Trap:
    """What stands at which path, and what becomes of it."""

    name: str
    links: tuple[str, ...]
    pages: dict[str, P] = field(default_factory=dict)
    moved: dict[str, tuple[str, int]] = field(default_factory=dict)
    documents: frozenset[str] = frozenset()
    failed: dict[str, str] = field(default_factory=dict)
    unasked: frozenset[str] = frozenset()


def trap(name: str, *links: str, documents: str = "", unasked: str = "", **rest: Any) -> Trap:
    """`documents` and `unasked` are paths, separated by spaces."""
    return Trap(
        name, links, documents=frozenset(documents.split()), unasked=frozenset(unasked.split()), **rest
    )


TRAPS = (
    trap(
        "a page that moved for good is listed where it is",
        "/old",
        moved={"/old": ("/new", 301)},
        pages={"/new": page()},
        documents="/new",
    ),
    trap(
        "a page that is elsewhere for now is listed there, once",
        "/today",
        "/issue/7",
        moved={"/today": ("/issue/7", 302)},
        pages={"/issue/7": page()},
        documents="/issue/7",
    ),
    trap(
        "a circle of redirects is said",
        "/loop/a",
        moved={"/loop/a": ("/loop/b", 301), "/loop/b": ("/loop/a", 302)},
        failed={"/loop/a": "redirected more than 5 times"},
    ),
    trap(
        "a chain that is too long is said",
        "/hop/0",
        moved={f"/hop/{n}": (f"/hop/{n + 1}", 301) for n in range(9)},
        failed={"/hop/0": "redirected more than 5 times"},
        unasked="/hop/8",
    ),
    trap(
        "what moved to another site is left",
        "/sold",
        "/for-now",
        moved={"/sold": ("https://shop.example.net/", 301), "/for-now": ("https://shop.example.net/", 302)},
    ),
    trap(
        "a redirect into the private network is not followed",
        "/inside",
        moved={"/inside": ("{private}/secret", 302)},
        failed={"/inside": "not a public address"},
        unasked="/secret",
    ),
    trap(
        "a redirect to a login is said",
        "/members",
        moved={"/members": ("https://id.example.net/login?back=members", 302)},
        failed={"/members": "redirects to the login"},
    ),
    trap(
        "a login with status 200 is said",
        "/account",
        pages={"/account": raw(LOGIN_PAGE)},
        failed={"/account": "a login instead of the page"},
    ),
    trap(
        "a page that says with status 200 that it is not there is said",
        "/soft",
        pages={"/soft": {"body": "<p>Sorry, page not found.</p>"}},
        failed={"/soft": "no such page"},
    ),
    trap(
        "a long page about pages that are not there is a page",
        "/about-404",
        pages={"/about-404": page(head="<title>404: page not found, explained</title>")},
        documents="/about-404",
    ),
    trap(
        "a page that is closed for now is said",
        "/status",
        pages={"/status": {"body": "<p>Down for maintenance.</p>"}},
        failed={"/status": "closed for now"},
    ),
    trap("what is not there is left", "/gone", "/gone-for-good"),
    trap("what is refused is said", "/staff", failed={"/staff": "staff"}),
    trap(
        "a page that fails once is read the second time",
        "/flaky",
        pages={"/flaky": page()},
        documents="/flaky",
    ),
    trap(
        "an answer without content is said",
        "/empty",
        pages={"/empty": raw(b"")},
        failed={"/empty": "nothing in it"},
    ),
    trap(
        "a page that is empty without scripts is said",
        "/app",
        pages={
            "/app": raw(
                "<html><head><script src='a.js'></script></head><body><div id='root'></div></body></html>"
            )
        },
        failed={"/app": "nothing without scripts"},
    ),
    trap(
        "a page above the limit of bytes is said",
        "/huge",
        pages={"/huge": {"body": PROSE * 400}},
        failed={"/huge": f"more than {MOST:,} bytes"},
    ),
    trap(
        "pages of a calendar without end are cut off and said",
        "/calendar?month=0",
        pages={f"/calendar?month={n}": page(f"/calendar?month={n + 1}") for n in range(30)},
        documents=" ".join(f"/calendar?month={n}" for n in range(5)),
        failed={"/calendar": "max_variants = 5"},
        unasked="/calendar?month=9",
    ),
    trap(
        "a path that leads ever deeper into itself ends",
        "/more/",
        pages={"/more/" * 1 + "more/" * n: page("more/") for n in range(9)},
        documents="/more/ /more/more/ /more/more/more/",
    ),
    trap(
        "a session in an address makes no other page",
        "/shop?PHPSESSID=a1",
        "/cart;jsessionid=0A?item=1",
        pages={"/shop": page("/shop?PHPSESSID=b2"), "/cart?item=1": page("/cart;jsessionid=0B?item=1")},
        documents="/shop /cart?item=1",
    ),
    trap(
        "where a visitor comes from makes no other page",
        "/offer?utm_source=mail",
        "/offer?gclid=7",
        pages={"/offer": page()},
        documents="/offer",
    ),
    trap(
        "a copy is listed as the page that it names",
        "/print/guide",
        pages={"/print/guide": page(head=canonical("/guide")), "/guide": page()},
        documents="/guide",
    ),
    trap(
        "pages that name each other are not both lost",
        "/twin/a",
        pages={"/twin/a": page(head=canonical("/twin/b")), "/twin/b": page(head=canonical("/twin/a"))},
        documents="/twin/b",
    ),
    trap(
        "a page whose canonical address is not there is itself",
        "/orphan",
        pages={"/orphan": page(head=canonical("/never"))},
        documents="/orphan",
    ),
    trap(
        "a canonical address elsewhere does not count",
        "/partner",
        pages={"/partner": page(head=canonical("https://partner.example.net/"))},
        documents="/partner",
    ),
    trap(
        "languages are pages of their own",
        "/en/start",
        pages={
            f"/{one}/start": page(
                "/en/start",
                "/de/start",
                head=f"<link rel='alternate' hreflang='{other}' href='/{other}/start'>"
                + canonical(f"/{one}/start"),
            )
            for one, other in (("en", "de"), ("de", "en"))
        },
        documents="/en/start /de/start",
    ),
    trap(
        "a page that sends its readers on at once is not one",
        "/splash",
        pages={
            "/splash": {"body": "Moved.", "head": "<meta http-equiv='refresh' content='0; url=/inner'>"},
            "/inner": page(),
        },
        documents="/inner",
    ),
    trap(
        "links that are not to be followed are not",
        "/signpost",
        pages={
            "/signpost": {"body": PROSE + "<a rel='nofollow' href='/unvouched'>x</a>"},
            "/unvouched": page(),
        },
        documents="/signpost",
        unasked="/unvouched",
    ),
    trap(
        "a page that keeps its links to itself is one",
        "/closed-list",
        pages={
            "/closed-list": page("/entry", head="<meta name='robots' content='nofollow'>"),
            "/entry": page(),
        },
        documents="/closed-list",
        unasked="/entry",
    ),
    trap(
        "a page that is not to be indexed still leads on",
        "/index-of-all",
        "/by-header",
        pages={
            "/index-of-all": page("/one-of-all", head="<meta name='robots' content='noindex'>"),
            "/one-of-all": page(),
            "/by-header": page(headers={"X-Robots-Tag": "noindex"}),
        },
        documents="/one-of-all",
    ),
    trap(
        "what robots.txt does not allow is not asked for",
        "/private/a",
        pages={"/private/a": page()},
        unasked="/private/a",
    ),
    trap(
        "links are relative to the base of a page",
        "/based",
        pages={"/based": page("leaf", head="<base href='/tree/'>"), "/tree/leaf": page()},
        documents="/based /tree/leaf",
    ),
    trap(
        "dots in links lead up",
        "/a/b/c",
        pages={"/a/b/c": page("../../up", "../../../../../top"), "/up": page(), "/top": page()},
        documents="/a/b/c /up /top",
    ),
    trap(
        "a fragment makes no other page",
        "/chapters",
        pages={"/chapters": page("#one", "#two", "/chapters#three")},
        documents="/chapters",
    ),
    trap(
        "links of other kinds are left",
        "/contact",
        pages={
            "/contact": page(
                "mailto:ann@example.com",
                "tel:+49",
                "javascript:void(0)",
                "data:text/html,x",
                "http://[broken",
                "",
            )
        },
        documents="/contact",
    ),
    trap(
        "however a letter is written it is one page",
        "/caf%C3%A9",
        "/caf%c3%a9",
        "/café",
        "/%63af%C3%A9",
        pages={"/café": page()},
        documents="/caf%C3%A9",
    ),
    trap(
        "with and without a slash at its end is one page",
        "/faq",
        "/faq/",
        moved={"/faq/": ("/faq", 301)},
        pages={"/faq": page()},
        documents="/faq",
    ),
    trap(
        "a character set that only the page tells is used",
        "/latin",
        pages={
            "/latin": raw(
                "<html><head><meta charset='windows-1252'></head><body><h1>Straße</h1>".encode("cp1252")
                + f"{PROSE}<a href='/größe'>x</a></body></html>".encode("cp1252"),
                Content_Type="text/html",
            ),
            "/größe": page(),
        },
        documents="/latin /gr%C3%B6%C3%9Fe",
    ),
    trap(
        "what is declared as something else is left, and a PDF is told",
        "/notes",
        "/plan",
        pages={
            "/notes": raw("<html><body>x</body></html>", Content_Type="text/plain"),
            "/plan": raw(PDF, Content_Type="application/octet-stream"),
        },
        documents="/plan",
    ),
    trap(
        "tags that nobody closed hide no links",
        "/unclosed",
        pages={"/unclosed": {"body": "<div>" * 400 + PROSE + "<a href='/found'>x</a>"}, "/found": page()},
        documents="/unclosed /found",
    ),
    trap(
        "what a frame shows is a page",
        "/frame",
        pages={"/frame": {"body": PROSE + "<iframe src='/framed'></iframe>"}, "/framed": page()},
        documents="/frame /framed",
    ),
    trap(
        "that nothing changed is no answer to who knows nothing",
        "/unchanged",
        failed={"/unchanged": "304", "links of /unchanged": "304"},
    ),
    trap(
        "what only a packed sitemap in an index names is read, and no other site that it names",
        pages={"/mapped": page()},
        documents="/mapped",
    ),
    trap(
        "a sitemap in a chain of indexes without end is not read, which is said",
        pages={"/chained": page()},
        failed={"/chain/6.xml": "an index in an index"},
        unasked="/chain/7.xml /chained",
    ),
)


def build(site: WebSite) -> None:
    """Every trap, the front page that leads to them, robots.txt, sitemaps, and what fails."""
    private = site.url.replace("127.0.0.1", PRIVATE)
    for one in TRAPS:
        for path, options in one.pages.items():
            site.page(path, **options)
        site.moved |= {
            path: (to.replace("{private}", private), status) for path, (to, status) in one.moved.items()
        }
    site.page("/", **page(*(link for one in TRAPS for link in one.links)))
    site.robots = "User-agent: *\nDisallow: /private/\n"
    packed = site.sitemap("/packed.xml.gz", [site.url + "/mapped", "https://example.net/x"], packed=True)
    for step in range(9):
        site.sitemap(f"/chain/{step}.xml", [f"{site.url}/chain/{step + 1}.xml"], index=True)
    site.sitemap("/chain/9.xml", [site.url + "/chained"])
    site.sitemap("/sitemap.xml", [packed, site.url + "/chain/1.xml"], index=True)
    site.faults.script(Status(500), path="/flaky")
    site.faults.script(Status(410), path="/gone-for-good", times=9)
    site.faults.script(Status(401), path="/staff", times=9)
    site.faults.script(Status(304), path="/unchanged", times=9)
