"""Binds: which flags they have, where, and in whose turn their sources are opened."""

from __future__ import annotations

import pytest

from pyruntime.plan import moments
from tests.lib.plans import planned, spec
from tests.unit.features.test_mounts import ATIME, ATTRIBUTES, EVERY, TIMES, attributes, bound

SET = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "nosymfollow": 0x200000}
SET_TIMES = {"noatime": 0x10, "relatime": 0, "strictatime": 0x20, "nodiratime": 0x80}


@pytest.mark.parametrize("word", ATTRIBUTES)
def test_attributes_of_a_bind(word: str) -> None:
    """What is named is all there is; access times change when one of them is set, nodiratime then means relatime."""
    set_, clear = SET.get(word, 0), EVERY & ~SET.get(word, 0)
    if word in SET_TIMES:
        set_ |= SET_TIMES[word]
        clear |= TIMES & ~SET_TIMES[word] | ATIME
    assert attributes(bound(word)) == [(0, set_, clear, 0)]


def test_a_bind_without_attributes_keeps_the_sources() -> None:
    assert attributes(bound("defaults", "")) == []
    assert attributes(bound("sync")) == [(0, 0, EVERY, 0)]


@pytest.mark.parametrize(
    ("words", "times"),
    [
        (("noatime", "atime"), None),
        (("noatime", "relatime"), 0x10),
        (("noatime", "strictatime"), 0x20),
        (("nodiratime", "strictatime"), 0xA0),
        (("nodiratime", "norelatime"), 0x80),
        (("nodiratime", "diratime", "noatime"), 0x10),
    ],
)
def test_access_times_together(words: tuple[str, ...], times: int | None) -> None:
    """As mount(2) reads its flags, whatever their order."""
    ((_, set_, clear, _),) = attributes(bound(*words))
    assert (set_, clear) == ((0, EVERY) if times is None else (times, EVERY | TIMES & ~times | ATIME))  # fmt: skip


def test_flags_in_a_user_namespace_are_the_kernels_to_refuse() -> None:
    """Where the init sets them: what is named strictly, the rest at once or one by one."""
    maps = [{"containerID": 0, "hostID": 9, "size": 3}]
    document = spec(mounts=[{"destination": "/d", "source": "/s", "options": ["bind", "ro", "exec"]}])  # fmt: skip
    document["linux"] |= {
        "namespaces": [*document["linux"]["namespaces"], {"type": "user"}],
        "uidMappings": maps,
        "gidMappings": maps,
    }
    plan = planned(document, privileged=False)
    assert [row[1:3] for row in attributes(plan)][-5:] == [
        (1, 8),
        (0, 0x200006),
        (0, 2),
        (0, 4),
        (0, 0x200000),
    ]


@pytest.mark.parametrize("root", ["/b/rootfs", "rootfs"])
def test_a_source_that_an_earlier_mount_makes(root: str) -> None:
    """It is opened beneath the root when its turn has come; another one by the host, before."""
    inner = planned(spec(mounts=[
        {"destination": "/vol", "type": "tmpfs"},
        {"destination": "/d", "source": f"{root}/vol/sub", "options": ["bind"]},
        {"destination": "/e", "source": f"{root}/volume", "options": ["bind"]},
    ]))  # fmt: skip
    assert {step.moment for step in inner.of("/mounts/1")} == {moments.MOUNT, moments.CHECK}
    assert "/vol/sub" in inner.named("/mounts/1", "RESOLVE")[0]
    assert moments.SOURCES in {step.moment for step in inner.of("/mounts/2")}
