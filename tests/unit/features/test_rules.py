"""The rules of all features together."""

from __future__ import annotations

import pytest

from pyruntime.features import seccomp
from tests.lib.plans import findings, spec


def test_all_rules_are_asked() -> None:
    """Of a wrong document also what otherwise the plan alone finds: the seccomp profile and cgroupsPath."""
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
               "args": [{"index": 9, "value": 0, "op": "SCMP_CMP_EQ"}]}]}  # fmt: skip
    document = spec(process__cwd="relative", linux__seccomp=profile, linux__cgroupsPath="/a/../..")
    found = findings(document)
    assert {"/process/cwd", "/linux/cgroupsPath"} < set(found)
    assert any(pointer.startswith("/linux/seccomp/syscalls/0") for pointer in found)


def test_a_right_profile_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "rules_of_profile", lambda spec: pytest.fail("it was"))
    assert findings(spec(linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW"})) == {}
