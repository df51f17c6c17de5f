"""ps: the container's processes by their host pids."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.exec_calls import Detached

PS = pytest.mark.skipif(not shutil.which("ps"), reason="the host has no ps")


def pids(box: Box) -> list[int]:
    found: list[int] = json.loads(box.call("ps", "--format", "json", box.id, check=True).out)
    return found


def test_all_of_them_as_json(bundle: Bundle) -> None:
    with Box(bundle.shell("/inside pause & exec /inside pause")) as box:
        box.create()
        assert pids(box) == [box.pid]
        box.start()
        box.expect("pause")
        found = pids(box)
        assert box.pid in found and len(found) == 2
        child = (set(found) - {box.pid}).pop()
        assert os.path.exists(f"/proc/{child}")


def test_one_put_in_later_counts(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        with Detached(box, "ID", "/inside", "pause") as other:
            other.expect("pause")
            assert pids(box) == sorted([box.pid, other.pid])


def test_none_of_a_stopped_one(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        box.start()
        box.wait()
        assert box.call("ps", "-f", "json", box.id, check=True).out == "null\n"


def test_of_a_paused_one(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.call("pause", box.id, check=True)
        assert pids(box) == [box.pid]


@PS
@pytest.mark.parametrize(
    ("words", "title"),
    [((), "UID"), (("-ef",), "UID"), (("-aux",), "USER"), (("-o", "pid,comm"), "PID")],
)
def test_the_table_is_the_hosts(bundle: Bundle, words: tuple[str, ...], title: str) -> None:
    """Options after the id are those of ps, whatever they look like."""
    if words == ("-o", "pid,comm"):
        words = ("-e", *words)
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        head, *rows = box.call("ps", box.id, *words, check=True).out.splitlines()
        assert head.split()[0] == title
        column = head.split().index("PID")
        assert [int(row.split()[column]) for row in rows] == [box.pid]


@PS
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-e", "-o", "comm"), "couldn't find PID field in ps output"),
        (("--no-such-option",), "ps"),
    ],
)
def test_what_ps_cannot_print(bundle: Bundle, words: tuple[str, ...], said: str) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        outcome = box.call("ps", box.id, *words)
        assert outcome.code == 1 and said in outcome.errors[0]
        assert outcome.out == ""


def test_another_format(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        outcome = box.call("ps", "--format", "xml", box.id)
        assert (outcome.code, outcome.errors) == (1, ["invalid format option"])


@PS
def test_the_callers_environment_does_not_reach_ps(bundle: Bundle) -> None:
    """PATH with another ps in it, a format by variable, a library to load first (R-39)."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        fake = box.scratch / "ps"
        fake.write_text("#!/bin/sh\necho PID; echo fake >&2; exit 1\n")
        fake.chmod(0o755)
        box.env = {
            "PATH": f"{box.scratch}:{os.environ['PATH']}",
            "PS_FORMAT": "comm",
            "LD_PRELOAD": "/none.so",
        }
        outcome = box.call("ps", box.id)
        box.env = None
        assert outcome.code == 0, outcome
        assert outcome.out.split()[0] == "UID"
