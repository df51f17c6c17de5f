"""linux.intelRdt: its rules, its steps, and those steps on a resctrl tree of ordinary files."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from pyruntime import features, resctrl
from pyruntime.errors import PyruntimeError, StepError
from pyruntime.features import intel_rdt
from pyruntime.plan import moments
from tests.lib.fakeresctrl import FakeResctrl
from tests.lib.plans import executed, findings, planned, spec

pytestmark = pytest.mark.covers("linux.intelRdt")

PID = 4711


class FakeHost:
    """What host steps touch of the real one."""

    def __init__(self) -> None:
        self.pid = PID
        self.notes: list[dict[str, Any]] = []
        self.undo: list[Any] = []
        self.complaints: list[str] = []

    def note(self, holding: dict[str, Any]) -> None:
        self.notes.append(holding)

    def push(self, undo: Any) -> None:
        self.undo.append(undo)

    def roll_back(self) -> None:
        while self.undo:
            self.undo.pop()()

    def release(self) -> None:
        for holding in reversed(self.notes):
            resctrl.release(holding)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeResctrl:
    return FakeResctrl(tmp_path / "resctrl", monkeypatch)


def create(**rdt: Any) -> FakeHost:
    """The steps of a container called `web`."""
    host = FakeHost()
    for step in planned(spec(linux__intelRdt=rdt)).steps:
        if step.pointer == "/linux/intelRdt":
            assert step.run is not None
            try:
                step.run(host)
            except PyruntimeError as error:
                error.host = host  # type: ignore[attr-defined]
                raise
    return host


def refused(**rdt: Any) -> tuple[str, FakeHost]:
    with pytest.raises(PyruntimeError) as caught:
        create(**rdt)
    return str(caught.value), caught.value.host  # type: ignore[attr-defined]


# Rules


@pytest.mark.parametrize("name", ["a/b", ".", "..", "info", "mon_groups", "mon_data", "a\nb", "a b", "ä", "x" * 256])  # fmt: skip
def test_what_is_no_name(name: str) -> None:
    assert set(findings(spec(linux__intelRdt={"closID": name}))) == {"/linux/intelRdt/closID"}


@pytest.mark.parametrize("line", ["L3:0=f\nMB:0=1", "L3", ":0=f", "L3:0=f\0", "L3:0=$(x)"])
def test_what_is_no_line(line: str) -> None:
    for key, pointer in (("l3CacheSchema", ""), ("schemata", "/0")):
        value = [line] if pointer else line
        assert list(findings(spec(linux__intelRdt={key: value}))) == [
            f"/linux/intelRdt/{key}{pointer}"
        ]


@pytest.mark.parametrize("name", ["/", "gold", "Guaranteed_1", "a.b-c+d", ""])
def test_names(name: str) -> None:
    lines = ["L3:0=7f0;1=1f", "L2:0=f", "MB:0=20;1=70", "L3CODE:0=f"]
    assert not findings(spec(linux__intelRdt={"closID": name, "schemata": lines}))


def test_a_containers_id_that_is_no_groups_name() -> None:
    with pytest.raises(StepError, match="without closID"):
        planned(spec(linux__intelRdt={}), container_id="info")
    planned(spec(linux__intelRdt={"closID": "gold"}), container_id="info")


# Steps


def test_nothing_is_touched_where_it_is_not_set(tree: FakeResctrl) -> None:
    assert "pyruntime.features.intel_rdt" not in {
        module.__name__ for module in features.modules(spec())
    }
    assert not planned().of("/linux/intelRdt") and not tree.written


def test_the_group_stands_before_the_process_and_the_process_joins_it_as_itself() -> None:
    steps = planned(spec(linux__intelRdt={})).of("/linux/intelRdt")
    assert [step.moment for step in steps] == [moments.CGROUP, moments.IDENTITY]


def test_exec_only_joins() -> None:
    steps = [
        step for step in executed(spec(linux__intelRdt={})) if step.pointer == "/linux/intelRdt"
    ]
    assert [step.moment for step in steps] == [moments.IDENTITY]


# On a tree


def test_no_resctrl(tree: FakeResctrl) -> None:
    tree.mounted = False
    said, host = refused()
    assert "no resctrl file system is mounted" in said and not host.notes


def test_a_group_named_like_the_container(tree: FakeResctrl) -> None:
    host = create()
    assert tree.groups == ["web"] and tree.written == [("web/tasks", str(PID))]
    host.release()
    assert tree.groups == []
    host.release()


@pytest.mark.parametrize("rdt", [{"closID": "cpus", "schemata": ["L3:0=f"]}, {"closID": "cpus"}])
def test_a_file_of_resctrl_is_no_group(tree: FakeResctrl, rdt: dict[str, Any]) -> None:
    """Which there are differs from kernel to kernel."""
    (tree.root / "cpus").touch()
    said, host = refused(**rdt)
    assert said == "open the resctrl group `cpus` (/linux/intelRdt): not a directory"
    assert not host.notes


def test_one_that_was_there_stays(tree: FakeResctrl) -> None:
    tree.group("web")
    host = create(schemata=["L3:0=fffff"])
    assert tree.written == [("web/tasks", str(PID))] and not host.notes


def test_lines_in_their_order_and_one_by_one(tree: FakeResctrl) -> None:
    create(
        schemata=["L2:0=f", "L3:0=1f"],
        memBwSchema="MB:0=20",
        l3CacheSchema="L3:0=7f0;1=1f",
        closID="gold",
    )
    wanted = ["L3:0=7f0;1=1f\n", "MB:0=20\n", "L2:0=f\n", "L3:0=1f\n"]
    assert tree.written == [("gold/schemata", line) for line in wanted] + [("gold/tasks", str(PID))]


def test_a_named_group_stays(tree: FakeResctrl) -> None:
    host = create(closID="gold", l3CacheSchema="L3:0=f")
    host.release()
    assert tree.groups == ["gold"] and not host.notes


def test_a_named_group_without_schemata_must_exist(tree: FakeResctrl) -> None:
    said, host = refused(closID="gold")
    assert "/linux/intelRdt/closID" in said and said.endswith("no such file or directory")
    assert tree.groups == [] and not host.notes
    tree.group("gold")
    create(closID="gold", enableMonitoring=False)
    assert tree.written == [("gold/tasks", str(PID))]


@pytest.mark.parametrize(
    ("schemata", "line"),
    [
        ("    L3:0=007f0;1=1F\n", "L3:1=1f;0=7f0"),
        ("MB:0=30;1=100\n", "MB:0=25"),  # rounded up to what the hardware keeps apart
        ("L3:0=f\nL2:0=3;1=3\n", "L2:0=3"),
    ],
)
def test_a_group_that_matches(tree: FakeResctrl, schemata: str, line: str) -> None:
    """Compared by what it means: order, case and leading zeros are the kernel's."""
    tree.group("gold", schemata)
    create(closID="gold", schemata=[line])
    assert tree.written == [("gold/tasks", str(PID))]


