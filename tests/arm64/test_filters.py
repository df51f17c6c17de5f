"""The default seccomp profile for arm64, decided by a simulator against libseccomp's filter for the same."""

from __future__ import annotations

import random

from pyruntime.seccomp import words
from tests.bench import profiles
from tests.unit.seccomp import material
from tests.unit.seccomp.test_differential import compare

NATIVE = "SCMP_ARCH_AARCH64"


def test_the_default_profile() -> None:
    profile = {**profiles.docker(), "architectures": profiles.ARCHITECTURES["aarch64"]}
    profile = material.known(profile)
    assert words.MACHINES["aarch64"] == NATIVE
    calls = material.calls(random.Random(1), profile, NATIVE, numbers=600, mixtures=20)
    assert compare(profile, calls, "aarch64") > 1500
