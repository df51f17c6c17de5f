"""v1/devices: what is written for which rules; the result has the lines it has under runc."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cgroup import driver

STANDARD = [
    "b *:* m",
    "c *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:2 rwm",
    "c 10:200 rwm",
    "c 136:* rwm",
]
ALLOW_ALL = {"allow": True, "access": "rwm"}
DENY_ALL = {"allow": False, "access": "rwm"}


def written(*rows: dict[str, Any]) -> list[tuple[str, str]]:
    return driver.device_rules({"devices": list(rows)})


def allowed(*rows: dict[str, Any]) -> list[str]:
    head, *rest = written(*rows)
    assert head == ("devices.deny", "a *:* rwm")
    assert all(name == "devices.allow" for name, _ in rest)
    return [line for _, line in rest]


@pytest.mark.parametrize("resources", [{}, {"devices": []}, {"devices": [DENY_ALL]}])
def test_everything_is_denied_but_the_standard_nodes(resources: dict[str, Any]) -> None:
    rows = driver.device_rules(resources)
    assert rows == [("devices.deny", "a *:* rwm"), *(("devices.allow", line) for line in STANDARD)]


def test_rules_of_the_config_come_first_and_in_its_order() -> None:
    """config-linux.md, Allowed Device list: entries are applied in the listed order."""
    rows = allowed(
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "mwr"},
        {"allow": True, "type": "b", "major": 8, "access": "r"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"},
    )
    others = [line for line in STANDARD if line != "c 1:3 rwm"]
    assert rows == ["c 10:229 rwm", "b 8:* r", "c 1:3 rwm", *others]


def test_access_of_one_node_adds_up() -> None:
    node = {"allow": True, "type": "c", "major": 7, "minor": 1}
    assert "c 7:1 rw" in allowed({**node, "access": "w"}, {**node, "access": "r"})


def test_a_later_deny_takes_away() -> None:
    node = {"type": "c", "major": 7, "minor": 1}
    first = {"allow": True, "access": "rw", **node}
    assert "c 7:1 w" in allowed(first, {"allow": False, "access": "r", **node})
    assert allowed(first, {"allow": False, "access": "rw", **node}) == STANDARD


def test_deny_all_forgets_what_was_before() -> None:
    assert (
        allowed({"allow": True, "type": "b", "major": 8, "minor": 0, "access": "r"}, DENY_ALL)
        == STANDARD
    )


def test_allow_all() -> None:
    assert written(ALLOW_ALL) == [("devices.deny", "a *:* rwm"), ("devices.allow", "a *:* rwm")]


def test_allow_all_but() -> None:
    rows = written(ALLOW_ALL, {"allow": False, "type": "b", "major": 8, "minor": 0, "access": "rw"})
    assert rows[1:] == [("devices.allow", "a *:* rwm"), ("devices.deny", "b 8:0 rw")]


def test_standard_nodes_win_over_a_deny_of_them() -> None:
    null = {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
    assert allowed(null) == STANDARD
    assert written(ALLOW_ALL, null)[1:] == [("devices.allow", "a *:* rwm")]


def test_null_numbers_and_type_u() -> None:
    row = {"allow": True, "type": "u", "major": None, "minor": 4, "access": "r"}
    assert "c *:4 r" in allowed(row)


def test_a_hole_in_a_wildcard_is_an_error() -> None:
    wide = {"allow": True, "type": "b", "major": 8, "access": "rw"}
    with pytest.raises(
        errors.StepError, match="punch a hole into the wildcard rule b 8:\\* rw"
    ) as caught:
        written(wide, {"allow": False, "type": "b", "major": 8, "minor": 1, "access": "w"})
    assert caught.value.pointer == "/linux/resources/devices/1"
    # An access the wildcard does not give may be denied: nothing is to be done.
    assert written(wide, {"allow": False, "type": "b", "major": 8, "minor": 1, "access": "m"})


def test_an_a_among_the_letters_says_nothing() -> None:
    node = {"allow": True, "type": "c", "major": 7, "minor": 1}
    assert "c 7:1 rw" in allowed({**node, "access": "rwa"})
