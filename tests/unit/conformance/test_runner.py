"""What the runner makes of results: TAP, known failures strict both ways, the cap of skips, nothing ran."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from conformance import catalogue, known, runner, tap
from conformance.claims import Failed
from conformance.compare import table
from conformance.runner import Tally, complaints, judged
from conformance.tap import Result

TEXT = """
[skips]
v2 = 1

[[runc]]
versions = ["1.1.*"]
tests = ["g/one", "g/two[a]"]
reason = "does not"
spec = "x.md"

[[runc]]
versions = ["1.2.*"]
layouts = ["v2"]
tests = ["g/one"]
reason = "sometimes does not"
spec = "x.md"
race = true
"""
THERE = ["g/one", "g/two[a]", "g/two[b]", "g/three"]


@pytest.fixture
def listed(tmp_path: Path) -> known.Known:
    path = tmp_path / "known.toml"
    path.write_text(TEXT)
    return known.read(path)


def test_excuses_are_for_a_version_and_a_layout(listed: known.Known) -> None:
    assert set(listed.excuses("runc", "1.1.5+ds1", "v1", THERE)) == {"g/one", "g/two[a]"}
    assert set(listed.excuses("runc", "1.2.0", "v2", THERE)) == {"g/one"}
    assert listed.excuses("runc", "1.2.0", "v1", THERE) == {}
    assert listed.excuses("crun", "1.1.5", "v1", THERE) == {}


def test_a_name_without_label_is_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(TEXT.replace("g/two[a]", "g/two"))
    found = known.read(path).excuses("runc", "1.1.5", "v1", THERE)
    assert set(found) == {"g/one", "g/two[a]", "g/two[b]"}


def test_a_test_that_is_not_there(listed: known.Known) -> None:
    listed.check(THERE)
    with pytest.raises(known.KnownError, match=r"no test g/two\[a\]"):
        listed.check(["g/one"])


def test_a_test_that_is_listed_twice(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(TEXT.replace('["1.2.*"]', '["1.*"]').replace('layouts = ["v2"]', ""))
    with pytest.raises(known.KnownError, match="listed twice"):
        known.read(path).excuses("runc", "1.1.5", "v1", THERE)


def test_an_entry_without_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(TEXT.replace('reason = "does not"', ""))
    with pytest.raises(known.KnownError, match="an entry has"):
        known.read(path)


def test_strict_both_ways(listed: known.Known) -> None:
    entry = listed.excuses("runc", "1.1.5", "v1", THERE)["g/one"]
    race = listed.excuses("runc", "1.2.5", "v2", THERE)["g/one"]
    failed, passed = Result("g/one", tap.FAILED), Result("g/one", tap.PASSED)
    assert judged(failed, None).status == tap.FAILED
    assert judged(failed, entry).status == judged(failed, race).status == tap.KNOWN
    assert judged(passed, entry).status == tap.FAILED
    assert judged(passed, race).status == tap.PASSED
    assert judged(Result("g/one", tap.SKIPPED), entry).status == tap.SKIPPED


def tally(*statuses: str) -> Tally:
    one = Tally()
    one.results = [Result(f"g/{number}", status) for number, status in enumerate(statuses)]
    return one


@pytest.mark.parametrize(
    ("statuses", "planned", "cap", "words"),
    [
        ((tap.PASSED, tap.SKIPPED), 2, 1, []),
        ((tap.PASSED, tap.SKIPPED), 2, 0, ["skips are more"]),
        ((tap.PASSED,), 2, 1, ["2 tests were planned and 1 ran"]),
        ((tap.SKIPPED,), 1, 1, ["nothing passed"]),
        ((), 0, 1, ["nothing passed"]),
        ((tap.PASSED,), 1, None, ["no cap"]),
    ],
)
def test_what_fails_the_run(
    statuses: tuple[str, ...], planned: int, cap: int | None, words: list[str]
) -> None:
    found = list(complaints(tally(*statuses), planned, cap, "v2"))
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))


def test_the_lines_of_the_report() -> None:
    out = io.StringIO()
    writer = tap.Writer(out)
    writer.begin(3, "a note")
    writer.result(Result("g/one", tap.PASSED))
    writer.result(Result("g/two", tap.SKIPPED, "no #2"))
    writer.result(Result("g/three", tap.KNOWN, "why", {"message": "a\nb", "found": None}))
    assert out.getvalue() == (
        "TAP version 14\n1..3\n# a note\nok 1 - g/one\nok 2 - g/two # SKIP no \\#2\n"
        f'not ok 3 - g/three # {tap.EXCUSED} why\n  ---\n  message: "a\\nb"\n  ...\n'
    )


def test_a_test_that_hangs_is_ended() -> None:
    def hang() -> None:
        import select

        select.select([], [], [])

    try:
        with runner.alarm(0.05):
            hang()
    except runner.Hung as problem:
        assert "not over" in str(problem)
    else:
        pytest.fail("nothing rang")


def test_what_a_failure_says() -> None:
    assert runner.details_of(Failed("umask", 18, 9)) == {
        "message": "umask",
        "wanted": 9,
        "found": 18,
    }
    problem = runner.tried(lambda: {}["x"])
    assert problem is not None
    assert runner.details_of(problem)["message"] == "KeyError: 'x'"


def test_selection() -> None:
    cases = catalogue.load()
    assert catalogue.select(cases, []) == cases
    assert {case.group for case in catalogue.select(cases, ["hooks"])} == {"hooks"}
    assert [case.id for case in catalogue.select(cases, ["mounts/option[ro]"])] == [
        "mounts/option[ro]"
    ]
    assert len(catalogue.select(cases, ["mounts/option"])) > 10
    with pytest.raises(KeyError):
        catalogue.select(cases, ["nonsense"])


def test_the_table() -> None:
    rows = [{"id": "g/one", "status": tap.PASSED}, {"id": "h/two", "status": tap.KNOWN}]
    lines = table([{"runtime": "a 1", "results": rows}, {"runtime": "b 2", "results": rows[:1]}])
    assert [line.split() for line in lines[1:]] == [
        ["g", "1/0/0/0", "1/0/0/0"],
        ["h", "0/0/1/0", "0/0/0/0"],
        ["all", "1/0/1/0", "1/0/0/0"],
    ]
