"""The exact words engines look for in our messages; whoever changes one breaks an engine.

Beside each its reader. tests/integration/test_words.py shows that the verbs do say them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyruntime import errors

PINNED = {
    "unknown id": "container does not exist",  # containerd: `does not exist`; on delete a success
    "not running": "container not running",  # containerd and CRI-O: the process has ended
    "not paused": "container not paused",
    "exists": "container with given ID already exists",
    "bad id": "invalid container ID format",
    "started": "cannot start an already running container",
    "start stopped": "cannot start a container that has stopped",
    "exec stopped": "cannot exec in a stopped container",
    "exec paused": "cannot exec in a paused container (use --ignore-paused to override)",
    "no config": "JSON specification file config.json not found",
    "not in path": "executable file not found in $PATH",  # Docker and Podman: exit status 127
    "no program": "unable to start container process: exec: ",  # conmon and Docker
    "no console": "cannot allocate tty if pyruntime will detach without setting console socket",
    "no terminal": "cannot use console socket if pyruntime will not detach or allocate tty",
    "no permission": "rootless needs no limits + no cgrouppath when no permission is granted for cgroups",  # runc's tests
}
PACKAGE = Path(errors.__file__).parent


def test_the_table() -> None:
    assert errors.WORDS == PINNED


def test_each_text_is_used_and_stands_in_one_place() -> None:
    """A copy elsewhere would go on saying what the table no longer says."""
    sources = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    table = sources.pop(PACKAGE / "errors.py")
    for key, text in errors.WORDS.items():
        used = [
            path
            for path, source in sources.items()
            if re.search(rf"WORDS\[[\"']{key}[\"']\]", source)
        ]
        assert used or table.count(f'WORDS["{key}"]'), f"nobody says `{key}`"
        copies = [str(path) for path, source in sources.items() if text.strip() in source]
        assert not copies, f"`{text}` stands in {copies}"


def test_errors_that_are_their_words() -> None:
    assert str(errors.NoSuchContainer("web")) == PINNED["unknown id"]
    assert str(errors.ContainerExists("web")) == PINNED["exists"]


# Docker matches these case-sensitively, as Go writes them; a capital makes 125 of 126 and 127.
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "operation not permitted"),
        (2, "no such file or directory"),
        (3, "no such process"),
        (8, "exec format error"),
        (13, "permission denied"),
        (20, "not a directory"),
        (21, "is a directory"),
        (7, "argument list too long"),
        (22, "invalid argument"),
        (28, "no space left on device"),
    ],
)
def test_the_kernels_words_are_gos(number: int, words: str) -> None:
    assert errors.strerror(number) == words
    assert str(errors.KernelError(number, "openat2")).endswith(words)


def test_a_refusal_ends_with_1_like_runcs() -> None:
    """BuildKit and conmon take anything else for the program's own status."""
    waiting = [errors.PyruntimeError]
    while waiting:
        kind = waiting.pop()
        assert kind.exit_status == 1, kind
        waiting += kind.__subclasses__()
