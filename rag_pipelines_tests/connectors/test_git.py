"""What is particular to git: history, renames, force-pushes, mirrors, and repositories that mean harm."""

from __future__ import annotations

import csv
import gzip
import os
import select
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.connectors.base import Connector, Item
from rag_pipelines.connectors.git_remote import Remote
from rag_pipelines.connectors.git_repository import Repository
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.errors import ConfigError, CredentialError, FetchError, TransientError, UsageError
from rag_pipelines_tests.connectors.conformance import Listing, Replica
from rag_pipelines_tests.connectors.git_world import LocalGit


class Work(LocalGit):
    """A repository to change, with connectors of any options on it."""

    def source(self, **options: Any) -> Connector:
        return make_connector("code", "git", {"repository": str(self.repository), **options})

    def listing(self, **options: Any) -> Listing:
        return Listing.of(self.source(**options).items())

    def changes(self, before: Listing, **options: Any) -> Listing:
        assert before.complete is not None
        assert before.complete.cursor is not None
        return Listing.of(self.source(**options).changes(before.complete.cursor))

    def file(self, name: str, content: str | bytes = "text") -> Path:
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_an_item_knows_the_last_commit_that_changed_it(work: Work) -> None:
    work.put("a.md", "one")
    second = work.put("b.md", "two")
    third = work.put("a.md", "three")
    items = work.listing().items
    assert (items["a.md"].modified_at, items["b.md"].modified_at) == (third, second)
    assert items["a.md"].author == "Ann Author"
    assert items["a.md"].metadata == {
        "commit": work.git("rev-parse", "HEAD").strip(),
        "committed_at": third.isoformat(),
    }
    assert items["a.md"].token == work.git("rev-parse", "HEAD:a.md").strip()


def test_the_history_that_is_read_is_bounded_by_a_setting(work: Work) -> None:
    work.put("old.md", "old")
    work.put("new.md", "new")
    items = work.listing(history_limit=1).items
    assert items["new.md"].metadata
    assert not items["old.md"].metadata
    assert items["old.md"].modified_at is None
    assert work.listing(history_limit=0).items["new.md"].author is None


def test_a_branch_a_tag_and_a_commit_can_be_listed(work: Work) -> None:
    work.put("a.md", "one")
    work.git("tag", "v1")
    work.git("checkout", "--quiet", "-b", "side")
    work.put("a.md", "two")
    first = work.git("rev-parse", "v1").strip()
    texts = {
        ref: work.listing(ref=ref).texts()["a.md"] for ref in ("main", "v1", first, first[:9], "side", "HEAD")
    }
    assert texts == {"main": "one", "v1": "one", first: "one", first[:9]: "one", "side": "two", "HEAD": "two"}


def test_a_ref_that_does_not_exist_is_named(work: Work) -> None:
    [failure] = work.listing(ref="nowhere").failures
    assert "'nowhere' is not a branch, tag or commit" in str(failure.error)
    assert not work.source(ref="nowhere").check()[0].ok


def test_a_repository_without_a_commit_is_told_as_such(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "empty")], check=True)
    [finding] = make_connector("s", "git", {"repository": str(tmp_path / "empty")}).check()
    assert "the repository is empty" in finding.detail


def test_a_folder_inside_a_repository_is_not_taken_for_it(work: Work) -> None:
    work.put("docs/a.md", "x")
    [finding] = make_connector("s", "git", {"repository": str(work.repository / "docs")}).check()
    assert not finding.ok
    assert "not a git repository" in finding.detail


def test_a_bare_repository_and_a_linked_work_tree_can_be_read(work: Work, tmp_path: Path) -> None:
    work.put("a.md", "one")
    work.git("clone", "--quiet", "--bare", str(work.repository), str(tmp_path / "bare.git"))
    work.git("worktree", "add", "--quiet", str(tmp_path / "tree"))
    for folder in ("bare.git", "tree"):
        found = Listing.of(make_connector("s", "git", {"repository": str(tmp_path / folder)}).items())
        assert found.texts() == {"a.md": "one"}


