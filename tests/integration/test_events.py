"""events: statistics, memory that runs out, and when the stream ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.lib.box import Box
from tests.lib.bundle import Bundle
from tests.lib.groups import V2, group_of
from tests.lib.listening import Event, Listener

MIB = 1 << 20
GREEDY = ["alloc", "256"]


def stats_of(box: Box) -> Event:
    document: Event = json.loads(box.call("events", "--stats", box.id, check=True).out)
    return document


def limited(bundle: Bundle, limit: int = 32 * MIB) -> Bundle:
    return bundle.set("linux.resources.memory", {"limit": limit, "swap": limit})


def test_statistics_once(bundle: Bundle) -> None:
    limited(bundle, 64 * MIB).set("linux.resources.pids.limit", 77)
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.expect("pause")
        document = stats_of(box)
        assert (document["type"], document["id"]) == ("stats", box.id)
        data = document["data"]
        assert data["memory"]["usage"]["limit"] == 64 * MIB
        assert 0 < data["memory"]["usage"]["usage"] <= 64 * MIB
        assert data["memory"]["raw"]
        assert data["cpu"]["usage"]["total"] > 0
        assert {"kernel", "user"} <= set(data["cpu"]["usage"])
        assert data["pids"] == {"current": 1, "limit": 77}
        assert data["network_interfaces"] is None
        assert set(data) == {
            "cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces",
        }  # fmt: skip


def shape(value: object, path: str = "") -> dict[str, str]:
    """The type of each place of a document; of a list, of its elements; the rows of memory.stat are the kernel's."""
    if isinstance(value, dict):
        found = {path: "object"}
        for key, item in value.items():
            found |= shape(item, f"{path}/{key}")
        return found
    if isinstance(value, list):
        found = {path: "list"}
        for item in value:
            found |= shape(item, f"{path}/-")
        return found
    return {path: value.__class__.__name__}


@pytest.mark.skipif(V2, reason="the reference's words for v2 differ between its versions")
def test_every_key_of_the_reference(bundle: Bundle) -> None:
    """The same container made by both: what one prints, the other prints with the same type."""
    limited(bundle, 64 * MIB).set("linux.resources.pids.limit", 77)
    bundle.set("linux.resources.cpu", {"quota": 50000, "period": 100000})
    with Box(bundle.inside("pause")) as box:
        box.create()
        ours = shape(stats_of(box))
    if not (reference := shutil.which("runc")):
        pytest.skip("no reference runtime")
    root = bundle.directory / "reference"
    command = [reference, "--root", str(root)]
    quiet = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    where = ["--bundle", str(bundle.directory)]
    subprocess.run([*command, "create", *where, box.id], check=True, **quiet)  # type: ignore[call-overload]
    try:
        told = subprocess.run(
            [*command, "events", "--stats", box.id], check=True, capture_output=True
        )
    finally:
        subprocess.run([*command, "delete", "--force", box.id], check=True)
    theirs = shape(json.loads(told.stdout))
    assert theirs["/data/memory/usage/limit"] == "int"
    counted = any(place.startswith("/data/blkio/io") for place in ours)
    missing = {
        place: kind
        for place, kind in theirs.items()
        # Only one of the two may have found its program in memory and have read nothing.
        if ours.get(place) != kind and (counted or not place.startswith("/data/blkio/io"))
    }
    assert missing == {}