@pytest.mark.parametrize("line", ["L3:0=7f1", "L3:2=7f0", "L2:0=1", "MB:0=40"])
def test_a_group_that_does_not(tree: FakeResctrl, line: str) -> None:
    tree.group("gold", "L3:0=7f0;1=1f\nMB:0=30\n")
    said, host = refused(closID="gold", schemata=["L3:1=1f", line])
    assert "do not match" in said and said.endswith("invalid argument")
    host.roll_back()
    assert tree.groups == ["gold"] and not tree.written


def test_the_root_group(tree: FakeResctrl) -> None:
    host = create(closID="/", enableMonitoring=True)
    assert tree.groups == ["mon_groups/web"]
    assert tree.written == [("tasks", str(PID)), ("mon_groups/web/tasks", str(PID))]
    host.release()
    assert tree.groups == [] and (tree.root / "tasks").exists()


def test_the_root_groups_schemata_are_never_written(tree: FakeResctrl) -> None:
    assert "do not match" in refused(closID="/", schemata=["MB:0=10"])[0]
    create(closID="/", schemata=["MB:0=100"])
    assert tree.written == [("tasks", str(PID))]


def test_monitoring(tree: FakeResctrl) -> None:
    """Among the tasks of the group first: only those can be counted apart."""
    host = create(enableMonitoring=True)
    assert tree.written == [("web/tasks", str(PID)), ("web/mon_groups/web/tasks", str(PID))]
    host.release()
    assert tree.groups == []


def test_monitoring_in_a_named_group(tree: FakeResctrl) -> None:
    tree.group("gold")
    host = create(closID="gold", enableMonitoring=True)
    assert tree.groups == ["gold", "gold/mon_groups/web"]
    host.release()
    assert tree.groups == ["gold"]


def test_no_room_for_monitoring(tree: FakeResctrl) -> None:
    tree.group("gold")
    tree.refuse = {"web": errno.ENOSPC}
    (tree.root / "info/last_cmd_status").write_text("Out of RMIDs\n")
    said, host = refused(closID="gold", enableMonitoring=True)
    assert "Out of RMIDs: no space left on device" in said
    host.release()
    assert tree.groups == ["gold"]


def test_a_monitoring_group_of_somebody_else(tree: FakeResctrl) -> None:
    group = tree.group("gold")
    (group / "mon_groups/web").mkdir()
    said, host = refused(closID="gold", enableMonitoring=True)
    assert said.endswith("file exists") and not host.notes


