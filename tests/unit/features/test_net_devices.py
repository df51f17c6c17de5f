"""linux.netDevices: its rules and its steps; tests/integration moves real devices."""

from __future__ import annotations

import importlib.machinery
import sys
from typing import Any

import pytest

from pyruntime import features
from pyruntime.errors import StepError, UnsupportedError
from pyruntime.features import net_devices
from pyruntime.plan import moments
from tests.lib.plans import executed, findings, planned, spec, without_namespace

POINTER = "/linux/netDevices"


def devices(**entries: Any) -> dict[str, Any]:
    return spec(linux__netDevices=entries)


@pytest.mark.parametrize("name", ["eth0", "a", "fifteen-letters", "e.1_x@", "net%d", "%d"])
def test_names(name: str) -> None:
    wrong = findings(devices(eth0={"name": name}))
    assert bool(wrong) == (name == "%d")  # the kernel would find a name, a reader none in it


@pytest.mark.parametrize(
    "name", ["sixteen-letters0", "a b", "a/b", "a:b", ".", "..", "é", "a\n", "\0", "%s", "e%d0", "%d%d", "fourteen-longer%d"]
)  # fmt: skip
def test_what_is_no_name(name: str) -> None:
    assert list(findings(devices(eth0={"name": name}))) == [f"{POINTER}/eth0/name"]


@pytest.mark.parametrize("device", ["", "a b", "a/b", "net%d", "sixteen-letters0", ".."])
def test_what_is_no_device(device: str) -> None:
    pointer = f"{POINTER}/{device.replace('/', '~1')}"
    assert list(findings(spec(linux__netDevices={device: {}}))) == [pointer]


def test_two_of_one_name() -> None:
    assert list(findings(devices(eth0={"name": "net0"}, eth1={"name": "net0"}))) == [
        f"{POINTER}/eth1"
    ]
    assert not findings(devices(eth0={"name": "net%d"}, eth1={"name": "net%d"}))
    assert not findings(devices(eth0={"name": "eth1"}, eth1={"name": "eth0"}))


def test_without_a_network_namespace() -> None:
    document = devices(eth0={})
    document["linux"]["namespaces"] = without_namespace("network")
    assert list(findings(document)) == [POINTER]


def test_none_asks_for_nothing() -> None:
    assert "pyruntime.features.net_devices" not in {
        module.__name__ for module in features.modules(devices())
    }


def test_the_init_lends_a_socket_and_waits() -> None:
    plan = planned(devices(eth0={}))
    assert [call[0] for call in plan.calls(POINTER)] == [
        "socket",
        "STORE",
        "sendmsg",
        "close",
        "SYNC",
    ]
    (step,) = plan.of(POINTER)
    assert step.moment == moments.NET_DEVICES and step.run is not None


def test_exec_moves_nothing() -> None:
    assert not [step for step in executed(devices(eth0={})) if step.pointer == POINTER]


def test_without_the_right() -> None:
    with pytest.raises(StepError, match=r"needs CAP_NET_ADMIN .*: operation not permitted"):
        planned(devices(eth0={}), capabilities=(1 << 41) - 1 - (1 << 12))


def test_without_pyroute2(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, before anything has an effect."""
    for name in [*sys.modules]:
        if name.startswith("pyroute2") or name in (
            "pyruntime.kernel.links",
            "pyruntime.features.device_moves",
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(features, "device_moves", raising=False)
    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", _only_ours)
    with pytest.raises(UnsupportedError, match=r"needs pyroute2 .*: no module named `pyroute2`"):
        features.reach(devices(eth0={}))


_REAL = importlib.machinery.PathFinder.find_spec


def _only_ours(name: str, *more: Any) -> Any:
    return None if name == "pyroute2" else _REAL(name, *more)


def test_others_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net_devices, "reach", lambda: pytest.fail("nobody asked"))
    features.reach(spec())
    features.reach(devices())


def test_features() -> None:
    assert features.report()["linux"]["netDevices"] == {"enabled": True}