def test_of_a_created_and_of_a_paused_one(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        assert stats_of(box)["data"]["pids"]["current"] >= 1
        box.start()
        box.call("pause", box.id, check=True)
        assert stats_of(box)["data"]["pids"]["current"] == 1


def test_what_it_read_and_used(bundle: Bundle) -> None:
    """The numbers are those of the group's files."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.expect("pause")
        usage = stats_of(box)["data"]["cpu"]["usage"]
        if V2:
            text = (group_of(box, "cpu") / "cpu.stat").read_text().split()
            assert 0 < usage["total"] <= int(text[1]) * 1000
        else:
            total = int((group_of(box, "cpuacct") / "cpuacct.usage").read_text())
            assert 0 < usage["total"] <= total
            assert sum(usage["percpu"]) <= total


def test_statistics_at_intervals(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        with Listener(box, "events", "--interval", "20ms", box.id) as events:
            events.expect("stats", times=3)
            box.kill("KILL")
            box.wait()
            box.delete()
            assert events.end().code == 0
            assert {event["id"] for event in events.events} == {box.id}


def test_the_first_comes_after_the_interval(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        with Listener(box, "events", "--interval", "1h30m", box.id) as events:
            events.ready()
            box.kill("KILL")
            box.wait()
            box.delete()
            assert events.end().code == 0
            assert events.out.text == ""


def test_memory_that_runs_out(bundle: Bundle) -> None:
    """A child is killed, the container goes on, and so do the events."""
    limited(bundle).shell("/inside alloc 256; /inside alloc 256; exec /inside pause")
    with Box(bundle) as box:
        box.create()
        with Listener(box, "events", "--interval", "1h", box.id) as events:
            events.ready()
            box.start()
            assert events.expect("oom") == {"type": "oom", "id": box.id}
            box.expect("pause")
            box.kill("KILL")
            box.wait()
            box.delete()
            assert events.end().code == 0


def test_the_last_thing_that_happens(bundle: Bundle) -> None:
    """The init itself is killed: told, and then the stream ends."""
    with Box(limited(bundle).inside(*GREEDY)) as box:
        box.create()
        with Listener(box, "events", "--interval", "1h", box.id) as events:
            events.ready()
            box.start()
            assert box.wait() == 128 + 9
            box.delete()
            assert events.end().code == 0
            assert events.of("oom")


def test_the_end_of_the_container_ends_it(bundle: Bundle) -> None:
    """Without a delete: what has ended will tell nothing more."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        with Listener(box, "events", "--interval", "20ms", box.id) as events:
            events.expect("stats")
            box.kill("KILL")
            box.wait()
            assert events.end().code == 0


@pytest.mark.parametrize("words", [(), ("--stats",)])
def test_of_what_has_stopped(bundle: Bundle, words: tuple[str, ...]) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        box.start()
        box.wait()
        outcome = box.call("events", *words, box.id)
        said = f"container with id {box.id} is not running"
        assert (outcome.code, outcome.errors, outcome.out) == (1, [said], "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody",), "container does not exist"),
        ((), '"events" requires exactly 1 argument(s)'),
        (("--interval", "x", "nobody"), 'invalid value "x" for flag -interval: parse error'),
        (("--interval", "5", "nobody"), 'invalid value "5" for flag -interval: parse error'),
    ],
)
def test_mistakes(bundle: Bundle, words: tuple[str, ...], said: str) -> None:
    with Box(bundle) as box:
        box.create()
        outcome = box.call("events", *words)
        assert outcome.code == 1 and outcome.out.find("{") < 0
        assert said in outcome.errors[0]


def test_an_interval_of_nothing(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.create()
        outcome = box.call("events", "--interval", "0s", box.id)
        said = "duration interval must be greater than 0"
        assert (outcome.code, outcome.errors) == (1, [said])


def test_nobody_reads_any_more(bundle: Bundle) -> None:
    """It ends when its reader is gone, and does not wait for something to be written."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        with Listener(box, "events", "--interval", "1h", box.id) as events:
            events.ready()
            os.close(events.out.fd)
            events.out.fd, events.out.ended = -1, True
            assert events.end().code == 0


def test_without_a_cgroup(bundle: Bundle) -> None:
    """Nothing is counted: events refuses, the table shows what there is, and --all tells of its life."""
    with Box(bundle.inside("pause")) as box, Listener(box, "events", "--all") as all_:
        all_.ready()
        box.bundle.write(box.id)
        words = ["--cgroup-manager", "disabled", "create", "--bundle", str(bundle.directory)]
        pid_file = box.scratch / "pid"
        outcome = box.call(*words, "--pid-file", str(pid_file), box.id, check=True)
        box.stdout, box.stderr = outcome._out, outcome._err
        box.adopt(int(pid_file.read_text()))
        for flags in ((), ("--stats",)):
            told = box.call("events", *flags, box.id)
            said = "a container without a cgroup of its own has no statistics"
            assert (told.code, told.errors) == (1, [said])
        table = box.call("stats", "--no-stream", "--interval", "10ms", check=True).out
        assert "- / -" in table and box.id in table
        box.start()
        box.kill("KILL")
        assert all_.expect("exited")["data"]["signal"] == 9
