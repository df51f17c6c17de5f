"""The tapes and the init of arm64 on this machine, for tests that know neither: `pytest -p tests.lib.foreign`.

Loaded as a plugin, it comes before all else: the kernel's numbers are replaced by arm64's, which the cross compiler
reads from its headers, and the init is a cross-built one that qemu-user runs (`.ci/packages arm64`).
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any, cast

import pytest

from tests.lib.programs import PROJECT, MissingProgram

CROSS = "aarch64-linux-gnu-"
BUILD = PROJECT / "build/arm64"
INIT = BUILD / "init"


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise MissingProgram(f"{name} is missing: .ci/packages arm64")
    return path


def names(lib: Any) -> list[str]:
    """What the shim has of the kernel's headers."""
    return [name for name in dir(lib) if name[0].isupper() and isinstance(getattr(lib, name), int)]


def numbers(wanted: list[str]) -> dict[str, int]:
    """The values arm64's headers give these names, by way of a table in an object file."""
    build = (PROJECT / "native/shim/build.py").read_text()
    headers = re.findall(r'^HEADERS = """$(.*?)^"""$', build, re.MULTILINE | re.DOTALL)[0]
    rows = [
        f"(long long)({name.replace('NR_', '__NR_', 1) if name.startswith('NR_') else name})"
        for name in wanted
    ]
    text = f"{headers}\nconst long long table[] = {{ {', '.join(rows)} }};\n"
    with tempfile.TemporaryDirectory() as place:
        unit, table = Path(place) / "table.o", Path(place) / "table"
        compiler = [tool(f"{CROSS}gcc"), "-x", "c", "-c", "-o", str(unit), "-"]
        subprocess.run(
            [*compiler, f"-I{PROJECT / 'native/shim'}"], input=text, text=True, check=True
        )
        copy = [tool(f"{CROSS}objcopy"), "-O", "binary", "--only-section=.rodata"]
        subprocess.run([*copy, str(unit), str(table)], check=True)
        values = struct.unpack(f"<{len(wanted)}q", table.read_bytes()[: 8 * len(wanted)])
    return dict(zip(wanted, values, strict=True))


class Foreign:
    """`lib` with arm64's numbers; its functions stay this machine's."""

    def __init__(self, real: Any) -> None:
        self.__dict__.update(numbers(names(real)))
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def build() -> None:
    """The init for arm64, with the same warnings as the other one."""
    BUILD.mkdir(parents=True, exist_ok=True)
    words = ["make", "-s", "-C", str(PROJECT / "native/init")]
    subprocess.run([*words, f"CC={tool(f'{CROSS}gcc')}", f"INIT={INIT}"], check=True)


def pytest_configure() -> None:
    from pyruntime.kernel import native

    build()
    native.lib = cast("Any", Foreign(native.lib))
    os.environ["INIT_COMMAND"] = f"{tool('qemu-aarch64-static')} {INIT}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what the emulator cannot do, and says so."""
    from tests.lib.emulator import lacking

    why = lacking()
    left = [item for item in items if any(part in item.nodeid for part in why)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
    for part, reason in why.items():
        count = sum(part in item.nodeid for item in left)
        print(f"left out: {count} of {part}: qemu-user: {reason}")
