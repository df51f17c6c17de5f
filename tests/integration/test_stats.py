"""stats: what containers use, once and again, as a table and as lines of JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.lib.box import Box, unique_id
from tests.lib.bundle import Bundle
from tests.lib.listening import Listener

MIB = 1 << 20
BUSY = 'echo \'{"cmd": "busy"}\'; while :; do :; done'
QUICK = ("--interval", "200ms")


def sample(box: Box, *words: str) -> list[dict[str, Any]]:
    text = box.call("stats", "--no-stream", "--json", *QUICK, *words, check=True).out
    return [json.loads(line) for line in text.splitlines()]


def test_what_one_uses(bundle: Bundle) -> None:
    bundle.set("linux.resources", {"memory": {"limit": 64 * MIB}, "pids": {"limit": 77}})
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.expect("pause")
        (found,) = sample(box)
        assert (found["id"], found["pid"]) == (box.id, box.pid)
        assert found["memory"]["limit"] == 64 * MIB
        assert 0 < found["memory"]["usage"] < 64 * MIB
        assert found["pids"] == {"current": 1, "limit": 77}
        assert found["cpu"]["percent"] < 50
        assert found["cpu"]["total"] > 0
        assert found["network"] == {"received": 0, "sent": 0}
        assert found["io"]["written"] is not None


def test_a_busy_one(bundle: Bundle) -> None:
    with Box(bundle.shell(BUSY)) as box:
        box.create()
        box.start()
        box.expect("busy")
        with Listener(box, "stats", "--json", "--interval", "100ms") as stats:
            # On a loaded machine it may have to wait for its turn.
            stats.until(lambda: sum(row["cpu"]["percent"] > 1 for row in stats.events) > 4)
            shares = sorted(row["cpu"]["percent"] for row in stats.events)
            # A reader that is held up between the clock and the counter sees more.
            assert shares[0] >= 0 and shares[len(shares) // 2] < 150


def test_network_of_the_host(bundle: Bundle) -> None:
    """Is not the container's."""
    spaces = [{"type": name} for name in ("pid", "ipc", "uts", "mount")]
    with Box(bundle.inside("pause").set("linux.namespaces", spaces)) as box:
        box.create()
        box.start()
        (found,) = sample(box)
        assert found["network"] == {"received": None, "sent": None}


def test_all_of_them_and_some(bundle: Bundle, tmp_path: Path) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        other = Bundle(tmp_path / "other").inside("exit", "0")
        with Box(other, root=box.root, container_id=unique_id()) as second:
            second.create()
            assert [row["id"] for row in sample(box)] == sorted([box.id, second.id])
            assert [row["id"] for row in sample(box, second.id)] == [second.id]
            second.start()
            second.wait()
            assert [row["id"] for row in sample(box)] == [box.id]
            outcome = box.call("stats", "--no-stream", box.id, second.id)
            said = f"container with id {second.id} is not running"
            assert (outcome.code, outcome.errors) == (1, [said])


def test_new_ones_come_and_ended_ones_go(bundle: Bundle, tmp_path: Path) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        with Listener(box, "stats", "--json", "--interval", "50ms") as stats:
            other = Bundle(tmp_path / "other").inside("pause")
            with Box(other, root=box.root, container_id=unique_id()) as second:
                second.create()
                stats.until(lambda: any(row["id"] == second.id for row in stats.events))
                second.start()
                second.kill("KILL")
                second.wait()
                told = len(stats.events)
                stats.until(lambda: {row["id"] for row in stats.events[told:][-2:]} == {box.id})


def test_an_id_again(bundle: Bundle) -> None:
    """Found anew under the name it had."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        with Listener(box, "stats", "--json", "--interval", "50ms") as stats:
            first = box.pid
            stats.until(lambda: any(row["pid"] == first for row in stats.events))
            box.kill("KILL")
            box.wait()
            box.delete()
            box.create()
            stats.until(lambda: any(row["pid"] == box.pid for row in stats.events))


def test_it_ends_with_the_last_one_named(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        with Listener(box, "stats", "--json", "--interval", "50ms", box.id) as stats:
            stats.until(lambda: bool(stats.events))
            box.kill("KILL")
            box.wait()
            assert stats.end().code == 0


def test_one_named_twice(bundle: Bundle) -> None:
    """Has one row, and one end."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        assert len(sample(box, box.id, box.id)) == 1
        with Listener(box, "stats", "--json", "--interval", "50ms", box.id, box.id) as stats:
            stats.until(lambda: bool(stats.events))
            box.kill("KILL")
            box.wait()
            assert stats.end().code == 0


def test_nobody_reads_any_more(bundle: Bundle) -> None:
    with Box(bundle.inside("pause")) as box:
        box.create()
        with Listener(box, "stats", "--json", "--interval", "100ms") as stats:
            stats.until(lambda: bool(stats.events))
            os.close(stats.out.fd)
            stats.out.fd, stats.out.ended = -1, True
            assert stats.end().code == 0


def test_the_table(bundle: Bundle) -> None:
    bundle.set("linux.resources", {"memory": {"limit": 64 * MIB}, "pids": {"limit": 77}})
    with Box(bundle.inside("pause")) as box:
        box.create()
        box.start()
        box.expect("pause")
        head, row = box.call("stats", "--no-stream", *QUICK, check=True).out.splitlines()
        assert head.split()[0] == "ID" and "MEM USAGE / LIMIT" in head
        assert row.startswith(box.id)
        assert "/ 64MiB" in row and "1 / 77" in row
        assert "\033" not in row


def test_none(bundle: Bundle) -> None:
    with Box(bundle) as box:
        assert sample(box) == []
        table = box.call("stats", "--no-stream", *QUICK, check=True).out
        assert table.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody",), "container does not exist"),
        (("--interval", "0s"), "duration interval must be greater than 0"),
        (("a/b",), "invalid container ID format"),
    ],
    ids=["nobody", "no-interval", "no-id"],
)
def test_mistakes(bundle: Bundle, words: tuple[str, ...], said: str) -> None:
    with Box(bundle) as box:
        outcome = box.call("stats", *words)
        assert (outcome.code, outcome.errors, outcome.out) == (1, [said], "")


def test_a_damaged_record(bundle: Bundle) -> None:
    """Of one, does not keep the others from being shown."""
    with Box(bundle.inside("pause")) as box:
        box.create()
        broken = box.root / "broken"
        broken.mkdir(mode=0o700)
        (broken / "state.json").write_text("{")
        try:
            assert [row["id"] for row in sample(box)] == [box.id]
            outcome = box.bare("--root", str(box.root), "stats", "--no-stream", *QUICK)
            assert outcome.code == 0 and "broken/state.json is damaged" in outcome.err
        finally:
            (broken / "state.json").unlink()
            broken.rmdir()
