"""The configuration file: what is read from it, and that every mistake in it is told, without secrets."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.config import DEMO_CONFIG, Settings, load_config
from rag_pipelines.config.problems import literal_secrets
from rag_pipelines.config.values import (
    format_access,
    format_duration,
    parse_access,
    parse_duration,
)
from rag_pipelines.errors import ConfigError, UsageError
from rag_pipelines.model import CLOSED, PUBLIC, AccessRule
from rag_pipelines.parameters import parse_size
from rag_pipelines.parsing.base import ParseLimits

SECRET = "correct-horse-battery-staple"

GOOD = """\
sources:
  handbook:
    connector: filesystem
    options: {root: docs, storage_secrets: {key: "${STORE_KEY}"}}
    tenant: acme
    access: [group:hr, user:ann@acme.example]
    grace: 36h
  wiki:
    connector: filesystem
    options:
      root: /srv/wiki
indexes:
  main: {sources: "*"}
  hr: {sources: [handbook], gates: {min_recall: 0.9}}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "rag.yaml"
    file.write_text(text, "utf-8")
    return file


def problems_of(folder: Path, text: str, **env: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text), env)
    return list(caught.value.problems)


@pytest.fixture
def good(tmp_path: Path) -> Settings:
    return load_config(write(tmp_path, GOOD), {"STORE_KEY": SECRET})


def test_the_packaged_demo_is_valid() -> None:
    demo = load_config(env={})
    assert set(demo.sources_of("handbook")) == {"acme-sensors", "brightwater", "help-center"}
    folders = [demo.connector_options(name).root for name in ("acme-sensors", "brightwater")]
    assert all(Path(folder).is_dir() for folder in folders)
    assert demo.data_dir == Path.cwd() / ".rag"


def test_the_file_comes_from_the_option_then_the_environment_then_the_demo(tmp_path: Path) -> None:
    file = write(tmp_path, "data_dir: here")
    assert load_config(env={"RAG_CONFIG": str(file)}).data_dir == tmp_path / "here"
    assert load_config(file, {"RAG_CONFIG": "/nowhere.yaml"}).data_dir == tmp_path / "here"
    assert set(load_config(DEMO_CONFIG, {}).indexes) == {"handbook"}


def test_values_and_defaults_are_read(good: Settings) -> None:
    handbook = good.source("handbook")
    assert handbook.grace == timedelta(hours=36)
    assert handbook.access == AccessRule(clauses=(("group:hr", "user:ann@acme.example"),))
    assert good.source("wiki").access == CLOSED
    assert good.index("hr").gates.min_recall == 0.9
    assert good.index("main").vector.type == "halfvec"
    assert good.parse_options("wiki").pdf == "auto"
    assert good.chunk_options("hr").strategy == "structure"
    assert good.embedding_profile("hr").model == "all-MiniLM-L6-v2"
    assert good.limits.worker_count >= 1
    assert good.blobs_url.startswith("file:///")


def test_sources_and_indexes_find_each_other(good: Settings) -> None:
    assert list(good.sources_of("main")) == ["handbook", "wiki"]
    assert list(good.sources_of("hr")) == ["handbook"]
    assert list(good.indexes_of("wiki")) == ["main"]
    assert list(good.indexes_of("handbook")) == ["main", "hr"]


def test_an_unknown_name_is_answered_with_the_known_ones(good: Settings) -> None:
    with pytest.raises(UsageError, match="no source 'handbok'; valid: handbook, wiki"):
        good.source("handbok")
    with pytest.raises(UsageError, match="no index 'x'; valid: main, hr"):
        good.sources_of("x")


def test_a_connector_is_made_with_the_validated_options(good: Settings) -> None:
    connector = good.connector("handbook")
    assert connector.options.storage_secrets["key"].get_secret_value() == SECRET


def test_secrets_are_not_in_the_repr_the_dump_or_the_pickled_error(good: Settings, tmp_path: Path) -> None:
    assert SECRET not in repr(good) + str(good.model_dump()) + good.model_dump_json()
    text = f"profiles: {{parsing: {{default: {{pdf: slow, passwords: [{SECRET}]}}}}}}"
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text), {})
    assert SECRET.encode() not in pickle.dumps(caught.value)


