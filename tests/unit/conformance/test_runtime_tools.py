"""The runner for prebuilt runtime-tools programs, on small programs made here: no root, no network, nothing of the suite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.runtime_tools import known, leftovers, table, tap
from conformance.runtime_tools.known import KnownError, Row
from conformance.runtime_tools.programs import Outcome

PROJECT = Path(__file__).resolve().parents[3]
COMMAND = PROJECT / "conformance/runtime-tools"

# Makes a directory for `create ID`, as a runtime keeps its state, and removes it for `delete --force ID`.
RUNTIME = """#!/bin/sh
echo "$@" >>"${0%/*}/calls"
case "$3" in
create) mkdir "$2/$4" ;;
delete) rmdir "$2/$5" ;;
esac
"""


# TAP


def test_assertions_and_what_became_of_them() -> None:
    account = tap.read(
        "TAP version 13\nok 1 - first\nnot ok 2 - second\n# a remark: not ok\nok 3 # SKIP no SELinux\n"
        'not ok 4 # Todo later\nok\n  ---\n  {\n    "error": "exit status 1",\n  }\n  ...\n1..5\n'
    )
    assert account.passed == ["first", ""] and account.failed == ["second"]
    assert account.skipped == ["# SKIP no SELinux", "# Todo later"]
    assert (account.planned, account.made, account.errors) == (5, 5, ["exit status 1"])


def test_several_documents_count_together() -> None:
    assert tap.complaint(tap.read("ok 1\n1..1\nTAP version 13\nok 1\nok 2\n1..2\n"), 0) is None
    assert tap.read("ok 1\n1..1\nok 1\n1..1\n").planned == 2


@pytest.mark.parametrize(
    ("text", "status", "why"),
    [
        ("ok 1 - a\n1..1\n", 0, None),
        ("ok 1 # SKIP a\n1..1\n", 0, None),
        ("not ok 1 # Todo a\n1..1\n", 0, None),
        ("ok 1 - a\n", 0, None),
        ("not ok 1 - a\n1..1\n", 0, "not ok: a"),
        ("not ok 1 - a\nnot ok 2 - b\nnot ok 3 - c\n1..3\n", 1, "not ok: a (and 2 more)"),
        ("not ok 1 # SKIP a\n1..1\n", 0, "not ok: # SKIP a"),
        ("ok 1 - a\n1..1\n", 1, "exit status 1"),
        ("ok 1 - a\n1..1\n", -11, "ended by signal 11"),
        ("ok 1 - a\n", None, "ran out of time"),
        ("ok 1 - a\n1..2\n", 0, "planned 2 assertions and made 1"),
        ("ok 1 - a\nok 2 - b\n1..1\n", 0, "planned 1 assertions and made 2"),
        ('  "error": "",\nok 1 - a\n1..1\n', 0, None),
        ('  "error": "no such hook",\n1..0\n', 0, "error: no such hook"),
        ("TAP version 13\n1..0\n", 0, None),
        ("", 0, None),
        ("", 2, "exit status 2"),
    ],
)
def test_complaints(text: str, status: int | None, why: str | None) -> None:
    assert tap.complaint(tap.read(text), status) == why


# What is known

ROW = Row("suite", "because")


def test_a_failure_that_is_not_listed() -> None:
    found = known.surprises({}, {"a": "not ok: x", "b": None}, whole=True)
    assert found == ["a fails and is not listed: not ok: x"]


def test_a_listed_program_that_passes() -> None:
    assert known.surprises({"a": ROW}, {"a": None}, whole=True) == [
        "a passes and is listed: because"
    ]


def test_a_listed_program_that_fails_is_as_known() -> None:
    assert known.surprises({"a": ROW}, {"a": "not ok: x"}, whole=True) == []


def test_a_race_may_be_won_or_lost() -> None:
    row = Row("suite", "a race", sometimes=True)
    assert known.surprises({"a": row}, {"a": None}, whole=True) == []
    assert known.surprises({"a": row}, {"a": "not ok: x"}, whole=True) == []


def test_a_listed_program_that_does_not_exist() -> None:
    assert known.surprises({"z": ROW}, {"a": None}, whole=True) == [
        "z is listed and does not exist"
    ]
    assert known.surprises({"z": ROW}, {"a": None}, whole=False) == []


@pytest.mark.parametrize(
    ("row", "applies"),
    [
        (ROW, True),
        (Row("machine", "x", missing="/nowhere/at/all"), True),
        (Row("machine", "x", missing="/proc"), False),
        (Row("machine", "x", since="2.6"), True),
        (Row("machine", "x", since="999.0"), False),
        (Row("machine", "x", since="2.6", missing="/proc"), False),
    ],
)
def test_a_row_counts_where_the_machine_is_such(row: Row, applies: bool) -> None:
    failing = known.surprises({"a": row}, {"a": "x"}, whole=True)
    passing = known.surprises({"a": row}, {"a": None}, whole=True)
    assert (failing == [], passing == []) == (applies, not applies)


def test_a_capability_this_process_may_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("machine", "x", missing="CAP_SYS_RESOURCE")
    for text, applies in (("CapEff:\t000001fffeffffff\n", True), ("CapEff:\t1000000\n", False)):
        monkeypatch.setattr(Path, "read_text", lambda self, text=text: text)
        assert row.applies == applies


@pytest.mark.parametrize(
    "text", ['[a]\nfault = "suite"', '[a]\nfault = "nobody"\nwhy = "x"', '[a]\nwhy = ""\nfault = "suite"',
             '[a]\nfault = "suite"\nwhy = "x"\nmore = 1'])  # fmt: skip
def test_rows_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    file = tmp_path / "known.toml"
    file.write_text(text)
    with pytest.raises(KnownError, match=r"\[a\]"):
        known.load(file)


def test_our_own_list_can_be_read() -> None:
    rows = known.load()
    assert all(row.why.strip() == row.why and not row.why.endswith(".") for row in rows.values())


# The table


def test_the_table_of_several_runtimes() -> None:
    good = Outcome(tap.read("ok 1\n1..1\n"), None, "", ())
    bad = Outcome(tap.read("not ok 1 - x\n1..1\n"), "not ok: x", "", ())
    text = table.compared({"one": {"a": bad, "bb": good}, "two": {"a": bad, "bb": bad}}, {"a": ROW})
    assert [line.split() for line in text.splitlines()] == [
        ["program", "one", "two"],
        ["a", "FAILED", "FAILED", "suite:", "because"],
        ["bb", "passed", "FAILED"],
        ["passed", "1/2", "0/2"],
    ]


# A whole run


class Suite:
    """A directory as the user would have built it, with programs that are shell scripts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "suite"
        self.directory.mkdir()
        for name in ("runtimetest", "rootfs-amd64.tar.gz"):
            (self.directory / name).touch()
        self.runtime = directory / "fake"
        self.runtime.write_text(RUNTIME)
        self.runtime.chmod(0o755)
        self.known = directory / "known.toml"
        self.known.touch()

    def add(self, name: str, script: str) -> None:
        program = self.directory / "validation" / name / f"{name}.t"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, COMMAND, self.directory, *words, "--no-isolation"]
        command += ["--runtime", self.runtime, "--known", self.known]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    @property
    def calls(self) -> list[list[str]]:
        return [line.split() for line in (self.runtime.parent / "calls").read_text().splitlines()]


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_programs_pass_fail_and_are_counted(suite: Suite) -> None:
    suite.add("bad", "echo not ok 1 - wrong; echo 1..1; echo words >&2")
    suite.add("good", "echo ok 1 - right; echo ok 2 '# SKIP' why; echo 1..2")
    suite.add("silent", "echo 1..0")
    done = suite.run()
    assert done.returncode == 1, done
    lines = [line.split() for line in done.stdout.splitlines()]
    assert "bad FAILED: 0 ok, 1 not ok, 0 skipped".split() in lines
    assert "good passed: 1 ok, 0 not ok, 1 skipped".split() in lines
    assert "silent passed, by saying nothing: 0 ok, 0 not ok, 0 skipped".split() in lines
    assert "NOT AS KNOWN: bad fails and is not listed: not ok: wrong".split() in lines
    suite.known.write_text('[bad]\nfault = "suite"\nwhy = "it is wrong"\n')
    done = suite.run()
    assert done.returncode == 0 and "known: bad: suite: it is wrong" in done.stdout, done
    assert suite.run("--no-known").returncode == 1
    assert suite.run("good").returncode == 0
    assert "words" in suite.run("-v").stdout


