"""Words for systemd: names of units and the text of variants. What is taken can be said on the bus, and stays below."""

from __future__ import annotations

from hypothesis import strategies as st
from jeepney import DBusAddress, new_method_call

from pyruntime.cgroup.systemd import names, variants
from pyruntime.errors import StepError
from tests.fuzz.budget import explore

ANYBODY = DBusAddress("/a", "a.b", "a.b")
TOKENS = st.sampled_from(
    "uint64 byte double string true 7 -1 1.5 1e999 0xg 'a' \"b\" [ ] ( ) , @as @a(ss) @( @aai ' \\".split()
)
VARIANTS = st.lists(TOKENS | st.text(max_size=3), max_size=7).map(" ".join)
PATHS = st.lists(st.sampled_from([":", "-", "/", "..", "a", ".slice", "+", "\0", "é", "_"]), max_size=9).map("".join)  # fmt: skip


def take(example: tuple[str, str]) -> None:
    path, text = example
    try:
        unit = names.unit(path, "web", user=False)
        parts = unit.path.split("/")
        assert parts[0] == "" and not {"", ".", ".."} & set(parts[1:])
        assert names.object_path(unit.name).isascii()
    except StepError:
        pass
    try:
        kind, value = variants.parse(text)
    except ValueError:
        return
    if "o" not in kind:  # which has a form of its own, and jeepney knows it
        assert new_method_call(ANYBODY, "Take", "v", ((kind, value),)).serialise(serial=1)


def test_units() -> None:
    explore("units", st.tuples(PATHS, VARIANTS), take)
