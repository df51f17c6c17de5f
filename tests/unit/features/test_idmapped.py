"""Id-mapped mounts on the host's side: with which maps, how deep, shared by whom."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.errors import KernelError, StepError
from pyruntime.features import binds
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.runtime import mapping_namespace
from pyruntime.runtime.host import Host
from tests.lib.plans import BASE, Plan, planned, site, spec

ROWS = [{"containerID": 0, "hostID": 1000, "size": 10}]
OTHER = [{"containerID": 0, "hostID": 5000, "size": 10}]
IDMAP = lib.MOUNT_ATTR_IDMAP
TREE, SPACE = 900, 800


def entry(*options: str, where: str = "/m", **maps: Any) -> dict[str, Any]:
    return {"destination": where, "source": "/s", "options": ["rbind", *options], **maps}


def document(*entries: dict[str, Any], user: dict[str, str] | None = None) -> dict[str, Any]:
    made = spec(mounts=list(entries))
    if user is not None:
        spaces = [*BASE["linux"]["namespaces"], {"type": "user", **user}]
        made["linux"].update(namespaces=spaces, uidMappings=OTHER, gidMappings=OTHER)
    return made


class Kernel:
    """What would be asked of it: (descriptor, flags, attributes, user namespace) of each mapping."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: int = 0) -> None:
        self.mapped: list[tuple[int, int, int, int]] = []
        self.made: list[tuple[Any, ...]] = []
        self.error = error
        monkeypatch.setattr(binds.calls, "open_tree", lambda *_: TREE)
        monkeypatch.setattr(binds.calls, "mount_setattr", self.set_attributes)
        monkeypatch.setattr(mapping_namespace, "make", self.make)

    def set_attributes(self, fd: int, flags: int, set_: int = 0, **more: int) -> None:
        if set_ and self.error:
            raise KernelError(self.error, "mount_setattr")
        if set_:
            self.mapped.append((fd, flags, set_, more["userns_fd"]))

    def make(self, *words: Any, **facts: bool) -> int:
        self.made.append(words)
        return SPACE + len(self.made)


def run(plan: Plan) -> None:
    """The host steps of the mounts; a joined namespace was opened before them as descriptor 700."""
    host = Host(plan.site, None, plan.spec, {})  # type: ignore[arg-type]
    for index, name in enumerate(plan.site.handed):
        if name.startswith("/linux/namespaces"):
            host.give(plan.site.first_fd + 4 + index, 700)
    for step in plan.at(moments.SOURCES):
        if step.pointer.startswith("/mounts") and step.run is not None:
            step.run(host)


@pytest.mark.parametrize(
    ("options", "flags"), [(["idmap"], 0), (["ridmap"], lib.AT_RECURSIVE), ([], 0)]
)
def test_how_deep(monkeypatch: pytest.MonkeyPatch, options: list[str], flags: int) -> None:
    kernel = Kernel(monkeypatch)
    run(planned(document(entry(*options, uidMappings=ROWS, gidMappings=ROWS))))
    assert kernel.mapped == [(TREE, flags, IDMAP, SPACE + 1)]
    assert kernel.made == [(ROWS, ROWS, "/mounts/0")]


def test_equal_maps_share_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    halves = [{**ROWS[0], "containerID": 20, "hostID": 20}, *ROWS]
    entries = [
        entry("idmap", where=f"/{number}", uidMappings=rows, gidMappings=rows)
        for number, rows in enumerate((ROWS, OTHER, ROWS, halves, halves[::-1]))
    ]
    run(planned(document(*entries)))
    assert [row[3] - SPACE for row in kernel.mapped] == [1, 2, 1, 3, 3]
    assert len(kernel.made) == 3


def test_without_maps_those_of_the_new_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    run(planned(document(entry("idmap"), user={})))
    assert kernel.made == [(OTHER, OTHER, "/linux")]


def test_without_maps_the_joined_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    run(planned(document(entry("idmap"), user={"path": "/proc/1/ns/user"})))
    assert (kernel.mapped, kernel.made) == ([(TREE, 0, IDMAP, 700)], [])


def test_no_mapping_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    run(planned(document(entry(), user={})))
    assert not kernel.mapped and not kernel.made


@pytest.mark.parametrize(("number", "words"), [(22, "invalid argument"), (1, "operation not perm")])
def test_what_the_kernel_refuses(monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    Kernel(monkeypatch, number)
    with pytest.raises(
        StepError, match=rf"/m` \(/mounts/0\): it cannot be id-mapped: {words}"
    ) as e:
        run(planned(document(entry("idmap", uidMappings=ROWS, gidMappings=ROWS))))
    assert e.value.pointer == "/mounts/0" and e.value.hint


def test_who_may_not_is_told_before_anything_is_made() -> None:
    with pytest.raises(StepError, match="only root of the host can id-map a mount"):
        Plan(document(entry("idmap"), user={}), site(privileged=False))