def test_several_runtimes_are_compared(suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "other").write_text(RUNTIME)
    (tmp_path / "other").chmod(0o755)
    suite.add("particular", 'case "$RUNTIME" in */fake) echo ok 1 ;; *) echo not ok 1 ;; esac')
    done = suite.run("--compare", tmp_path / "other")
    assert done.returncode == 0, "only the first runtime is judged"
    assert done.stdout.splitlines()[-2].split() == ["passed", "1/1", "0/1"]
    assert (
        "1/1 1/1".split()
        == suite.run("--compare", suite.runtime).stdout.splitlines()[-2].split()[1:]
    )


def test_the_surroundings_of_a_program(suite: Suite) -> None:
    suite.add("place", 'test -e runtimetest && test -d "$TMPDIR" && "$RUNTIME" spec && echo ok 1')
    done = suite.run()
    assert done.returncode == 0, done
    call = suite.calls[0]
    assert call[0] == "--root" and call[2:] == ["spec"]
    assert not Path(call[1]).parent.exists(), "the runner's directory is removed"


def test_what_a_program_leaves_is_removed(suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    suite.add(
        "dirty",
        f'"$RUNTIME" create one; mkdir "$TMPDIR/bundle"; setsid sleep 1000 & echo $! >{tmp_path}/pid; echo ok 1',
    )
    done = suite.run("-v")
    assert done.returncode == 0, done
    for words in ("container one", "1 processes", "directory bundle"):
        assert f"left behind: {words}" in done.stdout, done
    assert [call[2:] for call in suite.calls] == [["create", "one"], ["delete", "--force", "one"]]
    pid = (tmp_path / "pid").read_text().strip()
    assert not Path("/proc", pid).exists()


def test_orphans_are_reaped_while_a_program_runs(suite: Suite, tmp_path: Path) -> None:
    """A runtime that waits for a container's process to be gone must not find a zombie."""
    os_wait = f"""
mkfifo {tmp_path}/fifo
(sh -c 'echo $$ >{tmp_path}/fifo' &)
read -r pid <{tmp_path}/fifo
while [ -e "/proc/$pid" ]; do :; done
echo ok 1
"""
    suite.add("orphan", os_wait)
    assert suite.run("--timeout", "20").returncode == 0


def test_a_program_that_does_not_end(suite: Suite, tmp_path: Path) -> None:
    suite.add("endless", f"echo $$ >{tmp_path}/pid; echo ok 1; exec sleep 1000")
    done = suite.run("--timeout", "0.5")
    assert done.returncode == 1 and "ran out of time" in done.stdout, done
    pids = tmp_path / "pid"
    assert not pids.exists() or not Path("/proc", pids.read_text().strip()).exists()


def test_an_interrupted_run_leaves_nothing(suite: Suite, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    suite.add("endless", f'echo $$ "$TMPDIR" >{tmp_path}/fifo; exec sleep 1000')
    command = [
        sys.executable,
        COMMAND,
        suite.directory,
        "--no-isolation",
        "--runtime",
        suite.runtime,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        pid, temporary = (tmp_path / "fifo").read_text().split()
        process.terminate()
        assert process.wait() == 130
    assert not Path("/proc", pid).exists()
    assert not Path(temporary).parent.exists()


def test_directories_and_names_that_are_not_there(suite: Suite, tmp_path: Path) -> None:
    done = suite.run()
    assert done.returncode == 2 and "build the validation programs first" in done.stderr
    suite.add("one", "echo ok 1")
    assert "no program is called two" in suite.run("two").stderr
    assert "is not there" in suite.run("--compare", "/no/such/runtime").stderr
    (suite.directory / "runtimetest").unlink()
    done = suite.run()
    assert done.returncode == 2 and "runtimetest is not there" in done.stderr


# Control groups


def test_only_groups_that_were_not_there_before_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_tops", lambda: iter((tmp_path,)))
    (tmp_path / "old").mkdir()
    before = leftovers.present(("old", "new/inner", "new", "full"))
    (tmp_path / "new/inner").mkdir(parents=True)
    (tmp_path / "full/of").mkdir(parents=True)
    removed = leftovers.remove(before, ("old", "new/inner", "new", "full"))
    assert removed == [tmp_path / "new/inner", tmp_path / "new"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["full", "old"]
