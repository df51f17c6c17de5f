"""native/init/README.md says of every operation what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from pyruntime.plan import messages

INIT = Path(__file__).resolve().parents[3] / "native" / "init"
README = (INIT / "README.md").read_text()
ROWS = {
    cells[0]: cells[1:]
    for cells in (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in README.splitlines()
        if line.startswith("| ")
    )
}


def test_every_operation_has_a_row_with_its_arguments() -> None:
    operations = dict(
        re.findall(r"OP_([A-Z]+)(?: = 0)?,(?:\s*/\* ([^*]+?) \*/)?", (INIT / "tape.h").read_text())
    )
    operations.pop("COUNT", None)
    assert len(operations) == 16
    for name, told in operations.items():
        arguments = re.split(r"[:(]", told)[0].strip()
        shown = ROWS[name][0].replace("→", "->")
        if name in ("SYSCALL", "JUMP", "EXPECT", "CLONE"):  # said in other words there
            continue
        assert shown == arguments, name


def test_every_kind_of_message() -> None:
    numbers = [
        value for name, value in vars(messages).items() if name.isupper() and type(value) is int
    ]
    letters = {chr(value) for value in numbers if value < 128}
    assert len(letters) == 9
    assert {f"`{letter}`" for letter in [*letters, "G", "L"]} <= set(ROWS)


def test_every_status() -> None:
    code = "".join(path.read_text() for path in INIT.glob("*.c"))
    assert {*re.findall(r"leave\((11\d)\)", code)} <= set(ROWS)


def test_every_file() -> None:
    names = {path.name for path in INIT.glob("*.[ch]")}
    assert names <= set(re.findall(r"`(\w+\.[ch])`", README))
