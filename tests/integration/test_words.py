"""The exact words and exit codes engines look for, and the states in which a verb is refused."""

from __future__ import annotations

import json
import os

import pytest

from tests.lib.box import Box
from tests.lib.bundle import Bundle

VERBS = ["state", "start", "kill", "delete"]


@pytest.mark.parametrize("verb", VERBS)
def test_unknown_id(bundle: Bundle, verb: str) -> None:
    with Box(bundle) as box:
        outcome = box.call(verb, box.id)
        assert outcome.code == 1
        assert "container does not exist" in outcome.err
        assert outcome.errors and "container does not exist" in outcome.errors[-1]


def test_delete_force_of_an_unknown_id_succeeds(bundle: Bundle) -> None:
    """containerd's shim always calls it a second time."""
    with Box(bundle) as box:
        outcome = box.call("delete", "--force", box.id)
        assert (outcome.code, outcome.err, outcome.out) == (0, "", "")


def test_kill_of_a_stopped_container(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        box.start()
        box.wait()
        outcome = box.kill("TERM", check=False)
        assert outcome.code == 1 and "container not running" in outcome.err


def test_kill_all_of_a_stopped_container_succeeds(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        box.start()
        box.wait()
        assert box.call("kill", "--all", box.id, "9").code == 0


@pytest.mark.parametrize(
    "word", ["BOGUS", "SIGSIG", "SIG", "0x9", "65", "+9", " 9", "9 ", "1_0", "\u0669"]
)
def test_kill_with_an_unknown_signal(bundle: Bundle, word: str) -> None:
    """R-30: matched strictly; the container is as it was."""
    with Box(bundle) as box:
        box.create()
        outcome = box.kill(word, check=False)
        assert outcome.code == 1
        assert (
            word != "BOGUS"
            or 'unknown signal \\"BOGUS\\"' in outcome.err
            or 'unknown signal "BOGUS"' in outcome.err
        )
        assert box.status == "created"


def test_start_twice(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        outcome = box.start(check=False)
        assert outcome.code == 1 and "cannot start an already running container" in outcome.err
        assert box.status == "running"


def test_start_of_a_stopped_container(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        box.start()
        box.wait()
        outcome = box.start(check=False)
        assert outcome.code == 1 and "cannot start a container that has stopped" in outcome.err


def test_delete_of_a_running_container(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        outcome = box.delete(check=False)
        assert outcome.code == 1
        assert f"cannot delete container {box.id} that is not stopped: running" in outcome.err
        assert box.status == "running"


def test_a_duplicate_id(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.create()
        before = box.state()
        again = box.call("create", "--bundle", str(bundle.directory), box.id)
        assert again.code == 1 and "container with given ID already exists" in again.err
        assert box.state() == before


BAD_IDS = [
    "",
    ".",
    "..",
    "a/b",
    "../x",
    "/x",
    "a b",
    "a\n",
    "é",
    "\u0661",
    "a:b",
    "x" * 5000,
    "a*",
    "-",
]


@pytest.mark.parametrize("name", BAD_IDS, ids=[repr(name[:8]) for name in BAD_IDS])
def test_a_bad_id(bundle: Bundle, name: str) -> None:
    """R-34. A lone dash is a legal name for runc; nobody uses it, either answer is fine."""
    with Box(bundle) as box:
        bundle.write(box.id)
        outcome = box.call("create", "--bundle", str(bundle.directory), name)
        if name == "-":
            box.call("delete", "--force", name)
            return
        assert outcome.code == 1, str(outcome)
        assert not box.root.exists() or not list(box.root.iterdir())


def test_the_words_for_a_bad_id(bundle: Bundle) -> None:
    with Box(bundle) as box:
        bundle.write(box.id)
        assert (
            "invalid container ID format"
            in box.call("create", "--bundle", str(bundle.directory), "a/b").err
        )


@pytest.mark.parametrize("name", ["a", "A-z_0.9+x", "0", "_", "x" * 200])
def test_a_good_id(bundle: Bundle, name: str) -> None:
    name = f"{name}-{os.getpid()}"
    with Box(bundle.set("linux.cgroupsPath", "/" + name[-60:]), container_id=name) as box:
        box.create()
        assert box.state()["id"] == name


def test_no_config(bundle: Bundle) -> None:
    with Box(bundle) as box:
        outcome = box.call("create", "--bundle", str(bundle.directory), box.id)
        assert outcome.code == 1
        assert "JSON specification file config.json not found" in outcome.err


def test_no_bundle_directory(bundle: Bundle) -> None:
    with Box(bundle) as box:
        outcome = box.call("create", "--bundle", "/not/there", box.id)
        assert outcome.code == 1 and "no such file or directory" in outcome.err


@pytest.mark.parametrize(
    ("arg", "words"),
    [
        ("missing", 'exec: "missing": executable file not found in $PATH'),
        ("/missing", "no such file or directory"),
        ("/etc/passwd", "permission denied"),
        ("/etc", "permission denied"),
    ],
)
def test_a_missing_program(bundle: Bundle, arg: str, words: str) -> None:
    """Docker maps these to 127 and 126 and matches case-sensitively."""
    with Box(bundle.args(arg)) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and words in outcome.err
        assert words in outcome.errors[-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("#!/no/such/interpreter\n", "no such file or directory"),
        ("#!/etc/passwd\n", "permission denied"),
        ("neither ELF nor script\n", "exec format error"),
    ],
)
def test_a_program_the_kernel_refuses(bundle: Bundle, content: str, words: str) -> None:
    """An error of `start`, and a line in the container's own stderr, which is what `docker logs` shows."""
    bundle.file("program", content, mode=0o755)
    with Box(bundle.args("/program")) as box:
        box.create()
        outcome = box.start(check=False)
        assert outcome.code == 1 and f"exec /program: {words}" in outcome.err
        box.wait()
        assert box.error_output == f"exec /program: {words}\n"
    with Box(bundle) as box:
        outcome = box.run()
        assert outcome.code == 1 and outcome.err.count(f"exec /program: {words}") == 1


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_what_is_not_supported_yet(bundle: Bundle, verb: str) -> None:
    """With all of runc's options, and nothing done."""
    with Box(bundle) as box:
        box.create()
        words = ["--image-path=images", "--tcp-established", "--manage-cgroups-mode=soft"]
        outcome = box.call(verb, *words, box.id)
        assert outcome.code == 1 and outcome.errors == [f"{verb} is not supported yet"]
        assert box.status == "created"


@pytest.mark.parametrize("form", ["text", "json"])
def test_debug_tells_the_steps(bundle: Bundle, form: str) -> None:
    """Of create, exec and start; in the log if there is one, else on stderr."""
    with Box(bundle.inside("pause")) as box:
        bundle.write(box.id)
        where = ["--root", str(box.root), "--debug", "--log-format", form]
        bundle_at = ["--bundle", str(bundle.directory), "--pid-file", str(box.scratch / "pid")]
        made = box.bare(*where, "create", *bundle_at, box.id)
        assert made.code == 0
        box.adopt(int((box.scratch / "pid").read_text()))
        started = box.bare(*where, "start", box.id)
        joined = box.bare(*where, "--log", str(box.log), "exec", box.id, "/inside", "exit", "0")
        assert joined.err == ""
        for text, word in (
            (made.err, "make the cgroups and set their limits"),
            (made.err, "become user 0"),
            (started.err, "the program runs"),
            (box.log.read_text(), "the program runs"),
        ):
            lines = [line for line in text.splitlines() if word in line]
            assert len(lines) == 1, text
            if form == "json":
                assert json.loads(lines[0])["level"] == "debug"
            else:
                assert " level=debug msg=" in lines[0]


USAGE = [
    (["create"], 1, '"create" requires exactly 1 argument'),
    (["create", "a", "b"], 1, '"create" requires exactly 1 argument'),
    (["start"], 1, '"start" requires exactly 1 argument'),
    (["start", "a", "b"], 1, '"start" requires exactly 1 argument'),
    (["state"], 1, '"state" requires exactly 1 argument'),
    (["delete"], 1, '"delete" requires exactly 1 argument'),
    (["create", "--nonsense", "x"], 1, "flag provided but not defined: -nonsense"),
    (["--nonsense", "state", "x"], 1, "flag provided but not defined: -nonsense"),
    (["create", "--bundle"], 1, "flag needs an argument: -"),
    (["nonsense"], 3, "No help topic for 'nonsense'"),
]


@pytest.mark.parametrize(("words", "code", "text"), USAGE, ids=[" ".join(row[0]) for row in USAGE])
def test_wrong_command_lines(bundle: Bundle, words: list[str], code: int, text: str) -> None:
    with Box(bundle) as box:
        outcome = box.bare("--root", str(box.root), *words)
        assert outcome.code == code, str(outcome)
        assert text in (outcome.out + outcome.err).replace('\\"', '"')
        assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    "verb", ["create", "run", "start", "state", "kill", "delete", "list", "spec", "features"]
)
def test_help(bundle: Bundle, verb: str) -> None:
    with Box(bundle) as box:
        outcome = box.bare(verb, "--help")
        assert outcome.code == 0 and verb in outcome.out
        assert box.bare("--help").code == 0