def test_passwords_of_documents_are_hidden_but_usable(tmp_path: Path) -> None:
    text = "profiles: {parsing: {default: {passwords: ['${PASSWORD}']}}}"
    loaded = load_config(write(tmp_path, text), {"PASSWORD": SECRET})
    assert loaded.profiles.parsing["default"].passwords == (SECRET,)
    assert SECRET not in repr(loaded) + str(loaded.model_dump())


def test_limits_of_a_document_are_sizes_and_the_other_ones_keep_their_defaults(tmp_path: Path) -> None:
    loaded = load_config(write(tmp_path, "limits: {parse: {max_bytes: 5MB, max_pages: 7}}"), {})
    assert loaded.limits.parse == ParseLimits(max_bytes=5_000_000, max_pages=7)


def test_a_worker_has_its_parameters_without_pydantic() -> None:
    script = (
        "import sys, rag_pipelines.workers.loop, rag_pipelines.sync.prepare; print('pydantic' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "False\n"


def test_what_was_given_can_be_written_and_read_again(tmp_path: Path) -> None:
    first = load_config(write(tmp_path, GOOD), {"STORE_KEY": SECRET})
    given = first.model_dump(mode="json", exclude_unset=True)
    again = load_config(write(tmp_path, yaml.safe_dump(given)), {})
    hidden = {"sources": {"handbook": {"options"}}}
    assert again.model_dump(exclude=hidden) == first.model_dump(exclude=hidden)


# References to the environment


def test_references_are_replaced_with_defaults_and_dollars(tmp_path: Path) -> None:
    text = """\
database:
  url: ${URL:-}
  pool_size: ${POOL:-3}
sources:
  s:
    connector: filesystem
    tenant: ${TENANT}-$${x}
    options: {root: "${CONFIG_DIR}/docs"}
"""
    loaded = load_config(write(tmp_path, text), {"TENANT": "acme", "POOL": ""})
    assert loaded.database.url is None
    assert loaded.database.pool_size == 3
    assert loaded.source("s").tenant == "acme-${x}"
    assert loaded.connector_options("s").root == f"{tmp_path}/docs"


def test_a_value_from_the_environment_cannot_change_the_structure_of_the_file(tmp_path: Path) -> None:
    text = "sources:\n  s: {connector: filesystem, tenant: '${T}', options: {root: .}}"
    assert load_config(write(tmp_path, text), {"T": "a, access: public"}).source("s").access == CLOSED


def test_yaml_words_that_look_like_booleans_times_and_dates_stay_text(tmp_path: Path) -> None:
    text = "sources:\n  s: {connector: filesystem, tenant: no, options: {root: 2026-01-01}}"
    loaded = load_config(write(tmp_path, text), {})
    assert loaded.source("s").tenant == "no"
    assert loaded.connector_options("s").root == str(tmp_path / "2026-01-01")


def test_anchors_and_merge_keys_can_be_used(tmp_path: Path) -> None:
    text = """\
sources:
  a: &base {connector: filesystem, tenant: acme, options: {root: a}}
  b: {<<: *base, options: {root: b}}
"""
    loaded = load_config(write(tmp_path, text), {})
    assert loaded.source("b").tenant == "acme"
    assert loaded.connector_options("b").root == str(tmp_path / "b")


# Mistakes: one golden line for each kind

SOURCE = "sources:\n  s:\n    connector: filesystem\n    options: {root: docs}\n"
MISTAKES = {
    "an unknown key": (
        SOURCE + "    tennant: acme\n",
        "sources.s.tennant (line 5): received an unknown key; valid: connector, options, "
        "tenant, access, parsing, privacy, freshness, full_listing, group_listing, schedule, triggers, "
        "delete_guard, budget, grace, max_attempts, quarantine, losses, labels, retention, sensitivity, "
        "approval, owner; did you mean 'tenant'?",
    ),
    "a key of the wrong type": (
        "database:\n  pool_size: many\n",
        "database.pool_size (line 2): received 'many'; valid: a whole number",
    ),
    "a number out of bounds": (
        "indexes:\n  i:\n    sources: '*'\n    vector: {m: 1000}\n",
        "indexes.i.vector.m (line 4): received 1000; valid: less than or equal to 100",
    ),
    "a word that is not among the valid ones": (
        "indexes:\n  i: {sources: '*', vector: {type: float}}\n",
        "indexes.i.vector.type (line 2): received 'float'; valid: 'halfvec' or 'vector'",
    ),
    "a missing key": (
        "sources:\n  s:\n    tenant: acme\n",
        "sources.s.connector (line 2): received nothing; valid: this key is required",
    ),
    "a mapping where a value belongs": (
        "data_dir: {a: 1}\n",
        "data_dir (line 1): received a mapping; valid: a path",
    ),
    "a bad duration": (
        SOURCE + "    grace: 7\n",
        "sources.s.grace (line 5): received 7; valid: a number with a unit (90s, 30m, 24h, 7d, 2w) "
        "or an ISO 8601 duration (PT24H)",
    ),
    "a bad size": (
        "limits: {batch_bytes: 16 apples}\n",
        "limits.batch_bytes (line 1): received '16 apples'; valid: a number of bytes or a number "
        "with a unit (500kB, 16MB, 2GiB)",
    ),
    "a bad access": (
        SOURCE + "    access: everybody\n",
        "sources.s.access (line 5): received 'everybody'; valid: closed, public, or a list "
        "of principals such as [group:hr, user:ann@acme.example]",
    ),
    "a bad schedule": (
        SOURCE + "    schedule: nightly\n",
        "sources.s.schedule (line 5): received 'nightly'; valid: five cron fields such as "
        "'0 3 * * *', or @hourly, @daily, @weekly, @monthly, @yearly",
    ),
    "a bad owner": (
        SOURCE + "    owner: search team\n",
        "sources.s.owner (line 5): received 'search team'; valid: team:NAME or an e-mail address",
    ),
    "a bad name": (
        "indexes:\n  My Index: {sources: '*'}\n",
        "indexes.My Index (line 2): received the name 'My Index'; valid: 1 to 48 lower-case letters, digits, "
        "'_' or '-', beginning with a letter",
    ),
    "an unknown source of an index": (
        SOURCE + "indexes:\n  i:\n    sources:\n      - s\n      - t\n",
        "indexes.i.sources.1 (line 9): received 't'; valid: the name of a source (s)",
    ),
    "an unknown profile": (
        SOURCE + "    parsing: strict\n",
        "sources.s.parsing (line 5): received 'strict'; valid: the name of a parsing profile (default)",
    ),
    "an unknown connector": (
        "sources:\n  s: {connector: filesytem, options: {}}\n",
        "sources.s.connector (line 2): received 'filesytem'; "
        "valid: confluence, filesystem, git, google_drive, jira, push, records, servicenow, sharepoint, web, "
        "zendesk",
    ),
    "an unknown option of a connector": (
        "sources:\n  s:\n    connector: filesystem\n    options:\n      root: x\n      exclud: [a]\n",
        "sources.s.options.exclud (line 6): received an unknown key; valid: root, include, exclude, hidden, "
        "max_bytes, url_prefix, concurrent_loads, storage_options, storage_secrets; did you mean 'exclude'?",
    ),
    "a missing option of a connector": (
        "sources:\n  s: {connector: filesystem}\n",
        "sources.s.options.root (line 2): received nothing; valid: this key is required "
        "(folder or fsspec URL; every id is relative to it)",
    ),
    "an option of a chunking profile": (
        "profiles:\n  chunking:\n    small: {strategy: structur}\n",
        "profiles.chunking.small.strategy (line 3): received 'structur'; valid: 'structure', "
        "'recursive', 'tokens' or 'semantic'",
    ),
    "an unknown option of a parsing profile": (
        "profiles:\n  parsing:\n    plain:\n      pdf: fast\n      password: [x]\n",
        "profiles.parsing.plain.password (line 5): received an unknown key; valid: pdf, pdf_table_seconds, ",
    ),
    "a value where a profile belongs": (
        "profiles:\n  chunking:\n    small: 12\n",
        "profiles.chunking.small (line 3): received 12; valid: a mapping",
    ),
    "a bad size among the limits of a document": (
        "limits:\n  parse:\n    max_bytes: big\n",
        "limits.parse.max_bytes (line 3): received 'big'; valid: a number of bytes or a number with a unit",
    ),
    "an option of an embedding profile": (
        "profiles:\n  embedding:\n    e: {batch_size: -1}\n",
        "profiles.embedding.e.batch_size (line 3): received -1; valid: greater than or equal to 0",
    ),
    "several machines with the embedded server": (
        "execution: {executor: celery}\n",
        "execution.executor (line 1): received 'celery'; valid: in_process or multiprocess where no "
        "'database.url' is set, because the embedded server is reached from its own machine alone",
    ),
    "several machines that would choose the way of a model by themselves": (
        "execution: {executor: k8s}\ndatabase: {url: postgresql://db/rag}\nindexes: {i: {sources: '*'}}\n",
        "profiles.embedding.default: received runtime: auto; valid with the executor 'k8s': runtime: torch, "
        "or runtime: openvino with precision: fp32 or bf16, because machines that differ",
    ),
    "an unknown stage": (
        "execution:\n  stages:\n    embedd: {gpu: 1}\n",
        "execution.stages.embedd (line 3): received the name 'embedd'; "
        "valid: 'list', 'parse', 'chunk' or 'embed'",
    ),
    "a key given twice": (
        "data_dir: a\nlimits: {}\ndata_dir: b\n",
        "data_dir (line 1): received the key twice (lines 1 and 3); valid: each key once",
    ),
    "a variable that is not set": (
        "data_dir: ${NOWHERE}/x\n",
        "data_dir (line 1): received ${NOWHERE}, but the environment variable NOWHERE is not set; "
        "set it, or give a default: ${NOWHERE:-value}",
    ),
    "a malformed reference": (
        "data_dir: ${1}/x\n",
        "data_dir (line 1): received a malformed reference; valid: ${NAME}, ${NAME:-default}, ${STORE:",
    ),
    "a secret of the wrong form": (
        f"database: {{url: [{SECRET}]}}\n",
        "database.url (line 1): received a secret of the wrong form; valid: a text",
    ),
    "an address for sessions beside the embedded server": (
        "database: {session_url: postgresql://db/rag}\n",
        "database.session_url (line 1): received a secret of the wrong form; valid: nothing without 'url', "
        "which leads to a pooler",
    ),
    "an alias to itself": (
        "sources: &s\n  a: *s\n",
        "sources.a (line 2): received an alias to itself; valid: an alias to another value",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_place_line_received_and_valid(mistake: str, tmp_path: Path) -> None:
    text, expected = MISTAKES[mistake]
    assert any(problem.startswith(expected) for problem in problems_of(tmp_path, text))


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    problems = problems_of(
        tmp_path,
        """\
data_dir: ${NOWHERE}
limits: {workers: 0}
limits: {}
sources:
  a: {connector: filesystem, tennant: x, grace: soon, options: {rot: y}}
indexes:
  i: {sources: [b], chunking: fine, vector: {m: 1}}
""",
    )
    places = sorted(problem.partition(" (")[0] for problem in problems)
    assert places == [
        "data_dir",
        "indexes.i.chunking",
        "indexes.i.sources.0",
        "indexes.i.vector.m",
        "limits",
        "limits.workers",
        "sources.a.grace",
        "sources.a.options.root",
        "sources.a.options.rot",
        "sources.a.tennant",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\nb: 3\n", "line 2, column 2: not valid YAML"),
        ("a: b\n\tc: d\n", "line 2, column 1: not valid YAML"),
        ("database: {url: ${URL}}\n", "put a ${...} reference inside { } or [ ] in quotes"),
        ("- a\n", "received a list; valid: a mapping"),
        ("just text\n", "received a single value; valid: a mapping"),
        ("a: \x00\n", "characters that YAML does not allow"),
    ],
)
def test_text_that_is_not_a_yaml_mapping_is_told_with_its_place(
    text: str, expected: str, tmp_path: Path
) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert expected in problem


def test_a_file_that_is_not_there_or_not_text_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file.*--config or RAG_CONFIG"):
        load_config(tmp_path / "none.yaml", {})
    (tmp_path / "latin.yaml").write_bytes("data_dir: Büro".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "latin.yaml", {})


def test_a_value_from_the_environment_is_never_shown_even_when_it_is_wrong(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "database:\n  pool_size: ${URL}\n", URL=SECRET)
    assert problems == ["database.pool_size (line 2): received ${URL}; valid: a whole number"]


def test_secrets_written_in_the_file_are_found(tmp_path: Path) -> None:
    from rag_pipelines.config.load import read_config

    text = f"""\
database: {{url: "postgresql://u:{SECRET}@h/d"}}
profiles:
  parsing: {{default: {{passwords: ["${{PW:-x}}", {SECRET}]}}}}
  embedding: {{e: {{provider: openai, api_key: "${{KEY}}"}}}}
"""
    found = [path for path, _ in literal_secrets(read_config(write(tmp_path, text), {"KEY": SECRET}))]
    assert found == [("database", "url"), ("profiles", "parsing", "default", "passwords", 1)]


# Value types


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("24h", 86_400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("0.5h", 1800),
    ],
)
def test_durations_are_numbers_with_units(text: str, expected: int) -> None:
    assert parse_duration(text) == timedelta(seconds=expected)


def test_iso_durations_are_read(tmp_path: Path) -> None:
    loaded = load_config(write(tmp_path, SOURCE + "    grace: pt36h\n"), {})
    assert loaded.source("s").grace == timedelta(hours=36)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)))
