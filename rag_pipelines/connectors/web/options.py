"""The settings of a web source.

What belongs here: which addresses are wanted, and how politely they are read. What does not: reading.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from rag_pipelines.connectors.base import from_config_folder
from rag_pipelines.connectors.paths import check_patterns
from rag_pipelines.connectors.rest import HttpOptions

PAGES = ("text/html", "application/xhtml+xml")


class WebOptions(HttpOptions):
    """Settings of a web source: where to begin, what to follow, and at which pace."""

    sitemaps: tuple[str, ...] = Field((), description="URLs of sitemaps, or of indexes of sitemaps")
    start: tuple[str, ...] = Field((), description="URLs of pages whose links are followed")
    depth: int = Field(10, ge=0, le=100, description="links to follow from a start page, one after the other")
    hosts: tuple[str, ...] = Field((), description="further hosts that belong to the site")
    include: tuple[str, ...] = Field((), description="patterns of paths to include; none means all")
    exclude: tuple[str, ...] = Field((), description="patterns of paths to exclude; wins over include")
    query: Literal["keep", "drop"] = Field(
        "keep", description="whether addresses that differ behind '?' are different pages"
    )
    unlinked: Literal["keep", "drop"] = Field(
        "keep", description="what becomes of a page that nothing links any more and that still answers"
    )
    media_types: tuple[str, ...] = Field(
        (*PAGES, "application/pdf"), description="what is a document; everything else is passed over"
    )
    max_pages: int = Field(100_000, gt=0, description="a listing that meets more is incomplete")
    max_variants: int = Field(
        100,
        gt=0,
        description="addresses of one path that differ behind '?'; calendars and filters have no end",
    )
    max_bytes: int = Field(20_000_000, gt=0, description="a larger page or file is a failed document")
    robots: Literal["obey", "ignore"] = Field(
        "obey", description="robots.txt and robots directives; ignore them on sites of your own only"
    )
    user_agent: str = Field("rag-pipelines", min_length=1, description="whom robots.txt addresses")
    delay: float = Field(
        0.0, ge=0, le=60, description="seconds between requests to a host; a Crawl-delay may ask for more"
    )
    trust_lastmod: float = Field(
        0.0,
        ge=0,
        le=365,
        description="days for which a page is not asked for while its lastmod in a sitemap stands; 0: every "
        "run asks for every page",
    )
    private_addresses: bool = Field(
        False, description="whether hosts of private networks may be read, for sites inside of one"
    )
    authorization: SecretStr | None = Field(
        None, description="Authorization header, sent to the hosts of sitemaps and start pages"
    )
    cache_dir: Path | None = Field(
        None, description="folder for what was read of each page, so that an unchanged one is not sent again"
    )

    @field_validator("sitemaps", "start")
    @classmethod
    def _urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
                raise ValueError(f"{url!r} is not an address like https://docs.example.com/sitemap.xml")
        return urls

    @field_validator("cache_dir")
    @classmethod
    def _cache_dir(cls, folder: Path | None, info: ValidationInfo) -> Path | None:
        return folder and Path(from_config_folder(str(folder), info))

    @field_validator("include", "exclude")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        check_patterns(patterns)
        return patterns

    @model_validator(mode="after")
    def _begins_somewhere(self) -> WebOptions:
        if not (self.sitemaps or self.start):
            raise ValueError("give sitemaps, start, or both: nothing says where the site begins")
        if self.trust_lastmod and not (self.sitemaps and self.cache_dir):
            raise ValueError(
                "trust_lastmod needs sitemaps, which say when a page was changed, and cache_dir, "
                "where that is kept"
            )
        return self
