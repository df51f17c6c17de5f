"""pyruntime/lib/handover.py in the full interpreter; tests/unit/native has the launcher's side."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from pyruntime import errors
from pyruntime.lib import handover


def test_the_ordinary_interpreter_is_full() -> None:
    assert handover.running_full()


def test_there_is_nothing_to_hand_over_then() -> None:
    handover.full_interpreter(["--version"])


def test_a_missing_interpreter_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SimpleNamespace(INTERPRETER="/nowhere/python3", library=lambda: "/nowhere")
    monkeypatch.setitem(sys.modules, "_launcher", facts)
    monkeypatch.setattr(handover, "running_full", lambda: False)
    with pytest.raises(errors.UnsupportedError) as caught:
        handover.full_interpreter(["create"])
    assert str(caught.value).endswith("/nowhere/python3: no such file or directory")
    assert caught.value.hint
