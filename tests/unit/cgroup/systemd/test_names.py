"""linux.cgroupsPath for systemd: names, slices, and where they stand."""

from __future__ import annotations

import pytest

from pyruntime import errors
from pyruntime.cgroup.systemd import names


@pytest.mark.parametrize(
    ("path", "user", "name", "slice_", "place"),
    [
        (None, False, "pyruntime-web.scope", "system.slice", "/system.slice/pyruntime-web.scope"),
        ("", True, "pyruntime-web.scope", "user.slice", "/user.slice/pyruntime-web.scope"),
        (
            "machine.slice:libpod:1f",
            False,
            "libpod-1f.scope",
            "machine.slice",
            "/machine.slice/libpod-1f.scope",
        ),
        ("::x", False, "-x.scope", "system.slice", "/system.slice/-x.scope"),
        (
            "a-b-c.slice:cri:x",
            False,
            "cri-x.scope",
            "a-b-c.slice",
            "/a.slice/a-b.slice/a-b-c.slice/cri-x.scope",
        ),
        ("-.slice:p:x", False, "p-x.scope", "-.slice", "/p-x.scope"),
        ("system.slice:p:a-b.slice", False, "a-b.slice", "a.slice", "/a.slice/a-b.slice"),
        ("::pod.slice", True, "pod.slice", "-.slice", "/pod.slice"),
        (":p:a+b ü", False, r"p-a\x2bb\x20\xc3\xbc.scope", "system.slice", None),
        (":_p:x", False, "_p-x.scope", "system.slice", "/system.slice/__p-x.scope"),
        (
            ":memory.p:x",
            False,
            "memory.p-x.scope",
            "system.slice",
            "/system.slice/_memory.p-x.scope",
        ),
    ],
)
def test_units(path: str | None, user: bool, name: str, slice_: str, place: str | None) -> None:
    unit = names.unit(path, "web", user=user)
    assert (unit.name, unit.slice) == (name, slice_)
    assert unit.path == (place or f"/system.slice/{name}")


REFUSED = [
    "/a", "a:b", "a:b:c:d", "a.slice:b", ":::", "x.slice:p:", "..:p:x", "a/b.slice:p:x", ":p/..:x", ":p:../x",
    ":p:a\0b", "a--b.slice:p:x", "-a.slice:p:x", "a-.slice:p:x", "a+b.slice:p:x", ".slice:p:x", "a:p:x", "::-.slice",
    "::a--b.slice", ":p:" + "x" * 250,
]  # fmt: skip


@pytest.mark.parametrize("path", REFUSED)
def test_refused(path: str) -> None:
    with pytest.raises(errors.StepError) as caught:
        names.unit(path, "web", user=False)
    assert caught.value.pointer == "/linux/cgroupsPath"


def test_engines_know_the_words_for_a_wrong_form() -> None:
    with pytest.raises(errors.StepError, match="to be of format `slice:prefix:name` for systemd"):
        names.unit("/machine/web", "web", user=False)


def test_object_paths() -> None:
    path = names.object_path(r"p-a\x2b1.scope")
    assert path == "/org/freedesktop/systemd1/unit/p_2da_5cx2b1_2escope"
    assert names.object_path("1.scope").endswith("/_31_2escope")
