"""Log records: fields beside a message, the context of a block, and the two forms that are written."""

from __future__ import annotations

import io
import json
import logging
import threading
from contextvars import copy_context

import pytest

from rag_pipelines import logs

log = logs.get("rag_pipelines.sync.example")


def lines_of(format: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    with logs.written(stream, level, format):
        log.debug("looked")
        with logs.context(run=7, source="wiki"):
            log.info("stage ended", stage="list and load", seconds=1.5, listed=40, window=None)
    return stream


def test_a_json_record_has_its_fields_beside_time_level_and_message():
    (line,) = lines_of("json").getvalue().splitlines()
    record = json.loads(line)
    time = record.pop("time")

    assert record == {
        "level": "info",
        "logger": "rag_pipelines.sync.example",
        "message": "stage ended",
        "run": 7,
        "source": "wiki",
        "stage": "list and load",
        "seconds": 1.5,
        "listed": 40,
    }
    assert time.endswith("Z")


def test_a_text_record_is_one_line_with_blanks_quoted():
    (line,) = lines_of("text").getvalue().splitlines()

    assert line.endswith(
        'INFO    sync.example: stage ended  run=7 source=wiki stage="list and load" seconds=1.5 listed=40'
    )


@pytest.mark.parametrize(("level", "count"), [("debug", 2), ("info", 1), ("warning", 0)])
def test_the_level_decides_what_is_written(level: str, count: int):
    assert len(lines_of("json", level).getvalue().splitlines()) == count


def test_the_context_ends_with_its_block_and_reaches_threads_that_take_it():
    stream = io.StringIO()
    with logs.written(stream, "info", "json"):
        with logs.context(source="wiki"):
            context = copy_context()
            thread = threading.Thread(target=context.run, args=(log.info, "in a thread"))
            thread.start()
            thread.join()
        log.info("after")
    inside, after = map(json.loads, stream.getvalue().splitlines())

    assert inside["source"] == "wiki"
    assert "source" not in after


def test_a_line_break_in_a_field_does_not_break_the_line():
    stream = io.StringIO()
    with logs.written(stream, "info", "text"):
        log.info("request retried", reason="first\nsecond")

    assert len(stream.getvalue().splitlines()) == 1


def test_nothing_is_written_where_the_application_did_not_ask_for_it(capfd: pytest.CaptureFixture[str]):
    log.warning("worker died")

    assert capfd.readouterr() == ("", "")


def test_an_application_that_configured_logging_gets_the_records(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, logger="rag_pipelines"):
        log.info("run started", run=3)

    assert [(record.getMessage(), logs.fields_of(record)) for record in caplog.records] == [
        ("run started", {"run": 3})
    ]
