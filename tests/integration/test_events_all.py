"""events --all: every container of a state root, as it happens."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyruntime.cgroup import detect
from tests.lib.box import Box, unique_id
from tests.lib.bundle import Bundle
from tests.lib.groups import V2
from tests.lib.listening import Event, Listener

MIB = 1 << 20


def kinds(events: Sequence[Event], box: Box) -> list[str]:
    return [event["type"] for event in events if event["id"] == box.id]


def listening(box: Box, *words: str) -> Listener:
    listener = Listener(box, "events", "--all", *words)
    listener.ready()
    return listener


def test_a_life(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "3")) as box, listening(box) as all_:
        box.create()
        created = all_.expect("created")
        assert created["data"] == {"pid": box.pid, "bundle": str(bundle.directory)}
        box.start()
        assert all_.expect("started")["data"] == {"pid": box.pid}
        pid = box.pid
        exited = all_.expect("exited")  # before anybody has waited for it
        assert exited["data"] == {"pid": pid, "code": 3, "signal": None}
        box.wait()
        box.delete()
        all_.expect("deleted")
        assert kinds(all_.events, box) == ["created", "started", "exited", "deleted"]
        times = [event["time"] for event in all_.events]
        assert times == sorted(times) and times[0].endswith("Z")


def test_of_a_signal(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box, listening(box) as all_:
        box.create()
        box.start()
        box.expect("pause")
        all_.expect("started")
        box.kill("KILL")
        assert all_.expect("exited")["data"]["signal"] == signal.SIGKILL


def test_waited_for_by_somebody_else(bundle: Bundle) -> None:
    """`run` waits for the program and deletes at once; the pidfd still tells how it ended (Linux 6.15)."""
    with Box(bundle.shell("read x < /go; exit 7")) as box, listening(box) as all_:
        os.mkfifo(bundle.rootfs / "go")
        bundle.write(box.id)
        words = [*box.globals, "run", "--bundle", str(bundle.directory), box.id]
        running = box.spawn(*words)
        all_.expect("started")
        (bundle.rootfs / "go").write_text("\n")
        assert box.finish(*running, words).code == 7
        all_.expect("deleted")
        exits = [event["data"] for event in all_.of("exited")]
        assert [row["code"] for row in exits] in ([7], [None])
        assert exits[0]["signal"] is None


def test_what_was_there_before(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.expect("pause")
        with listening(box) as all_:
            assert all_.expect("found")["data"] == {"status": "running", "pid": box.pid}
            box.kill("TERM")
            box.kill("KILL")
            all_.expect("exited")
            box.wait()
        with listening(box) as all_:
            assert all_.expect("found")["data"]["status"] == "stopped"
            box.delete()
            all_.expect("deleted")
            assert kinds(all_.events, box) == ["found", "deleted"]


def test_one_that_was_created_before(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        with listening(box) as all_:
            assert all_.expect("found")["data"]["status"] == "created"
            box.start()
            all_.expect("exited")
            assert kinds(all_.events, box) == ["found", "started", "exited"]


def test_several_and_an_id_again(bundle: Bundle, tmp_path: Path) -> None:
    with Box(bundle.inside("exit", "1")) as box, listening(box) as all_:
        for times in (1, 2):
            box.create()
            all_.expect("created", times=times)
            box.start()
            box.wait()
            box.delete()
            all_.expect("deleted", times=times)
        other = Bundle(tmp_path / "other").inside("exit", "2")
        with Box(other, root=box.root, container_id=unique_id()) as second:
            second.create()
            second.start()
            assert all_.expect("exited", of=second.id)["data"]["code"] == 2
        assert kinds(all_.events, box) == ["created", "started", "exited", "deleted"] * 2


def test_a_create_that_fails(bundle: Bundle) -> None:
    """What never was is not told of."""
    with Box(bundle.args("/no/such/program")) as box, listening(box) as all_:
        assert box.create(check=False).code != 0
        bundle.inside("exit", "0")
        box.create()
        all_.expect("created")
        assert kinds(all_.events, box) == ["created"]


def test_memory_that_runs_out(bundle: Bundle) -> None:
    bundle.set("linux.resources.memory", {"limit": 32 * MIB, "swap": 32 * MIB})
    with Box(bundle.inside("alloc", "256")) as box, listening(box) as all_:
        box.create()
        box.start()
        exited = all_.expect("exited")
        assert exited["data"]["signal"] == signal.SIGKILL
        told = kinds(all_.events, box)
        assert told.index("oom") < told.index("exited")
        if V2:
            assert all_.of("memory")[-1]["data"]["oom_kill"] >= 1


def test_forks_that_are_refused(bundle: Bundle) -> None:
    bundle.set("linux.resources.pids.limit", 3)
    crowd = "for n in 1 2 3 4 5; do /inside pause & done; wait"
    with Box(bundle.shell(crowd)) as box, listening(box) as all_:
        box.create()
        box.start()
        assert all_.expect("pids")["data"]["max"] >= 1


@pytest.mark.skipif(not os.path.exists("/proc/pressure"), reason="this kernel counts no pressure")
def test_pressure(bundle: Bundle) -> None:
    """Many for one processor: some wait for it all the time."""
    if not any(hierarchy.unified for hierarchy in detect.layout().hierarchies):
        with Box(bundle) as box:
            outcome = box.call("events", "--all", "--psi", "cpu=some:100ms/2s")
            assert (outcome.code, outcome.out) == (1, "") and "cgroup v2" in outcome.errors[0]
        return
    bundle.set("linux.resources.cpu", {"cpus": "0", "mems": "0"})
    crowd = "for n in 1 2 3; do (while :; do :; done) & done; wait"
    with Box(bundle.shell(crowd)) as box, listening(box, "--psi", "cpu=some:100ms/2s") as all_:
        box.create()
        box.start()
        data = all_.expect("pressure")["data"]
        box.kill("KILL")
        all_.expect("exited")
        assert data["psi"]["some"]["total"] > 0
        del data["psi"]
        assert data == {
            "resource": "cpu",
            "share": "some",
            "stallUs": 100_000,
            "windowUs": 2 * 10**6,
        }


def test_a_damaged_record(bundle: Bundle) -> None:
    """The others are told of all the same."""
    with Box(bundle.inside("exit", "0")) as box, listening(box) as all_:
        broken = box.root / "broken"
        broken.mkdir(mode=0o700)
        (broken / "new").write_text("{")
        (broken / "new").rename(broken / "state.json")
        box.create()
        box.start()
        all_.expect("exited")
        assert {event["id"] for event in all_.events} == {box.id}
        (broken / "state.json").unlink()
        broken.rmdir()


def test_names_that_are_no_containers(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box, listening(box) as all_:
        (box.root / "file").write_text("")
        (box.root / "link").symlink_to("/")
        (box.root / "not an id").mkdir()
        box.create()
        all_.expect("created")
        assert len(all_.events) == 1
        (box.root / "file").unlink()
        (box.root / "link").unlink()
        (box.root / "not an id").rmdir()


def test_nobody_reads_any_more(bundle: Bundle) -> None:
    with Box(bundle) as box, listening(box) as all_:
        os.close(all_.out.fd)
        all_.out.fd, all_.out.ended = -1, True
        assert all_.end().code == 0


def test_the_state_root_goes_away(bundle: Bundle) -> None:
    with Box(bundle) as box, listening(box) as all_:
        box.root.rmdir()
        outcome = all_.end()
        assert outcome.code == 1
        assert f"the state directory `{box.root}` was removed" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--all", "nobody"), "--all takes no container, and has no statistics"),
        (("--all", "--stats"), "--all takes no container, and has no statistics"),
        (("--psi", "cpu=some:100ms/2s", "nobody"), "--psi is for --all"),
        (("--all", "--psi", "cpu"), "--psi `cpu`: not RESOURCE=SHARE:STALL/WINDOW"),
        (
            ("--all", "--psi", "disk=some:1ms/1s"),
            "--psi `disk=some:1ms/1s`: not RESOURCE=SHARE:STALL/WINDOW",
        ),
        (
            ("--all", "--psi", "io=full:1s/20s"),
            "--psi `io=full:1s/20s`: the window is 500ms to 10s, and the stall no longer than it",
        ),
    ],
    ids=["an-id", "stats", "psi-alone", "no-share", "no-resource", "a-long-window"],
)
def test_mistakes(bundle: Bundle, words: tuple[str, ...], said: str) -> None:
    with Box(bundle) as box:
        outcome = box.call("events", *words)
        assert (outcome.code, outcome.errors, outcome.out) == (1, [said], "")
