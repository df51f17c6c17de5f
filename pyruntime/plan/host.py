"""What a host step may do: the type of the argument of `Step.run`. Read by type checkers only.

runtime.Host provides it. A feature reaches the host through these members and no others, so that what a step touches
can be read off its callable, and a test can stand in for the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyruntime.cgroup.group import Cgroup
    from pyruntime.plan.record import Record
    from pyruntime.spec.types import IDMapping


class StateDirectory(Protocol):
    """The container's entry in the state root."""

    fd: int

    def write_record(self, record: Record) -> None:
        """Replaces the record. Raises StepError."""


class HostSide(Protocol):
    """The host while a process is on its way into a container."""

    @property
    def entry(self) -> StateDirectory: ...

    record: Record
    cgroup: Cgroup | None
    task_fds: list[int]
    """exec: the v1 `tasks` files of the container's groups."""
    fds: dict[int, int]
    """The number the init has a descriptor under: ours."""
    pipes: dict[int, int]
    """Our ends, by the descriptor the program has the other end of."""
    pid: int
    """The init's; 0 before the spawn."""
    container_pid: int
    container_pidfd: int
    """exec: the init of the container that is joined."""
    lent: int
    """A descriptor that the init opened for the step it waits at next; -1 for none."""
    complaints: list[str]
    """What could not be undone, in words."""
    run_hooks: Callable[[], None]

    def give(self, number: int, fd: int) -> None:
        """The init finds `fd` under `number`; it is closed after the spawn."""

    def note(self, holding: dict[str, Any]) -> None:
        """Writes down what is about to outlive this process, before it exists (runtime/holdings.py)."""

    def push(self, undo: Callable[[], None]) -> None:
        """`undo` is called, newest first, should the creation fail."""

    def at_end(self, close: Callable[[], None]) -> None:
        """`close` is called when the creation has succeeded or was undone."""

    def after_spawn(self, restore: Callable[[], None]) -> None:
        """`restore` is called as soon as the init has been spawned, and inherited what this process is."""

    def write_id_maps(self, uids: list[IDMapping], gids: list[IDMapping]) -> None:
        """Of the new user namespace the init is in. Raises StepError."""

    def compare_id_maps(self, uids: list[IDMapping], gids: list[IDMapping]) -> None:
        """Of the user namespace the init has joined. Raises StepError."""

    def mapped_namespace(self, uids: list[IDMapping], gids: list[IDMapping], pointer: str) -> int:
        """A descriptor of a user namespace with these maps, closed after the spawn. Raises StepError."""

    def hand_over_listener(self, path: str, metadata: str | None) -> None:
        """Sends the listener of the seccomp filter to the agent at `path`. Raises StepError."""
