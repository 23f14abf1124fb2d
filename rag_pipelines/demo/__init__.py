"""The demo: the handbook of a fictional company, its configuration, and golden questions about it.

Acme Sensors of Port Ferrow makes instruments for rivers; Brightwater Monitoring is its subsidiary and a
tenant of its own. `corpus/` has one folder per tenant, `help_center.yaml` the help center of Acme's customers
as Zendesk has it, which `help_center` answers for, and `queries.yaml` the questions. What belongs here: data
and the way to it. What does not: the code that ingests or asks.

Text documents are edited where they stand; PDF, office files and the e-mail are made by
``python tools/demo_corpus/build.py`` in the repository. Everybody of a tenant may read what is not
marked otherwise below; the rules are the `.access.yaml` files beside the documents.

    acme-sensors/                               group:everyone-acme
      handbook/
        welcome.md                              the company; front matter
        glossary.md                             what the abbreviations of the other documents mean
        travel-and-expenses-2024.md             outdated: superseded by the next
        travel-and-expenses-2026.md             in force; the other tenant has one too, with other figures
        leave-policy.html                       navigation, cookie banner, footer; rowspan and colspan
        remote-work.md                          prose
        information-security.md                 near-duplicate of the one in engineering/
        onboarding-checklist.docx               nested headings and lists, merged cells, header and footer
        willkommen-freiburg.md                  German
        emergency-contacts.txt                  tiny
        parental-leave.md                       empty file
      products/
        price-list-2026.csv                     part numbers
        fs-220-datasheet.pdf                    a table with lines
        fs-340-datasheet.pdf                    a table without lines
        fs-220-installation-guide.pdf           repeated header and footer, a table over a page break, a fact
                                                on page 3 only
        radar-or-ultrasonic.pdf                 two columns
        fs-110-guide-rapide.md                  French
        firmware-release-notes.md               version numbers, error codes, code blocks
        fs220-decoder.js                        source code
      operations/
        field-operations-manual.pdf             long: more than ten pages, twelve chapters; ligatures
        error-codes.md                          facts that stand in tables only
        gateway-offline-runbook.txt             plain text whose layout is its structure
        gw7-0412-excerpt.log                    a log file
        calibration-schedule.xlsx               two sheets, one with two tables; dates and numbers
        bridge-inspection-2026-04-scan.pdf      scanned: a picture without text
        commissioning-report-2019.pdf           corrupt: a transfer that broke off
      engineering/
        information-security.md                 near-duplicate of the one in handbook/
        meadow-api.md                           headings of four levels, code, tables
        on-call.md                              prose and a table
        postmortem-2026-03-14.md                a timeline; tells of what the log file shows
        meadow-architecture.pptx                slides with a table and speaker notes
        penetration-test-2026.md                group:engineering, but denied to group:contractors
      hr/                                       group:hr
        salary-bands-2026.xlsx                  confidential
        reorganisation-plan.md                  group:hr and group:leadership at once
        speak-up-channel.md                     public, inherits nothing
      finance/                                  group:finance or user:dana@acme-sensors.example
        quarterly-results-2026-q3.md            confidential
        supplier-bank-details.pdf               encrypted with a user password
        board/                                  group:leadership on top
          brightwater-earn-out.md               confidential
      support/
        service-levels.md                       a table of plans
        returns-and-rma.html                    nested list, code, a cell over four rows
        feedback-form-2026-05-19.txt            prompt injection: orders to a model, kept as received
        e-4417-at-wyke-mill.eml                 an answer above the quoted question, with an attachment
    brightwater/                                group:everyone-brightwater
      travel-and-expenses.md                    same title as the other tenant's, other figures
      station-register.csv                      semicolons between the columns
      sampling-procedure.docx                   numbered steps
      reservoir-alarm-levels.html               a table with two header rows
      contracts/                                group:legal-brightwater on top
        acme-service-agreement.pdf              confidential

In the help center, of the tenant acme-sensors, the segments of Zendesk decide: one article is for everybody,
one for distributors, one for agents.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

WITHOUT_TEXT: Mapping[str, str] = {
    "acme-sensors/handbook/parental-leave.md": "empty",
    "acme-sensors/operations/bridge-inspection-2026-04-scan.pdf": "empty",
    "acme-sensors/operations/commissioning-report-2019.pdf": "corrupt",
    "acme-sensors/finance/supplier-bank-details.pdf": "encrypted",
}
"""The documents that must not reach an index, and the status that each must end with."""


def corpus_path() -> Path:
    """The folder that holds one folder per tenant."""
    return _package_path("corpus")


def queries_path() -> Path:
    """The golden questions, a YAML file that explains its own fields."""
    return _package_path("queries.yaml")


def help_center_path() -> Path:
    """What the stand-in for Zendesk answers, a YAML file that explains its own fields."""
    return _package_path("help_center.yaml")


def _package_path(name: str) -> Path:
    return Path(str(files(__name__) / name))
