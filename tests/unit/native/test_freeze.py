"""native/launcher/freeze.py: what is frozen, and what is taken out of it."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "native" / "launcher"))

import freeze


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "package"


def hot(tmp_path: Path, files: dict[str, str]) -> list[str]:
    modules = freeze.package_modules(write(tmp_path, files))
    return freeze.freezable(modules, {"_json"})


def test_heavy_imports_at_the_top_keep_a_module_out(tmp_path: Path) -> None:
    files = {
        "__init__.py": "",
        "light.py": "import posix, _json\nfrom package import errors\n",
        "errors.py": "",
        "heavy.py": "import json\n",
        "on_heavy.py": "from package import heavy\n",
    }
    assert hot(tmp_path, files) == ["package", "package.errors", "package.light"]


def test_imports_in_functions_and_for_type_checkers_do_not(tmp_path: Path) -> None:
    files = {
        "__init__.py": "",
        "a.py": "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    import typing\n",
        "b.py": "def late():\n    import json\n",
        "c.py": "if 1:\n    import json\n",
    }
    assert hot(tmp_path, files) == ["package", "package.a", "package.b"]


def test_a_module_without_its_package_is_left_out(tmp_path: Path) -> None:
    assert hot(tmp_path, {"__init__.py": "", "bare/a.py": ""}) == ["package"]


def test_the_program_entry_is_left_out(tmp_path: Path) -> None:
    assert hot(tmp_path, {"__init__.py": "", "__main__.py": ""}) == ["package"]


SOURCE = '''
"""Doc."""
from __future__ import annotations
import posix
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
LIMIT: int = 3
later: int
class Row:
    """Doc."""
    __slots__ = ("a",)
    a: int
class Bare:
    x: int
def f(a: Unknown, *rest: Any, b: Other = LIMIT) -> Nothing:
    """Doc."""
    total: int = a + b
    assert total
    return total
'''


def test_what_only_type_checkers_read_is_taken_out() -> None:
    code = freeze.frozen_code(SOURCE, "<x>")
    assert "__future__" not in code.co_names
    assert "typing" not in code.co_names
    scope: dict[str, object] = {"__name__": "x"}
    exec(code, scope)
    function = scope["f"]
    assert callable(function)
    assert function(1) == 4
    assert function.__doc__ is None
    assert function.__annotations__ == {}
    assert "__annotations__" not in scope
    assert scope["LIMIT"] == 3


def test_line_numbers_survive() -> None:
    code = freeze.frozen_code("x: int\n\n\ny: int = 1 / 0\n", "<x>")
    with pytest.raises(ZeroDivisionError) as caught:
        exec(code, {})
    assert caught.traceback[-1].lineno == 3


LATE = """
from pyruntime.errors import StepError, WORDS as TABLE
def fails(value):
    try:
        return value[0]
    except IndexError:
        raise StepError(TABLE) from None
"""


def run_with_errors(source: str) -> tuple[dict[str, object], list[str]]:
    """Runs a frozen module beside a pyruntime.errors that notes what is fetched from it."""
    fetched: list[str] = []

    class Errors:
        StepError = ValueError
        WORDS = "words"

        def __getattribute__(self, name: str) -> object:
            fetched.append(name)
            return super().__getattribute__(name)

    def give(name: str, *_: object) -> object:
        return SimpleNamespace(errors=Errors()) if name == "pyruntime" else Errors()

    scope: dict[str, object] = {"__builtins__": {**vars(builtins), "__import__": give}}
    exec(freeze.frozen_code(source, "<x>"), scope)
    return scope, fetched


def test_errors_are_fetched_when_they_are_raised() -> None:
    scope, fetched = run_with_errors(LATE)
    fails = scope["fails"]
    assert callable(fails)
    assert fails([1]) == 1
    assert fetched == []
    with pytest.raises(ValueError, match="words"):
        fails([])
    assert fetched == ["StepError", "WORDS"]


def test_a_name_that_is_bound_twice_is_left_alone() -> None:
    scope, fetched = run_with_errors(LATE + "def other(StepError):\n    return StepError\n")
    assert set(fetched) >= {"StepError", "WORDS"}
    other = scope["other"]
    assert callable(other)
    assert other(3) == 3