class TestChoosing:
    def test_a_subfolder_patterns_and_hidden_names(self, work: Work) -> None:
        for name in ("docs/a.md", "docs/b.pdf", "docs/.c.md", "docs/drafts/d.md", "src/e.md"):
            work.file(name)
        work.commit("files")
        assert set(work.listing(subfolder="docs/").items) == {"docs/a.md", "docs/b.pdf", "docs/drafts/d.md"}
        chosen = work.listing(subfolder="docs", include=["*.md"], exclude=["drafts/"], hidden=True)
        assert set(chosen.items) == {"docs/a.md", "docs/.c.md"}

    def test_a_subfolder_that_does_not_exist_deletes_nothing(self, work: Work) -> None:
        work.put("docs/a.md", "x")
        before = work.listing(subfolder="docs")
        shutil.rmtree(work.repository / "docs")
        work.commit("gone")
        for found in (work.listing(subfolder="docs"), work.changes(before, subfolder="docs")):
            assert not found.is_full
            assert not found.removed
            assert "'docs'" in str(found.failures[0].error)

    def test_links_and_submodules_are_left_out_and_counted_by_the_check(
        self, work: Work, tmp_path: Path
    ) -> None:
        work.put("a.md", "x")
        (work.repository / "link.md").symlink_to("a.md")
        oid = work.git("rev-parse", "HEAD").strip()
        work.git("update-index", "--add", "--cacheinfo", f"160000,{oid},module")
        work.git("add", "link.md")
        work.git("commit", "--quiet", "--message", "special")
        assert set(work.listing().items) == {"a.md"}
        assert "2 symbolic links and submodules" in work.source().check()[-1].detail

    def test_an_lfs_pointer_fails_when_it_is_loaded(self, work: Work) -> None:
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
        work.put("movie.pdf", pointer)
        with pytest.raises(FetchError, match="Git LFS pointer"):
            work.listing().items["movie.pdf"].load()

    def test_odd_names_are_listed_and_loaded(self, work: Work) -> None:
        names = ("-rf.md", "line\nbreak.md", 'tab\t"quote".md', "ä b.md", "\x02.md", "\nfirst.md")
        for name in names:
            work.file(name, name)
        with open(os.fsencode(work.repository) + b"/caf\xe9.md", "wb") as file:
            file.write(b"latin")
        work.commit("odd")
        items = work.listing(url_prefix="https://x.example/blob/main").items
        assert set(items) == {*names, "./caf%E9.md"}
        assert items["./caf%E9.md"].load() == b"latin"
        assert items["line\nbreak.md"].load() == b"line\nbreak.md"
        assert items["ä b.md"].url == "https://x.example/blob/main/%C3%A4%20b.md"
        assert all(item.metadata for item in items.values())


