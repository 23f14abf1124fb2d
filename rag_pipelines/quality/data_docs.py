"""Data Docs: Great Expectations' own static site of what the suites found.

What belongs here: collecting reports and having the library render them. What does not: running a suite
(`library`). The library's pages fetch their style, scripts and logo from seven hosts, and its index page is
empty without them. `_make_self_contained` takes those out and puts a small style sheet in, and the index is
our own, so that a page asks nobody for anything, whoever opens it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any
from uuid import uuid4

from rag_pipelines.errors import UsageError
from rag_pipelines.quality.library import ExpectationResult, library_context, run_whole_suite
from rag_pipelines.quality.suites import Suite

_SCRIPTS = re.compile(r"<script\b.*?</script>", re.IGNORECASE | re.DOTALL)
_REMOTE_ELEMENTS = re.compile(
    r"""<(?:link|img|iframe)\b[^>]*\b(?:href|src)=["'](?:https?:)?//[^>]*>""", re.IGNORECASE
)
_REMOTE_STYLES = re.compile(r"""url\(\s*["']?(?:https?:)?//[^)]*\)|@import[^;]*;""", re.IGNORECASE)
_MARK = ".rag-pipelines-data-docs"
"""A file that says that a folder is a site of ours, which may be written over."""


class DataDocs:
    """Reports of suites, collected while they run, then written as a site."""

    def __init__(self, out: Path) -> None:
        """Take `out` as the folder of the site. Raises `UsageError` if it holds anything else."""
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / _MARK).exists())):
            raise UsageError(
                f"--out: received {out}, which holds something else; valid: a new or empty folder, or one "
                "that this command has written"
            )
        self.out = out
        self._begun = datetime.now(UTC)
        self._reports: list[tuple[str, Any]] = []

    def runner(self, source: str) -> Any:
        """A way to run suites (`runner.RunSuite`) that keeps their reports as those of `source`."""

        def run(url: str, suite: Suite, params: Mapping[str, Any]) -> list[ExpectationResult]:
            results, report = run_whole_suite(url, suite, params, f"{source}.{suite.name}")
            self._reports.append((source, report))
            return results

        return run

    def write(self) -> Path:
        """Render what was collected; the page to open first."""
        if self.out.exists():
            shutil.rmtree(self.out)
        self.out.mkdir(parents=True)
        (self.out / _MARK).touch()
        context, site = library_context(), uuid4().hex
        for source, report in self._reports:
            self._keep(context, source, report)
        context.add_data_docs_site(site, _site(self.out))
        try:
            context.build_data_docs(site_names=[site])
        finally:
            context.delete_data_docs_site(site)
        index = self.out / "index.html"
        index.write_text(self._index(), "utf-8")
        for page in self.out.rglob("*.html"):
            if page != index:
                _make_self_contained(page)
        return index

    def _index(self) -> str:
        """The page that leads to all others: one row a suite of a source."""
        rows = []
        for source, report in self._reports:
            _, _, suite = report.suite_name.partition(".")
            held, asked = (report.statistics[f"{kind}_expectations"] for kind in ("successful", "evaluated"))
            found = self.out.glob(f"validations/{source}/{suite}/**/{source}.html")
            page = next(found).relative_to(self.out).as_posix()
            verdict = "passed" if report.success else "FAILED"
            cells = (source, f'<a href="{escape(page)}">{escape(suite)}</a>', verdict, f"{held} of {asked}")
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        return _INDEX.format(style=_style(), time=f"{self._begun:%Y-%m-%d %H:%M} UTC", rows="\n".join(rows))

    def _keep(self, context: Any, source: str, report: Any) -> None:
        from great_expectations import ExpectationSuite
        from great_expectations.core.run_identifier import RunIdentifier
        from great_expectations.data_context.types.resource_identifiers import (
            ExpectationSuiteIdentifier,
            ValidationResultIdentifier,
        )

        run = RunIdentifier(run_name="quality", run_time=self._begun)
        expectations = [answer.expectation_config.to_domain_obj() for answer in report.results]
        context.suites.add_or_update(ExpectationSuite(name=report.suite_name, expectations=expectations))
        version = report.meta["great_expectations_version"]
        report.meta = {"run_id": run, "great_expectations_version": version}
        key = ValidationResultIdentifier(
            expectation_suite_identifier=ExpectationSuiteIdentifier(report.suite_name),
            run_id=run,
            batch_identifier=source,
        )
        context.validation_results_store.set(key, report)


def _site(out: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(out)},
    }


def _make_self_contained(page: Path) -> None:
    """Take scripts and whatever comes from elsewhere out of a page, and put our style sheet in."""
    html = page.read_text("utf-8")
    for pattern in (_SCRIPTS, _REMOTE_ELEMENTS, _REMOTE_STYLES):
        html = pattern.sub("", html)
    page.write_text(html.replace("</head>", f"<style>\n{_style()}</style>\n</head>", 1), "utf-8")


def _style() -> str:
    return Path(__file__).with_name("data_docs.css").read_text("utf-8")


_INDEX = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Data quality</title>
<style>
{style}</style>
</head>
<body>
<div class="container-fluid">
<h1>Data quality, {time}</h1>
<table>
<thead><tr><th>source</th><th>suite</th><th>verdict</th><th>expectations that hold</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p>Rendered with Great Expectations.</p>
</div>
</body>
</html>
"""
