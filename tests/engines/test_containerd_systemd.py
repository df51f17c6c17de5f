"""`ctr run --runc-systemd-cgroup`, as containerd with SystemdCgroup=true: the flag comes with every verb."""

from __future__ import annotations

import pytest

from tests.engines.engine import Containerd
from tests.lib.fixtures import cgroup_layout
from tests.lib.units import group_of, is_loaded, needs_systemd, show

pytestmark = needs_systemd
LIMIT = {
    False: ("memory.limit_in_bytes", "MemoryLimit"),
    True: ("memory.max", "MemoryMax"),
}


def words(
    engine: Containerd, name: str, *program: str, options: tuple[str, ...] = ("--rm",)
) -> list[str]:
    """In the unit `pt-NAME.scope`."""
    usual = [*engine.words(name, *program, options=options)]
    at = next(at for at, word in enumerate(usual) if word.startswith("--cgroup="))
    usual[at : at + 1] = ["--runc-systemd-cgroup", f"--cgroup=system.slice:pt:{name}"]
    return usual


def test_limits(containerd: Containerd) -> None:
    options = ("--detach", "--memory-limit=67108864", "--cpu-shares=1024")
    containerd.ok(*words(containerd, "limits", "sleep", "1000", options=options))
    row = next(row for row in containerd.ok("task", "list").splitlines() if "limits" in row)
    group = group_of(int(row.split()[1]), "memory")
    assert group.name == "pt-limits.scope"
    file, name = LIMIT[cgroup_layout() == "v2"]
    assert (group / file).read_text() == "67108864\n"
    # systemd has it as well, and would write it again.
    assert show("pt-limits.scope", name)[name] == "67108864"
    containerd.run("task", "delete", "--force", "limits")
    containerd.ok("container", "delete", "limits")
    assert not is_loaded("pt-limits.scope")


def test_life_of_a_service(containerd: Containerd) -> None:
    program = ("sleep", "1000")
    containerd.ok(*words(containerd, "unit", *program, options=("--detach",)))
    seen = show("pt-unit.scope", "ActiveState", "Delegate", "Slice")
    assert (seen["ActiveState"], seen["Delegate"], seen["Slice"]) == (
        "active",
        "yes",
        "system.slice",
    )
    done = containerd.run("task", "exec", "--exec-id=one", "unit", "cat", "/proc/self/cgroup")
    assert done.returncode == 0, done.stderr
    containerd.ok("task", "pause", "unit")
    assert "PAUSED" in containerd.ok("task", "list")
    containerd.ok("task", "resume", "unit")
    containerd.ok("task", "kill", "--signal=KILL", "unit")
    containerd.until("STOPPED", "task", "list")
    containerd.run("task", "delete", "unit")
    containerd.ok("container", "delete", "unit")
    assert not is_loaded("pt-unit.scope")


@pytest.mark.parametrize("status", [0, 7])
def test_exit_codes(containerd: Containerd, status: int) -> None:
    done = containerd.run(*words(containerd, f"exit{status}", "sh", "-c", f"exit {status}"))
    assert done.returncode == status, done.stderr
    assert not is_loaded(f"pt-exit{status}.scope")
