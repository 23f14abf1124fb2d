"""What is particular to rows: formats, bad rows, columns, times, memory, Postgres."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rag_pipelines.connectors.base import Item, Window
from rag_pipelines.connectors.records import RecordsConnector
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.errors import ConfigError, CorruptDocumentError, TransientError, UsageError
from rag_pipelines.model import CLOSED, AccessRule
from rag_pipelines_tests.connectors.conformance import Listing


def connector(**options: Any) -> RecordsConnector:
    made = make_connector("rows", "records", options)
    assert isinstance(made, RecordsConnector)
    return made


def listing(**options: Any) -> Listing:
    return Listing.of(connector(**options).items())


def json_lines(path: Path, *rows: Mapping[str, Any] | str) -> str:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return str(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


ROW = {"id": "1", "text": "Body.", "name": "Title", "link": "https://x.example/1", "color": "red", "size": 7}


def test_columns_become_the_parts_of_a_document(path: Path) -> None:
    found = listing(path=json_lines(path, ROW), title="name", url="link", metadata=["color"])
    item = found.items["1"]
    assert (item.title, item.url, item.load()) == ("Title", "https://x.example/1", b"Body.")
    assert item.metadata == {"color": "red"}
    assert item.media_type == "text/plain"


def test_half_of_a_surrogate_pair_in_a_text_is_shown_as_lost(path: Path) -> None:
    row = r'{"id": "1", "text": ["cut \ud83d", "\udc00 😀"], "name": "\udcff", "note": {"\ud800": "\ud800"}}'
    found = listing(path=json_lines(path, row, ROW | {"id": "2"}), title="name", metadata=["note"])
    assert found.items["1"].load().decode() == "cut \ufffd\n\ufffd 😀"
    assert found.items["1"].title == "\ufffd"
    assert found.items["1"].metadata == {"note": {"\ufffd": "\ufffd"}}
    assert list(found.items) == ["1", "2"]
    assert not found.failures


def test_half_of_a_surrogate_pair_in_an_id_or_a_principal_fails_the_row(path: Path) -> None:
    row = r'{"id": "1\ud800", "text": "Body.", "who": "all"}'
    other = r'{"id": "2", "text": "Body.", "who": "\ud800"}'
    found = listing(path=json_lines(path, row, other), access="who")
    assert not found.items
    first, second = found.failures
    assert "line 1: '1\\ud800' holds half of a surrogate pair" in str(first.error)
    assert second.external_id == "2"
    assert not found.is_full


@pytest.mark.parametrize(
    "row", [r'{"id": "\ud800", "text": ', r'["\ud800"]', r'{"text": "\ud800", "id": NaN}']
)
def test_a_line_with_half_a_surrogate_pair_must_still_be_a_json_object(path: Path, row: str) -> None:
    (failure,) = listing(path=json_lines(path, row)).failures
    assert "line 1: not a JSON object" in str(failure.error)


def test_several_texts_are_joined_by_blank_lines_with_labels_if_wanted(path: Path) -> None:
    json_lines(path, {"id": 1, "summary": "Short.", "body": ["Long.", "Longer."], "note": None})
    columns = ["summary", "note", "body"]
    assert listing(path=str(path), text=columns).items["1"].load() == b"Short.\n\nLong.\nLonger."
    labelled = listing(path=str(path), text=columns, labels=True).items["1"].load()
    assert labelled == b"summary: Short.\n\nbody: Long.\nLonger."


def test_all_other_columns_are_metadata_on_request_and_json_can_hold_them(path: Path) -> None:
    json_lines(path, {**ROW, "nested": {"a": [1, None, 2.5]}})
    item = listing(path=str(path), title="name", url="link", metadata="*").items["1"]
    assert item.metadata == {"color": "red", "size": 7, "nested": {"a": [1, None, 2.5]}}


def test_metadata_alone_does_not_change_the_token_but_title_and_text_do(path: Path) -> None:
    def token(**changes: Any) -> str:
        json_lines(path, {**ROW, **changes})
        return listing(path=str(path), title="name", metadata="*").items["1"].token

    assert token() == token(color="blue")
    assert len({token(), token(name="Other"), token(text="Other.")}) == 3


@pytest.mark.parametrize("content_type", ["text/plain", "text/markdown", "text/html"])
def test_the_content_type_is_handed_to_the_parser(path: Path, content_type: str) -> None:
    assert (
        listing(path=json_lines(path, ROW), content_type=content_type).items["1"].media_type == content_type
    )


class TestBadRows:
    def test_each_is_told_with_its_line_and_the_rest_is_listed(self, path: Path) -> None:
        json_lines(path, ROW, "{broken", '["a", "list"]', "", {"text": "no id"}, {"id": " ", "text": "x"})
        found = listing(path=str(path))
        assert set(found.items) == {"1"}
        places = [failure.entity for failure in found.failures]
        assert places == [f"{path}, line {number}" for number in (2, 3, 5, 6)]
        assert "no column 'id'; valid are text" in str(found.failures[2].error)
        assert not found.is_full, "a row without a readable id may be any document"

    def test_a_row_with_an_id_but_no_text_column_is_a_failed_document(self, path: Path) -> None:
        found = listing(path=json_lines(path, {"id": "1", "body": "x"}))
        [failure] = found.failures
        assert failure.external_id == "1"
        assert "line 1: no column 'text'; valid are id, body" in str(failure.error)
        assert found.is_full

    def test_an_empty_text_is_left_to_the_parser(self, path: Path) -> None:
        assert listing(path=json_lines(path, {"id": "1", "text": None})).items["1"].load() == b""

    def test_of_two_rows_with_one_id_the_first_counts(self, path: Path) -> None:
        found = listing(path=json_lines(path, ROW, {**ROW, "text": "Second."}))
        assert found.items["1"].load() == b"Body."
        [failure] = found.failures
        assert failure.entity == f"{path}, line 2"
        assert "the id '1' came before" in str(failure.error)
        assert found.is_full

    def test_bytes_that_are_not_utf8_cost_their_own_row_only(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.csv"
        path.write_bytes(b"id,text\n1,good\n2,caf\xe9\n3,good\n")
        found = listing(path=str(path))
        assert set(found.items) == {"1", "3"}
        [failure] = found.failures
        assert failure.external_id == "2"
        assert "line 3: the row holds bytes that are not UTF-8" in str(failure.error)

    def test_an_endless_line_costs_its_own_row_only(self, path: Path) -> None:
        json_lines(path, {"id": "1", "text": "x" * 3_000_000}, {"id": "2", "text": "short"})
        found = listing(path=str(path), max_bytes=100)
        assert set(found.items) == {"2"}
        assert "more than 1,000,600 bytes" in str(found.failures[0].error)

    def test_a_time_that_is_none_fails_that_row(self, path: Path) -> None:
        found = listing(path=json_lines(path, {**ROW, "at": "yesterday"}), modified_at="at")
        assert "'yesterday' is not a time; valid is ISO 8601" in str(found.failures[0].error)


class TestAccess:
    @pytest.mark.parametrize(
        ("value", "rule"),
        [
            (["ann", "group:hr"], AccessRule((("ann", "group:hr"),))),
            ("group:hr, ann", AccessRule((("ann", "group:hr"),))),
            ([], CLOSED),
            ("", CLOSED),
            (None, CLOSED),
            (7, CLOSED),
        ],
    )
    def test_any_principal_of_the_column_may_see_and_unknown_is_closed(
        self, path: Path, value: Any, rule: AccessRule
    ) -> None:
        found = listing(path=json_lines(path, {**ROW, "who": value}), access="who")
        assert found.items["1"].access == rule

    def test_without_the_column_configured_the_default_of_the_source_holds(self, path: Path) -> None:
        assert listing(path=json_lines(path, ROW)).items["1"].access is None
        assert not connector(path=str(path)).capabilities.permissions

    def test_a_row_without_its_tenant_fails_rather_than_fall_to_another(self, path: Path) -> None:
        found = listing(
            path=json_lines(path, {**ROW, "org": ""}, {**ROW, "id": "2", "org": "acme"}), tenant="org"
        )
        assert found.items["2"].tenant == "acme"
        assert [failure.external_id for failure in found.failures] == ["1"]


class TestFormats:
    def write_csv(self, path: Path) -> None:
        with open(path, "w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file, delimiter="\t" if ".tsv" in path.name else ",").writerows(
                [["id", "text"], ["1", "two\nlines, a comma"], ["2", "x" * 200_000]]
            )

    @pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
    def test_csv_with_a_mark_quotes_newlines_and_long_fields(self, tmp_path: Path, name: str) -> None:
        self.write_csv(tmp_path / name)
        items = listing(path=str(tmp_path / name)).items
        assert items["1"].load() == b"two\nlines, a comma"
        assert items["2"].size == 200_000

    def test_csv_rows_of_the_wrong_width_are_told_with_their_line(self, tmp_path: Path) -> None:
        (tmp_path / "rows.csv").write_text("id,text\n1,a\n2,b,c\n\n3,d\n")
        found = listing(path=str(tmp_path / "rows.csv"))
        assert set(found.items) == {"1", "3"}
        assert "line 3: 3 fields where the header has 2" in str(found.failures[0].error)

    @pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
    def test_a_column_that_the_file_has_not_is_told_once_with_the_valid_ones(
        self, tmp_path: Path, name: str
    ) -> None:
        path = tmp_path / name
        if name.endswith("csv"):
            self.write_csv(path)
        else:
            write_parquet(path, {"id": ["1"], "text": ["a"]})
        found = listing(path=str(path), title="headline")
        [failure] = found.failures
        assert "no column 'headline'; valid are id, text" in str(failure.error)
        assert not found.is_full
        finding = connector(path=str(path), title="headline").check()[-1]
        assert not finding.ok
        assert "valid are id, text" in finding.detail

    def test_parquet_with_lists_times_and_no_numbers(self, tmp_path: Path) -> None:
        moment = datetime(2026, 5, 1, 12, tzinfo=UTC)
        columns = {
            "id": [1, 2],
            "text": ["a", "b"],
            "who": [["ann"], None],
            "at": [moment, None],
            "score": [float("nan"), 1.5],
            "day": [date(2026, 5, 1), None],
        }
        write_parquet(tmp_path / "rows.parquet", columns)
        found = listing(path=str(tmp_path / "rows.parquet"), access="who", modified_at="at", metadata="*")
        one, two = found.items["1"], found.items["2"]
        assert (one.access, two.access) == (AccessRule((("ann",),)), CLOSED)
        assert (one.modified_at, two.modified_at) == (moment, None)
        assert one.metadata == {"score": None, "day": "2026-05-01"}

    def test_gz_is_unpacked_on_the_fly(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl.gz"
        path.write_bytes(gzip.compress(json.dumps(ROW).encode()))
        assert listing(path=str(path)).items["1"].load() == b"Body."

    @pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"no gzip at all"])
    def test_a_damaged_gz_ends_as_an_incomplete_listing(
        self, tmp_path: Path, damage: Callable[[bytes], bytes]
    ) -> None:
        path = tmp_path / "rows.jsonl.gz"
        rows = "".join(json.dumps({"id": str(n), "text": f"text {n * 7919}"}) + "\n" for n in range(5_000))
        path.write_bytes(damage(gzip.compress(rows.encode())))
        found = listing(path=str(path))
        assert isinstance(found.failures[-1].error, CorruptDocumentError)
        assert not found.is_full

    def test_a_damaged_parquet_file_ends_as_an_incomplete_listing(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        path.write_bytes(b"PAR1 but nothing else")
        found = listing(path=str(path))
        assert "not a Parquet file" in str(found.failures[0].error)
        assert not found.is_full

    def test_a_url_is_read_through_fsspec(self) -> None:
        import fsspec

        fsspec.filesystem("memory").pipe_file("/records/rows.jsonl", json.dumps(ROW).encode())
        assert set(listing(path="memory://records/rows.jsonl").items) == {"1"}

    def test_a_name_without_a_format_asks_for_one(self, tmp_path: Path) -> None:
        [finding] = connector(path="rows.dat").check()
        assert "set format to jsonl, csv or parquet" in finding.detail
        path = json_lines(tmp_path / "rows.dat", ROW)
        assert set(listing(path=path, format="jsonl").items) == {"1"}


def write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)


@pytest.mark.parametrize("options", [{}, {"path": "x", "query": "y"}, {"query": "SELECT 1"}, {"dsn": "x"}])
def test_one_source_of_rows_must_be_given(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="either path, or dsn and query"):
        connector(**options)


class TestValuesOfParquet:
    """One value that Python cannot hold costs neither its row nor its file."""

    @pytest.mark.parametrize(
        ("values", "type_", "shown"),
        [
            ([253402300799, 0], ("timestamp", "s", "Europe/Berlin"), "9999-12-31T23:59:59Z"),
            ([253402300800_000, 0], ("timestamp", "ms", "UTC"), "10000-01-01T00:00:00Z"),
            ([-62135596800_000_001, 0], ("timestamp", "us", "UTC"), None),
            ([2**60, 0], ("timestamp", "ms"), None),
            ([5, 0], ("timestamp", "s", "Nowhere/Known"), "1970-01-01T00:00:05Z"),
            ([2932897, 0], ("date32",), "10000-01-01"),
            ([-719163, 0], ("date32",), "0000-12-31"),
            ([2**62, 0], ("duration", "s"), f"{2**62} s"),
        ],
    )
    def test_a_time_beyond_the_calendar_is_text(
        self, tmp_path: Path, values: list[int], type_: tuple[str, ...], shown: str | None
    ) -> None:
        import pyarrow

        made = getattr(pyarrow, type_[0])(*type_[1:])
        columns = {"id": [1, 2], "text": ["a", "b"], "when": pyarrow.array(values, made)}
        columns["list"] = pyarrow.array([[values[0]], []], pyarrow.list_(made))
        write_parquet(tmp_path / "rows.parquet", columns)
        found = listing(path=str(tmp_path / "rows.parquet"), metadata="*")
        assert set(found.items) == {"1", "2"}
        assert found.is_full
        told = found.items["1"].metadata["when"]
        assert found.items["1"].metadata["list"] == [told]
        assert told == shown if shown else isinstance(told, str)

    def test_nested_values_are_json(self, tmp_path: Path) -> None:
        import pyarrow

        numbers = pyarrow.list_(pyarrow.int8())
        twice = pyarrow.StructArray.from_arrays([pyarrow.array([1]), pyarrow.array([2])], ["x", "x"])
        columns = {
            "id": [1],
            "text": pyarrow.array([{"name": "Ann", "tall": True}]),
            "map": pyarrow.array([[("a", [1, None])]], pyarrow.map_(pyarrow.string(), numbers)),
            "twice": twice,
            "word": pyarrow.array(["red"]).dictionary_encode(),
            "bytes": pyarrow.array([b"caf\xc3\xa9"]),
            "blob": pyarrow.array([b"\xff\x00"]),
            "length": pyarrow.array([90_061], pyarrow.duration("s")),
        }
        write_parquet(tmp_path / "rows.parquet", columns)
        item = listing(path=str(tmp_path / "rows.parquet"), metadata="*").items["1"]
        assert item.load().decode() == '{"name": "Ann", "tall": true}'
        assert item.metadata == {
            "map": {"a": [1, None]},
            "twice": {"x": 1, "x (2)": 2},
            "word": "red",
            "bytes": "café",
            "blob": "/wA=",
            "length": "P1DT1H1M1S",
        }

    def test_two_columns_of_one_name_are_refused(self, tmp_path: Path) -> None:
        import pyarrow
        from pyarrow import parquet

        table = pyarrow.table([pyarrow.array(["1"])] * 3, ["id", "text", "text"])
        parquet.write_table(table, tmp_path / "rows.parquet")
        found = listing(path=str(tmp_path / "rows.parquet"))
        assert "two columns of one name: text" in str(found.failures[0].error)
        assert not found.items

    def test_the_memory_for_a_file_is_not_that_of_its_row_group(self, tmp_path: Path) -> None:
        import pyarrow

        words = [f"{n:x}" * 400 for n in range(2**20, 2**20 + 20_000)]
        write_parquet(tmp_path / "rows.parquet", {"id": list(range(20_000)), "text": words})
        before = pyarrow.total_allocated_bytes()
        rows = connector(path=str(tmp_path / "rows.parquet")).items()
        next(rows)
        assert pyarrow.total_allocated_bytes() - before < sum(map(len, words)) / 3


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": {"b": [1, None, True]}}, '{"a": {"b": [1, null, true]}}'),
        (["plain", {"who": "Zoë"}, ["x", "y"]], 'plain\n{"who": "Zoë"}\n["x", "y"]'),
        (True, "true"),
        (["a", False, None, 2.5], "a\nfalse\n2.5"),
    ],
)
def test_a_nested_value_is_read_as_json_and_never_as_python(path: Path, value: Any, shown: str) -> None:
    found = listing(path=json_lines(path, {"id": "1", "text": value}))
    assert found.items["1"].load().decode() == shown


def test_a_stray_quote_in_a_csv_file_costs_no_other_row(tmp_path: Path) -> None:
    rows = "".join(f'{n},"text, {n}"\n' for n in range(50))
    (tmp_path / "rows.csv").write_text(f'id,text\n{rows}a,"3 inch\nb,4" pipe\nc,"two\nlines"\n')
    found = listing(path=str(tmp_path / "rows.csv"))
    assert len(found.items) == 53
    assert [found.items[one].load() for one in ("a", "b", "c", "7")] == [
        b'"3 inch',
        b'4" pipe',
        b"two\nlines",
        b"text, 7",
    ]


def test_changes_are_asked_for_after_the_first_moment_there_is(path: Path) -> None:
    source = connector(path=json_lines(path, ROW | {"at": "0001-01-01T00:00:00Z"}), modified_at="at")
    cursor = Listing.of(source.items()).complete.cursor
    assert cursor is not None
    assert set(Listing.of(source.changes(cursor)).items) == {"1"}


class TestTimes:
    @pytest.mark.parametrize(
        "value",
        [
            "2026-05-01T12:00:00Z",
            "2026-05-01 14:00:00+02:00",
            "2026-05-01T12:00:00",
            1777636800,
            1777636800000,
        ],
    )
    def test_every_common_form_is_the_same_moment(self, path: Path, value: Any) -> None:
        item = listing(path=json_lines(path, {**ROW, "at": value}), modified_at="at").items["1"]
        assert item.modified_at == datetime(2026, 5, 1, 12, tzinfo=UTC)

    def test_changes_are_the_rows_at_or_after_the_newest_time_seen(self, path: Path) -> None:
        start = datetime(2026, 5, 1, tzinfo=UTC)
        rows = [
            {"id": str(n), "text": "x", "at": (start + timedelta(hours=n)).isoformat()} for n in range(10)
        ]
        source = connector(path=json_lines(path, *rows), modified_at="at")
        complete = Listing.of(source.items()).complete
        assert complete is not None
        assert complete.cursor is not None
        json_lines(
            path, *rows, {"id": "tie", "text": "x", "at": rows[9]["at"]}, {"id": "undated", "text": "x"}
        )
        changed = Listing.of(source.changes(complete.cursor))
        assert set(changed.items) == {"9", "tie", "undated"}
        assert not changed.is_full

    def test_the_overlap_reaches_back_for_rows_that_became_visible_late(self, path: Path) -> None:
        start = datetime(2026, 5, 1, tzinfo=UTC)
        rows = [
            {"id": str(n), "text": "x", "at": (start + timedelta(hours=n)).isoformat()} for n in range(10)
        ]
        source = connector(path=json_lines(path, *rows), modified_at="at", overlap="PT2H")
        complete = Listing.of(source.items()).complete
        assert complete is not None
        assert complete.cursor is not None
        assert set(Listing.of(source.changes(complete.cursor)).items) == {"7", "8", "9"}

    def test_a_time_in_the_future_does_not_carry_the_cursor_past_the_present(self, path: Path) -> None:
        source = connector(path=json_lines(path, {**ROW, "at": "2999-01-01"}), modified_at="at")
        complete = Listing.of(source.items()).complete
        assert complete is not None
        assert complete.cursor is not None
        assert datetime.fromisoformat(complete.cursor["modified_at"]) <= datetime.now(UTC)

    def test_the_cursor_does_not_pass_a_row_that_could_not_be_read(self, path: Path) -> None:
        source = connector(path=json_lines(path, {**ROW, "at": "2026-05-01"}, "{broken"), modified_at="at")
        complete = Listing.of(source.items()).complete
        assert complete is not None
        assert complete.cursor is None

    def test_without_a_time_column_there_are_no_changes(self, path: Path) -> None:
        source = connector(path=json_lines(path, ROW))
        assert not source.capabilities.changes
        with pytest.raises(UsageError, match="no modified_at column"):
            list(source.changes({}))


class TestSql:
    @pytest.fixture
    def table(self, empty_database_url: str) -> str:
        with psycopg.connect(empty_database_url) as connection:
            connection.execute(
                "CREATE TABLE pages (id int, text text, at timestamp, who text[], price numeric)"
            )
            connection.execute(
                "INSERT INTO pages"
                " SELECT n, 'about 100% ' || n, '2026-05-01'::timestamp + n * interval '1 hour',"
                " ARRAY['ann'], n / 4.0 FROM generate_series(1, 2500) n"
            )
        return empty_database_url

    def test_rows_come_by_a_query_with_percent_signs_comments_and_arrays(self, table: str) -> None:
        query = "SELECT * FROM pages WHERE text LIKE '%100%' -- all of them"
        found = listing(dsn=table, query=query, access="who", modified_at="at", metadata=["price"])
        assert found.is_full
        assert len(found.items) == 2_500
        item = found.items["10"]
        assert item.load() == b"about 100% 10"
        assert item.access == AccessRule((("ann",),))
        assert item.modified_at == datetime(2026, 5, 1, 10, tzinfo=UTC)
        assert item.metadata == {"price": "2.5000000000000000"}

    def test_the_window_is_part_of_the_query(self, table: str) -> None:
        since = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=2_499)
        source = connector(dsn=table, query="SELECT * FROM pages", modified_at="at")
        assert set(Listing.of(source.items(Window(since=since))).items) == {"2499", "2500"}

    def test_the_query_cannot_write(self, table: str) -> None:
        query = "WITH gone AS (DELETE FROM pages RETURNING *) SELECT * FROM gone"
        found = listing(dsn=table, query=query)
        assert not found.items
        assert not found.is_full
        with psycopg.connect(table) as connection:
            assert connection.execute("SELECT count(*) FROM pages").fetchone() == (2_500,)

    @pytest.mark.parametrize(
        ("expression", "shown"),
        [
            ("'infinity'::timestamptz", "infinity"),
            ("'-infinity'::timestamp", "-infinity"),
            ("'infinity'::date", "infinity"),
            ("'0044-03-15 BC'::date", "0044-03-15 BC"),
            ("'20000-01-01 00:00Z'::timestamptz", "20000-01-01 00:00:00+00"),
            ("'24:00'::time", "24:00:00"),
            ("'24:00+01'::timetz", "24:00:00+01"),
            ("'1 year 2 days'::interval", "1 year 2 days"),
            ("ARRAY['infinity', '2024-03-04']::date[]", ["infinity", "2024-03-04"]),
            ("'NaN'::numeric", "NaN"),
            ("'NaN'::float8", None),
            ("'2024-03-04 05:06Z'::timestamptz", "2024-03-04T05:06:00+00:00"),
            ("'{\"a\": [1, null]}'::jsonb", {"a": [1, None]}),
            ("'\\xff00'::bytea", "/wA="),
            ("'caf\u00e9'::bytea", "caf\u00e9"),
            ("12.50::numeric::money::text", "$12.50"),
            ("ROW(1, 'x')", None),
        ],
    )
    def test_a_value_that_python_does_not_know_costs_no_row(
        self, table: str, expression: str, shown: Any
    ) -> None:
        query = f"SELECT id, text, CASE WHEN id = 2 THEN {expression} END AS odd FROM pages WHERE id < 4"
        found = listing(dsn=table, query=query, metadata="*")
        assert set(found.items) == {"1", "2", "3"}
        assert found.is_full
        if shown is not None:
            assert found.items["2"].metadata["odd"] == shown

    def test_two_columns_of_one_name_are_refused(self, table: str) -> None:
        found = listing(dsn=table, query="SELECT id, text, price AS text FROM pages")
        assert "two columns of one name: text" in str(found.failures[0].error)
        assert not found.items

    def test_the_check_tells_what_is_wrong_with_query_and_columns(self, table: str) -> None:
        findings = connector(dsn=table, query="SELECT * FROM pages", title="headline").check()
        assert [finding.ok for finding in findings] == [True, False]
        assert "no column 'headline'; valid are id, text, at" in findings[1].detail
        [finding] = connector(dsn=table, query="SELECT * FROM nowhere").check()
        assert 'relation "nowhere" does not exist' in finding.detail

    @pytest.mark.parametrize(
        "dsn", ["postgresql://u:hunter2@127.0.0.1:1/d", "hunter2 is no dsn", "postgresql://u:hunter2@h:x y/d"]
    )
    def test_a_connection_string_is_never_shown(self, dsn: str) -> None:
        [finding] = connector(dsn=dsn, query="SELECT 1").check()
        assert not finding.ok
        assert "hunter2" not in finding.detail
        found = listing(dsn=dsn, query="SELECT 1")
        assert "hunter2" not in repr(found.failures)
        assert not found.is_full


def test_while_a_row_cannot_be_read_nothing_is_known_to_be_gone(path: Path) -> None:
    """The row may be any of those that were asked for."""
    with pytest.raises(TransientError, match="line 2"):
        connector(path=json_lines(path, ROW, "{cut")).existing(["1", "2"])
    assert connector(path=json_lines(path, ROW)).existing(["1", "2"]) == {"1"}


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.jsonl"
        with open(path, "w") as file:
            for number in range(rows):
                file.write(json.dumps({"id": f"row-{number}", "text": "word " * 200}) + "\n")
        tracemalloc.start()
        for entry in connector(path=str(path)).items():
            assert entry is not None
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    small, large = peak(1_000), peak(20_000)
    assert large - small < 200 * 19_000, "a row has 1,000 bytes, the memory of its id at most 200"


def test_a_corpus_in_beir_form(data_set: Callable[[str], Path]) -> None:
    path = data_set("beir-scifact") / "corpus.jsonl"
    count = 0
    for entry in connector(path=str(path), id="_id", title="title", text="text").items():
        if isinstance(entry, Item):
            count += 1
            assert entry.title
    assert count == 5_183