class TestChanges:
    def test_a_rename_with_an_edit_is_a_move_with_new_content(self, work: Work) -> None:
        text = "".join(f"line {number}\n" for number in range(50))
        work.put("old.md", text)
        before = work.listing()
        work.rename("old.md", "new.md")
        work.put("new.md", text + "one more\n")
        found = work.changes(before)
        item = found.items["new.md"]
        assert item.moved_from == "old.md"
        assert item.token != before.items["old.md"].token
        assert item.load().endswith(b"one more\n")
        assert item.size == len(text) + 9
        assert not found.removed

    def test_a_rename_across_the_border_of_what_is_wanted(self, work: Work) -> None:
        work.put("leaves.md", "the first text of all")
        work.put("comes.txt", "another text, quite different")
        before = work.listing(include=["*.md"])
        work.rename("leaves.md", "leaves.txt")
        work.rename("comes.txt", "comes.md")
        work.commit("renamed")
        found = work.changes(before, include=["*.md"])
        assert found.removed == ["leaves.md"]
        assert found.items["comes.md"].moved_from is None

    def test_a_file_that_moves_and_outgrows_the_limit_leaves_its_old_place(self, work: Work) -> None:
        text = "".join(f"line {number}\n" for number in range(50))
        work.put("old.md", text)
        before = work.listing(max_bytes=500)
        work.rename("old.md", "new.md")
        work.put("new.md", text + "more and more of the same\n" * 5)
        found = work.changes(before, max_bytes=500)
        assert found.removed == ["old.md"]
        assert [failure.external_id for failure in found.failures] == ["new.md"]

    def test_a_file_that_becomes_a_link_is_removed(self, work: Work) -> None:
        work.put("a.md", "x")
        work.put("b.md", "y")
        before = work.listing()
        (work.repository / "a.md").unlink()
        (work.repository / "a.md").symlink_to("b.md")
        work.commit("link")
        assert work.changes(before).removed == ["a.md"]

    def test_after_a_force_push_the_difference_is_taken_while_the_old_commit_exists(self, work: Work) -> None:
        work.put("a.md", "one")
        base = work.git("rev-parse", "HEAD").strip()
        work.put("b.md", "two")
        before = work.listing()
        work.git("reset", "--quiet", "--hard", base)
        work.put("c.md", "three")
        found = work.changes(before)
        assert (set(found.items), found.removed) == ({"c.md"}, ["b.md"])

    def test_when_the_old_commit_is_gone_a_full_listing_is_asked_for(self, work: Work) -> None:
        work.put("a.md", "one")
        base = work.git("rev-parse", "HEAD").strip()
        work.put("b.md", "two")
        before = work.listing()
        work.git("reset", "--quiet", "--hard", base)
        work.git("reflog", "expire", "--expire=now", "--all")
        work.git("gc", "--quiet", "--prune=now")
        with pytest.raises(UsageError, match="is not a branch, tag or commit"):
            work.changes(before)

    def test_a_text_that_a_merge_made_is_dated_by_the_merge(self, work: Work) -> None:
        work.put("a.md", "base")
        work.git("checkout", "--quiet", "-b", "side")
        work.put("a.md", "side")
        work.git("checkout", "--quiet", "main")
        work.put("a.md", "main")
        work.git("merge", "--quiet", "--no-commit", "--strategy=ours", "side")
        work.file("a.md", "both")
        work.commit("resolved", datetime(2026, 6, 1, tzinfo=UTC))
        assert work.listing().items["a.md"].modified_at == datetime(2026, 6, 1, tzinfo=UTC)

    def test_merged_branches_are_followed(self, work: Work) -> None:
        work.put("a.md", "one")
        before = work.listing()
        work.git("checkout", "--quiet", "-b", "side")
        side = work.put("b.md", "two")
        work.git("checkout", "--quiet", "main")
        work.put("c.md", "three")
        work.git("merge", "--quiet", "--no-ff", "--message", "merge", "side")
        found = work.changes(before)
        assert set(found.items) == {"b.md", "c.md"}
        assert found.items["b.md"].modified_at == side


class TestMirror:
    @pytest.fixture
    def options(self, work: Work, tmp_path: Path) -> dict[str, Any]:
        return {"repository": work.repository.as_uri(), "cache_dir": tmp_path / "mirrors"}

    def test_the_default_branch_of_the_remote_is_listed(self, work: Work, options: dict[str, Any]) -> None:
        work.put("a.md", "main")
        work.git("checkout", "--quiet", "-b", "trunk")
        work.put("a.md", "trunk")
        assert Listing.of(make_connector("s", "git", options).items()).texts() == {"a.md": "trunk"}
        found = Listing.of(make_connector("s", "git", {**options, "ref": "main"}).items())
        assert found.texts() == {"a.md": "main"}

    def test_a_branch_that_was_removed_is_removed_from_the_mirror(
        self, work: Work, options: dict[str, Any]
    ) -> None:
        work.put("a.md", "x")
        work.git("branch", "side")
        options = {**options, "ref": "side"}
        assert Listing.of(make_connector("s", "git", options).items()).is_full
        work.git("branch", "--delete", "--force", "side")
        assert not Listing.of(make_connector("s", "git", options).items()).is_full

    def test_the_check_asks_the_remote_without_mirroring_it(
        self, work: Work, options: dict[str, Any]
    ) -> None:
        work.put("a.md", "x")
        assert all(finding.ok for finding in make_connector("s", "git", options).check())
        finding = make_connector("s", "git", {**options, "ref": "nowhere"}).check()[-1]
        assert not finding.ok
        assert "branches: main" in finding.detail
        assert not list(options["cache_dir"].glob("*.git"))

    def test_a_remote_without_a_cache_folder_is_a_mistake_of_the_options(self, work: Work) -> None:
        [finding] = make_connector("s", "git", {"repository": work.repository.as_uri()}).check()
        assert "needs cache_dir" in finding.detail

    def test_no_transport_but_the_allowed_ones_is_used(self, tmp_path: Path) -> None:
        with pytest.raises((UsageError, TransientError), match="not allowed"):
            Remote(f"ext::touch {tmp_path}/pwned", None, "u", 10).refs(tmp_path)
        assert not (tmp_path / "pwned").exists()


