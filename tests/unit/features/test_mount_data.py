"""Options that are data of a file system: in one string, and more of them than mount(2) takes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lib.plans import findings, spec
from tests.unit.features.test_mounts import FLAG, STRING, mounted, settings


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("size=1m,suid", [(STRING, "size", "1m,suid")]),
        ("size=1m,mode=0700", [(STRING, "size", "1m"), (STRING, "mode", "0700")]),
        ("nosuid,size=1m,ro", [(FLAG, "ro"), (STRING, "size", "1m")]),
        ("a=1\\,2,b", [(STRING, "a", "1\\,2"), (FLAG, "b")]),
        ('a="1,2",b', [(STRING, "a", '"1,2"'), (FLAG, "b")]),
    ],
)
def test_several_options_in_one_string(text: str, wanted: list[Any]) -> None:
    assert settings(mounted(text)) == wanted


def test_more_layers_than_mount2_takes() -> None:
    """Each is told by itself; data of a layer comes after `::`. What cannot be told so is refused, never cut off."""
    names = [f"/{'x' * 70}{number:02}" for number in range(70)]
    layers = ":".join(names)
    plan = mounted(f"lowerdir={layers}\\:y::/data", "upperdir=/u", kind="overlay")
    told = [(key, value) for _, key, value in settings(plan)]
    assert told == [
        *[("lowerdir+", name) for name in names[:-1]],
        ("lowerdir+", f"{names[-1]}\\:y"),
        ("datadir+", "/data"),
        ("upperdir", "/u"),
    ]
    for kind, word in (("overlay", f"upperdir=/{'u' * 4096}"), ("tmpfs", f"x={layers}")):
        entry = {"destination": "/d", "type": kind, "options": [word]}
        assert "/mounts/0/options" in findings(spec(mounts=[entry]))
