"""`state` and `list`: the fields engines read, and annotations."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pyruntime.spec._schema import SCHEMAS
from tests.lib.box import Box
from tests.lib.bundle import Bundle

pytestmark = pytest.mark.covers("annotations")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def test_fields_of_a_created_container(bundle: Bundle) -> None:
    bundle.set("annotations", {"org.example.key": "välue", "empty": ""})
    with Box(bundle) as box:
        box.create()
        state = box.state()
        assert state["id"] == box.id
        assert state["status"] == "created"
        assert state["pid"] == box.pid
        assert state["bundle"] == str(bundle.directory)
        assert state["annotations"] == {"org.example.key": "välue", "empty": ""}
        assert state["rootfs"] == str(bundle.rootfs)
        assert RFC3339.fullmatch(state["created"])
        assert re.fullmatch(r"1\.\d+\.\d+.*", state["ociVersion"])


def check(document: dict[str, Any], status: str) -> None:
    """By the schema of the specification, which allows more members."""
    jsonschema.Draft4Validator(json.loads(SCHEMAS)["state"]).validate(document)
    assert document["status"] == status


def test_the_schema_holds_at_every_status(bundle: Bundle) -> None:
    """What the hooks are told too."""
    log = bundle.directory / "log"
    for kind in ("createRuntime", "createContainer", "poststart", "poststop"):
        bundle.hook(kind, "/bin/sh", "-c", f"cat >> {log}; echo >> {log}")
    with Box(bundle.inside("pause")) as box:
        box.create()
        check(box.state(), "created")
        box.start()
        check(box.state(), "running")
        box.kill("KILL")
        box.wait()
        check(box.state(), "stopped")
        box.delete()
    told = [json.loads(line) for line in log.read_text().splitlines() if line]
    for document, status in zip(told, ("creating", "creating", "running", "stopped"), strict=True):
        check(document, status)


def test_a_stopped_container_has_pid_0(bundle: Bundle) -> None:
    with Box(bundle.inside("exit", "0")) as box:
        box.create()
        box.start()
        box.wait()
        assert (box.state()["status"], box.state()["pid"]) == ("stopped", 0)


def test_a_killed_init_is_seen(bundle: Bundle) -> None:
    """Status comes from the process, not from what was written down."""
    with Box(bundle) as box:
        box.create()
        assert box.pidfd is not None
        os.kill(box.pid, signal.SIGKILL)
        box.wait()
        assert box.status == "stopped"


def test_without_annotations(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.create()
        assert not box.state().get("annotations")


def test_annotations_that_are_no_strings_are_refused(bundle: Bundle) -> None:
    with Box(bundle.set("annotations", {"a": 1})) as box:
        assert box.create(check=False).code == 1


def test_the_bundle_may_be_the_current_directory(bundle: Bundle) -> None:
    with Box(bundle, prepare=lambda: os.chdir(bundle.directory)) as box:
        bundle.write(box.id)
        assert box.call("create", "--pid-file", "own.pid", box.id).code == 0
        box.adopt(int((bundle.directory / "own.pid").read_text()))
        assert box.state()["bundle"] == str(bundle.directory)


def test_list(bundle: Bundle, tmp_path: Path) -> None:
    other = Bundle(tmp_path / "other").inside("pause")
    with Box(bundle) as first, Box(other, root=first.root) as second:
        first.create()
        second.create()
        second.start()
        rows = {
            row["id"]: row
            for row in json.loads(first.call("list", "--format", "json", check=True).out)
        }
        assert set(rows) == {first.id, second.id}
        assert (rows[first.id]["status"], rows[second.id]["status"]) == ("created", "running")
        assert rows[first.id]["pid"] == first.pid
        assert rows[first.id]["owner"] == "root"
        assert sorted(first.call("list", "-q", check=True).out.split()) == sorted(
            [first.id, second.id]
        )
        table = first.call("list", check=True).out.splitlines()
        assert table[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
        assert {tuple(line.split()[:4]) for line in table[1:]} == {
            (first.id, str(first.pid), "created", str(bundle.directory)),
            (second.id, str(second.pid), "running", str(other.directory)),
        }


def test_list_of_a_root_that_is_not_there(bundle: Bundle, tmp_path: Path) -> None:
    """Mistyped, it must not look as if there were no containers."""
    with Box(bundle) as box:
        outcome = box.bare("--root", str(tmp_path / "none"), "list")
        assert outcome.code == 1 and outcome.out == ""
        assert "no such file or directory" in outcome.err
        assert not (tmp_path / "none").exists()


def test_list_of_nothing(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.root.mkdir()
        assert box.call("list", "-f", "json", check=True).out.strip() == "null"
        assert box.call("list", check=True).out.split() == [
            "ID",
            "PID",
            "STATUS",
            "BUNDLE",
            "CREATED",
            "OWNER",
        ]


def test_list_shows_the_rest_when_one_is_broken(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.create()
        broken = box.root / "broken"
        broken.mkdir(mode=0o700)
        (broken / "state.json").write_text("{")
        outcome = box.call("list", "-q")
        assert outcome.code == 0 and outcome.out.split() == [box.id]