def test_a_duration_is_written_as_it_is_read(value: timedelta) -> None:
    value = timedelta(seconds=int(value.total_seconds()))
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "expected"), [("16MB", 16_000_000), ("2 GiB", 2 * 2**30), ("500kb", 500_000), ("7", 7), (7, 7)]
)
def test_sizes_are_bytes_or_numbers_with_units(text: object, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("rule", [PUBLIC, CLOSED, AccessRule(clauses=(("group:hr", "user:ann"),))])
def test_an_access_rule_is_written_as_it_is_read(rule: AccessRule) -> None:
    assert parse_access(format_access(rule)) == rule


# Anything at all

FULL = f"""\
data_dir: "${{HOME_DIR}}"
database: {{url: "postgresql://u:{SECRET}@h/d", pool_size: 4}}
limits: {{workers: 2, batch_bytes: 1MB, parse: {{seconds: 5}}}}
profiles:
  parsing: {{default: {{passwords: [{SECRET}]}}}}
  embedding: {{e: {{provider: openai, model: m, dimensions: 3, api_key: "${{KEY}}"}}}}
sources:
  s:
    connector: filesystem
    options: {{root: x, storage_secrets: {{key: {SECRET}}}}}
    delete_guard: {{share: 0.2}}
indexes:
  i: {{sources: [s], embedding: e, gates: {{min_recall: 0.9}}}}
"""
ENV = {"KEY": "value-of-the-environment", "HOME_DIR": "/srv/rag"}
WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("${KEY}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.slow
def test_any_mutation_loads_or_is_refused_and_never_shows_a_secret(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = yaml.safe_load(FULL)
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(places(content)[1:]))
        at = content
        for key in parents:
            at = at[key]
        match data.draw(st.sampled_from(["replace", "remove", "rename", "nest", "list"])):
            case "replace":
                at[last] = data.draw(WILD)
            case "remove":
                del at[last]
            case "rename" if isinstance(at, dict):
                at[data.draw(st.text(max_size=12))] = at.pop(last)
            case "nest":
                at[last] = {"x": at[last]}
            case "list":
                at[last] = [at[last]]
        if not content:
            break
    check_loads_or_refuses(tmp_path_factory, yaml.safe_dump(content, allow_unicode=True), SECRET)


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, len(FULL)), junk=st.text(max_size=5), skip=st.integers(0, 5))
def test_any_damage_to_the_text_loads_or_is_refused(
    cut: int, junk: str, skip: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_loads_or_refuses(tmp_path_factory, FULL[:cut] + junk + FULL[cut + skip :])


def check_loads_or_refuses(factory: pytest.TempPathFactory, text: str, *secrets: str) -> None:
    file = factory.getbasetemp() / "mutated.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        shown = repr(load_config(file, ENV))
    except ConfigError as error:
        shown = str(error)
        secrets += (ENV["KEY"],)
    assert not any(secret in shown for secret in secrets)
