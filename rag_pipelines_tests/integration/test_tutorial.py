"""The tutorial does what it says: its files, its commands, in its order.

What belongs here: docs/tutorial.md from its first answer to its first deletion. What does not: the steps that
install something or open a browser, and whether other pages are right (`test_docs`).
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from rag_pipelines.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
SECTIONS = dict(
    re.findall(r"^## .*?\{ #([\w-]+) \}\n(.*?)(?=^## [^\n]*\{ #|\Z)", PAGE, re.MULTILINE | re.DOTALL)
)


def blocks(section: str, kind: str) -> list[str]:
    """The blocks of a section, in their order."""
    return re.findall(rf"^```{kind}[^\n]*\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)


def test_the_tutorial_can_be_followed_step_by_step(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    travel = tmp_path / "docs" / "travel.md"
    travel.parent.mkdir()
    travel.write_text(blocks("configure", "text")[0])
    written = yaml.safe_load(blocks("configure", "yaml")[0])
    here = {  # A database and a model that are quick, where the tutorial has the embedded ones.
        "data_dir": str(tmp_path / "home"),
        "database": {"url": database_url},
        "limits": {"workers": 1, "sandbox": False},
        "profiles": {"embedding": {"default": {"provider": "hash"}}},
    }
    (tmp_path / "rag.yaml").write_text(yaml.safe_dump({**written, **here}))
    monkeypatch.setenv("RAG_CONFIG", "rag.yaml")

    def follow(section: str) -> list[tuple[int, str]]:
        """Run the commands of a section; their exit codes and what they print."""
        lines = [line for block in blocks(section, "console") for line in block.splitlines()]
        ended = []
        for line in lines:
            if line.startswith("printf"):
                (tmp_path / shlex.split(line)[-1]).write_bytes(b"%PDF-1.7 broken")
            elif line.startswith("rag-pipelines"):
                result = CliRunner().invoke(main.app, shlex.split(line)[1:])
                ended.append((result.exit_code, result.output))
        return ended

    assert [code for code, _ in follow("configure")] == [0, 0]
    ingested, built, answered = follow("first-answer")
    assert (ingested[0], built[0], answered[0]) == (0, 0, 0)
    assert "version 1 of main is live" in built[1]
    assert "38 pounds" in answered[1]

    travel.write_text(travel.read_text().replace("38", "42"))
    planned, ingested, failed, built, answered = follow("change")
    assert (planned[0], ingested[0], failed[0], built[0], answered[0]) == (3, 3, 0, 0, 0)
    assert "1 embedded" in ingested[1]
    assert "broken.pdf" in failed[1]
    assert "42 pounds" in answered[1]

    versions, back, old, forward = follow("go-back")
    assert [versions[0], back[0], old[0], forward[0]] == [0, 0, 0, 0]
    assert "version 1 of main is live" in back[1]
    assert "38 pounds" in old[1]
    assert "version 3 of main is live" in forward[1]

    (tmp_path / "docs" / "broken.pdf").unlink()
    ingested, shown = follow("delete")
    assert (ingested[0], shown[0]) == (0, 0)
    assert "1 deleted" in ingested[1]
