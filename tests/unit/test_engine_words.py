"""The exact words engines look for in our messages; whoever changes one breaks an engine.

Beside each its reader. tests/integration/test_words.py shows that the verbs do say them.
"""

from __future__ import annotations

import pytest

from pyruntime import errors

PINNED = {
    "unknown id": "container does not exist",  # containerd: `does not exist`; on delete a success
    "not running": "container not running",  # containerd and CRI-O: the process has ended
    "not paused": "container not paused",
    "exists": "container with given ID already exists",
    "bad id": "invalid container ID format",
    "no process": "no such process",  # containerd and CRI-O
    "started": "cannot start an already running container",
    "start stopped": "cannot start a container that has stopped",
    "exec stopped": "cannot exec in a stopped container",
    "exec paused": "cannot exec in a paused container (use --ignore-paused to override)",
    "no config": "JSON specification file config.json not found",
    "not in path": "executable file not found in $PATH",  # Docker and Podman: exit status 127
}


def test_the_table() -> None:
    assert errors.WORDS == PINNED


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