def test_a_line_the_kernel_refuses(tree: FakeResctrl) -> None:
    """The write-ahead holding, and for a named group the undo, leave nothing."""
    (tree.root / "info/last_cmd_status").write_text("Mask is not contiguous\n")
    for name in ("", "gold"):
        tree.refuse = {"L3:0=5\n": errno.EINVAL}
        said, host = refused(closID=name, l3CacheSchema="L3:0=5")
        assert said.endswith("Mask is not contiguous: invalid argument") and "`L3:0=5`" in said
        assert tree.groups == [name or "web"]
        host.roll_back()
        host.release()
        assert tree.groups == [] and not host.complaints


def test_a_named_group_that_is_gone_or_broken_stops_no_undo(tree: FakeResctrl) -> None:
    """An undo that raised would leave all that was made before it, with no record of it."""
    host = create(closID="gold", schemata=["L3:0=f"])
    again = host.undo[:]
    shutil.rmtree(tree.root / "gold")
    host.roll_back()
    assert not host.complaints
    (tree.root / "gold/tasks").mkdir(parents=True)
    host.undo = again
    host.roll_back()
    (text,) = host.complaints
    assert text.startswith("resctrl group `gold` is left")


def test_a_named_group_somebody_came_to_use_is_not_taken_back(tree: FakeResctrl) -> None:
    host = create(closID="gold", schemata=["MB:0=10"])
    host.roll_back()
    assert tree.groups == ["gold"]


def test_the_holding_is_first(tree: FakeResctrl, monkeypatch: pytest.MonkeyPatch) -> None:
    def note(host: FakeHost, holding: dict[str, Any]) -> None:
        assert tree.groups == []
        host.notes.append(holding)

    monkeypatch.setattr(FakeHost, "note", note)
    host = create(enableMonitoring=True)
    assert host.notes == [{"kind": "resctrl", "group": "web", "made": True, "monitor": "web"}]


def join(**rdt: Any) -> None:
    for step in executed(spec(linux__intelRdt=rdt)):
        if step.pointer == "/linux/intelRdt":
            assert step.run is not None
            step.run(FakeHost())


def test_exec_joins_both_groups(tree: FakeResctrl) -> None:
    create(enableMonitoring=True)
    tree.written.clear()
    join(enableMonitoring=True)
    assert tree.written == [("web/tasks", str(PID)), ("web/mon_groups/web/tasks", str(PID))]


def test_exec_where_the_group_is_gone(tree: FakeResctrl) -> None:
    join(enableMonitoring=True)
    tree.mounted = False
    join()
    assert not tree.written


def test_release_without_the_file_system(tree: FakeResctrl) -> None:
    host = create()
    tree.mounted = False
    host.release()


def test_a_group_that_cannot_be_removed(tree: FakeResctrl) -> None:
    host = create()
    tree.refuse = {"web": errno.EBUSY}
    with pytest.raises(StepError, match="remove the resctrl group `web`"):
        host.release()


def test_features() -> None:
    assert features.report()["linux"]["intelRdt"] == {
        "enabled": True,
        "schemata": True,
        "monitoring": True,
    }


def test_statistics_of_the_containers_own_group(tree: FakeResctrl) -> None:
    """By its name or the container's; nothing where none was asked for or it is gone."""
    (tree.root / "info" / "L3").mkdir()
    tree.group("web", "    L3:0=f\n")
    tree.group("gold", "    L3:0=ff\n")
    rdt: dict[str, Any] = {"linux": {"intelRdt": {}}}
    assert intel_rdt.stats(rdt, "web")["l3_cache_schema"] == "L3:0=f"
    rdt["linux"]["intelRdt"]["closID"] = "gold"
    assert intel_rdt.stats(rdt, "web")["l3_cache_schema"] == "L3:0=ff"
    assert intel_rdt.stats({"linux": {"intelRdt": {}}}, "other") == {}
    assert intel_rdt.stats({"linux": {}}, "web") == {}
    tree.mounted = False
    assert intel_rdt.stats(rdt, "web") == {}


@pytest.mark.parametrize(
    "lie",
    [
        {"group": "../outside"}, {"group": ".."}, {"group": ""}, {"group": None}, {"group": "/"}, {"group": "a\0"},
        {"monitor": "../../../outside"}, {"monitor": "/"}, {"monitor": 1},
    ],
)  # fmt: skip
def test_a_holding_leads_nowhere_else(tree: FakeResctrl, lie: dict[str, Any]) -> None:
    tree.group("web")
    outside = tree.root.parent / "outside"
    outside.mkdir()
    holding = {"kind": "resctrl", "group": "web", "made": True, "monitor": ""}
    with pytest.raises(PyruntimeError, match="resctrl group is damaged"):
        resctrl.release({**holding, **lie})
    with pytest.raises(PyruntimeError, match="resctrl group is damaged"):
        resctrl.release({"kind": "resctrl"})
    assert outside.is_dir() and tree.groups == ["web"]