class TestCredentials:
    def test_only_the_host_of_the_url_is_given_the_token(self, tmp_path: Path) -> None:
        remote = Remote("https://git.example:8443/a/b.git", "s3cret", "robot", 10)
        with remote._credentials(tmp_path) as environment:
            script = Path(environment["GIT_ASKPASS"])
            assert stat.S_IMODE(script.stat().st_mode) == 0o700
            assert "s3cret" not in script.read_text()

            def ask(prompt: str) -> str:
                return subprocess.run(
                    [script, prompt], env=environment, capture_output=True, text=True
                ).stdout

            assert ask("Username for 'https://git.example:8443': ") == "robot\n"
            assert ask("Password for 'https://robot@git.example:8443': ") == "s3cret\n"
            assert ask("Password for 'https://robot@evil.example': ") == ""
            assert ask("Password for 'https://robot@git.example:8443.evil.example': ") == ""
        assert not script.exists()

    def test_git_itself_asks_the_script(self, tmp_path: Path) -> None:
        remote = Remote("https://git.example/a/b.git", "s3cret", "robot", 10)
        with remote._credentials(tmp_path) as environment:
            filled = subprocess.run(
                ["git", "credential", "fill"],
                env={**os.environ, **environment, "GIT_CONFIG_GLOBAL": os.devnull},
                input="protocol=https\nhost=git.example\n\n", capture_output=True, text=True, check=True,
            )  # fmt: skip
        assert "username=robot\npassword=s3cret\n" in filled.stdout

    def test_the_token_is_no_argument_and_in_no_message(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stand-in for git that records its arguments and complains with the token in its mouth."""
        fake = tmp_path / "bin" / "git"
        fake.parent.mkdir()
        fake.write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\n'
            'echo "remote: fatal: Authentication failed for $RAG_GIT_TOKEN" >&2\nexit 128\n'
        )
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        options = {
            "repository": "https://x.example/r.git",
            "token": "s3cret",
            "cache_dir": tmp_path / "mirrors",
        }
        source = make_connector("s", "git", options)
        with pytest.raises(CredentialError) as caught:
            list(source.items())
        [finding] = source.check()
        for text in (str(caught.value), finding.detail, (tmp_path / "arguments").read_text()):
            assert "s3cret" not in text
        assert "look at the token" in finding.detail

    @pytest.mark.parametrize(
        ("complaint", "error"),
        [
            ("fatal: could not read Username for 'https://x': terminal prompts disabled", CredentialError),
            ("git@x: Permission denied (publickey).", CredentialError),
            ("fatal: unable to access 'https://x/': The requested URL returned error: 403", CredentialError),
            ("remote: Repository not found.", UsageError),
            ("fatal: unable to access 'https://x/': Could not resolve host: x", TransientError),
            ("fatal: early EOF", TransientError),
        ],
    )
    def test_complaints_of_git_are_classed(self, complaint: str, error: type[Exception]) -> None:
        assert type(Remote("https://x/r", None, "u", 10)._error(complaint)) is error


class TestHarm:
    @pytest.mark.parametrize(
        "options",
        [
            {"repository": "--upload-pack=touch pwned"},
            {"repository": "ext::sh -c touch pwned"},
            {"repository": "http://x.example/r.git"},
            {"repository": "https://ann:pw@x.example/r.git"},
            {"repository": "/r", "ref": "--output=pwned"},
            {"repository": "/r", "ref": "a\nb"},
            {"repository": "/r", "subfolder": "../.."},
            {"repository": "/r", "subfolder": "-x"},
        ],
    )
    def test_values_that_git_could_take_for_options_are_refused(self, options: dict[str, str]) -> None:
        with pytest.raises(ConfigError):
            make_connector("s", "git", options)

    def test_no_program_that_the_repository_configures_is_started(self, work: Work, tmp_path: Path) -> None:
        evidence = tmp_path / "evidence"
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\necho $0 >> {evidence}\nexit 1\n")
        program.chmod(0o755)
        work.put("a.md", "one")
        before = work.listing()
        work.put("a.md", "two")
        work.file(".gitattributes", "*.md diff=evil filter=evil")
        work.commit("attributes")
        # A signed commit, because git runs gpg only on those.
        body = work.git("cat-file", "commit", "HEAD")
        head, _, message = body.partition("\n\n")
        signature = "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n"
        signed = subprocess.run(
            ["git", "-C", str(work.repository), "hash-object", "-t", "commit", "-w", "--stdin"],
            input=head + signature + message, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        work.git("update-ref", "refs/heads/main", signed)
        for key in (
            "core.fsmonitor", "core.pager", "core.sshCommand", "diff.evil.command", "diff.evil.textconv",
            "diff.external", "filter.evil.clean", "filter.evil.smudge", "gpg.program", "pager.log",
        ):  # fmt: skip
            work.git("config", key, str(program))
        work.git("config", "log.showSignature", "true")
        work.git("config", "core.hooksPath", str(tmp_path))
        assert work.listing().texts() == {"a.md": "two"}
        assert set(work.changes(before).items) == {"a.md"}
        assert not evidence.exists()
        shown = ["git", "-C", str(work.repository), "log", "-1"]
        subprocess.run(shown, capture_output=True, check=False)
        assert evidence.exists(), "the trap itself works"

    def test_the_user_s_own_configuration_and_git_variables_do_not_count(
        self, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work.put("a.md", "x")
        (tmp_path / ".gitconfig").write_text("[core]\n\tquotePath = nonsense\n\tbare = [")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("GIT_DIR", "/nowhere")
        monkeypatch.setenv("GIT_TRACE", "1")
        assert set(
            Listing.of(make_connector("s", "git", {"repository": str(work.repository)}).items()).items
        ) == {"a.md"}

    def test_nothing_is_written_into_the_repository(self, work: Work) -> None:
        work.put("a.md", "x")
        before = sorted((path, path.stat().st_mtime_ns) for path in work.repository.rglob("*"))
        work.listing()
        work.source().check()
        assert sorted((path, path.stat().st_mtime_ns) for path in work.repository.rglob("*")) == before

    def test_a_missing_git_is_told_as_such(self, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        [finding] = work.source().check()
        assert "install git" in finding.detail


class TestReading:
    def test_one_process_serves_all_loads_and_ends_with_the_connector(self, work: Work) -> None:
        work.put("a.md", "one")
        work.put("b.md", "two")
        source = work.source()
        items = [entry for entry in source.items() if isinstance(entry, Item)]
        repository = source._opened[0]  # type: ignore[attr-defined]
        assert [item.load() for item in items] == [b"one", b"two"]
        reader = repository._reader
        assert [item.load() for item in reversed(items)] == [b"two", b"one"]
        assert repository._reader is reader
        source.close()
        assert reader.poll() is not None

    def test_a_reader_that_died_is_started_again(self, work: Work) -> None:
        work.put("a.md", "one")
        repository = Repository(work.repository)
        oid = work.git("rev-parse", "HEAD:a.md").strip()
        assert repository.read(oid, 100) == b"one"
        assert repository._reader is not None
        repository._reader.kill()
        repository._reader.wait()
        assert repository.read(oid, 100) == b"one"
        repository.close()

    def test_an_object_that_is_missing_fails_alone(self, work: Work) -> None:
        work.put("a.md", "one")
        work.put("b.md", "two")
        items = work.listing().items
        oid = items["a.md"].token
        (work.repository / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
        with pytest.raises(FetchError, match="missing"):
            items["a.md"].load()
        assert items["b.md"].load() == b"two"


def import_history(work: Work, replay: Path) -> list[list[dict[str, str]]]:
    """Commit each step of the replay to refs/steps/NN of `work`; returns the changes of each step."""
    stream = bytearray()
    changes: list[list[dict[str, str]]] = []
    for step, archive in enumerate(["base.tar.gz", *(f"steps/{step:02d}.tar.gz" for step in range(1, 13))]):
        stream += (
            f"commit refs/steps/{step:02d}\ncommitter A <a@x> {1_700_000_000 + step} +0000\ndata 0\n".encode()
        )
        rows: list[dict[str, str]] = []
        if step:
            stream += f"from refs/steps/{step - 1:02d}\n".encode()
            with open(replay / "changes" / f"{step:02d}.tsv", newline="") as file:
                rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        changes.append(rows)
        for row in rows:
            if gone := row["path"] if row["status"] == "D" else row["old_path"]:
                stream += f"D {gone}\n".encode()
        with tarfile.open(replay / archive) as files:
            for member in files:
                if (content := files.extractfile(member)) is not None:
                    data = content.read()
                    stream += f"M 100644 inline {member.name}\ndata {len(data)}\n".encode() + data + b"\n"
    command = ["git", "-C", str(work.repository), "fast-import", "--quiet"]
    subprocess.run(command, input=bytes(stream), check=True)
    return changes


def test_a_year_of_a_real_handbook_is_followed_step_by_step(
    work: Work, data_set: Callable[[str], Path]
) -> None:
    """After each of the 12 steps, changes alone give what the manifest says; pure moves load nothing."""
    replay = data_set("replay-sourcegraph-handbook")
    replica = Replica()
    for step, rows in enumerate(import_history(work, replay)):
        work.git("update-ref", "refs/heads/live", f"refs/steps/{step:02d}")
        source = work.source(ref="live")
        loads = replica.loads
        if step:
            replica.follow(source)
            pure_moves = sum(row["status"] == "R100" for row in rows)
            assert replica.loads - loads <= len(rows) - pure_moves
        else:
            replica.list_from(source)
        source.close()
        with gzip.open(replay / "manifest" / f"{step:02d}.tsv.gz", "rt") as manifest:
            truth = {line.split("\t")[0]: line.split("\t")[1] for line in manifest}
        assert {path: sha256(text.encode()).hexdigest() for path, text in replica.texts.items()} == truth
    assert len(replica.texts) == 845
    items = work.listing(ref="live").items.values()
    assert all(item.modified_at for item in items)


def test_the_clock_of_a_commit_is_utc(work: Work) -> None:
    work.file("a.md")
    work.commit("east", datetime.fromisoformat("2026-05-01T14:00:00+09:00"))
    assert work.listing().items["a.md"].modified_at == datetime(2026, 5, 1, 5, tzinfo=UTC)


def test_a_source_that_is_abandoned_leaves_no_process_behind(work: Work) -> None:
    """A killed run closes nothing; git must end by itself when its input ends."""
    work.put("a.md", "x")
    program = (
        "from rag_pipelines.connectors.registry import make_connector\n"
        f"source = make_connector('s', 'git', {{'repository': {str(work.repository)!r}}})\n"
        "item = next(source.items())\n"
        "item.load()\n"
        "print(source._opened[0]._reader.pid, flush=True)\n"
        "import os\n"
        "os._exit(1)\n"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    with suppress(ProcessLookupError):
        ended, _, _ = select.select([os.pidfd_open(int(output.stdout))], [], [], 30)
        assert ended
