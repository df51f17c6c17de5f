"""`plan`: the steps that create would take are printed, and none is taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.ordinary_user import Person, PersonBox, known

pytestmark = pytest.mark.skipif(
    programs.runtime_name() in ("runc", "crun"), reason="a verb of pyruntime's own"
)


def steps(box: Box, *words: str) -> list[dict[str, object]]:
    box.bundle.write()
    outcome = box.call("plan", "--json", *words, str(box.bundle.directory), check=True)
    document = json.loads(outcome.out)
    assert document["bundle"] == str(box.bundle.directory)
    found: list[dict[str, object]] = document["steps"]
    return found


def test_it_shows_both_sides_and_does_nothing(bundle: Bundle) -> None:
    bundle.hostname("shown").mount("/fresh", "tmpfs", "tmpfs", "nosuid", "size=64k")
    with Box(bundle) as box:
        found = steps(box)
        assert not box.root.exists()
        assert {step["side"] for step in found} >= {"host", "init"}
        (name,) = [step for step in found if step["property"] == "/hostname"]
        assert name["calls"] == [{"call": "sethostname", "arguments": ['"shown"', "5"]}]
        text = box.call("plan", str(bundle.directory), check=True).out
        assert "MOUNT_ATTR_NOSUID" in text and "clone3(" in text and "CLONE_NEWNS" in text
    assert not (bundle.rootfs / "fresh").exists()


def test_it_is_what_create_does(bundle: Bundle) -> None:
    """--debug logs the init's steps in the order of the plan; the plan goes on with the steps that follow `start`."""
    with Box(bundle.inside("exit", "0")) as box:
        found = [step for step in steps(box) if step["side"] != "host"]
        wanted = [str(step["text"]).replace("<id>", box.id) for step in found]
        flags = ["--bundle", str(bundle.directory), "--pid-file", str(box.scratch / "pid")]
        outcome = box.bare("--debug", *box.globals, "create", *flags, box.id)
        assert outcome.code == 0, str(outcome)
        box.adopt(int((box.scratch / "pid").read_text()))
        told = [record["msg"] for record in outcome.records if record["msg"].startswith("init ")]
    done = [line.partition(": ")[2] for line in told]
    assert len(done) > 20 and done[-1] == "ready"
    for text, line in zip(wanted, done, strict=False):
        assert line == "ready" or line.startswith(text)
    assert found[-1]["moment"] == "EXEC"


def test_the_current_directory(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle.write()
    monkeypatch.chdir(bundle.directory)
    with Box(bundle) as box:
        assert "attach the root" in box.bare("plan").out


def test_two_bundles(bundle: Bundle, tmp_path: Path) -> None:
    other = Bundle(tmp_path / "other", bundle.document).set("process.noNewPrivileges", True)
    bundle.set("process.noNewPrivileges", False).write()
    other.write()
    with Box(bundle) as box:
        one, two = str(bundle.directory), str(other.directory)
        same = box.call("plan", "--diff", one, one)
        assert (same.code, same.out) == (0, "")
        told = box.call("plan", "--diff", one, two)
        assert told.code == 1
        changed = [
            line
            for line in told.out.splitlines()
            if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]
        assert changed and all(line[0] == "+" for line in changed)
        assert any("PR_SET_NO_NEW_PRIVS" in line for line in changed)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--diff", "."], "--diff"),
        ([".", "."], "--diff"),
        (["--diff", "--json", ".", "."], "--json"),
        (["/nowhere"], "no such file or directory"),
    ],
)
def test_wrong_words(bundle: Bundle, words: list[str], said: str) -> None:
    with Box(bundle) as box:
        outcome = box.call("plan", *words)
        assert outcome.code == 1 and said in outcome.message and not outcome.out


def test_a_wrong_config_is_refused_as_by_create(bundle: Bundle) -> None:
    bundle.set("process.cwd", "relative").set("process.args", []).write()
    with Box(bundle) as box:
        outcome = box.call("plan", str(bundle.directory))
        assert outcome.code == 1
        assert "/process/cwd" in outcome.message and "/process/args" in outcome.message


def test_an_ordinary_user_sees_the_plan_of_root() -> None:
    with known(Person()) as person:
        bundle = person.bundle()
        bundle.without_namespace("user").write()
        for name in ("uidMappings", "gidMappings"):
            bundle.document["linux"].pop(name, None)
        with PersonBox(person.give(bundle), person, env=person.env) as box:
            text = box.call("plan", str(bundle.directory), check=True).out
        assert "make device `/dev/null`" in text and "mknodat" in text
