"""`create`: everything up to the waiting init; and the options it shares with `run`."""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cli.options import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call
    from pyruntime.cli.options import Row
    from pyruntime.runtime.request import CreateRequest

ROWS: tuple[Row, ...] = (
    ("bundle", "b", "DIR", "the bundle (default: the current directory)"),
    ("console-socket", "", "PATH", "AF_UNIX socket that is sent the terminal's master end"),
    ("pid-file", "", "FILE", "where to write the process id"),
    ("no-pivot", "", "", "do without pivot_root; weaker, and not needed on an initramfs"),
    ("no-new-keyring", "", "", "leave the container in the caller's session keyring"),
    ("pidfd-socket", "", "PATH", "send a pidfd of the init to this socket"),
    ("preserve-fds", "", "N", "hand over N more descriptors, from 3 on"),
    ("map-root-user", "", "", "ordinary users: in a new user namespace where root is the caller"),
)
VERB = Verb(
    "makes a container; `start` runs its program", (*ROWS, ("no-subreaper", "", "", "")), "ID", 1
)


def run(call: Call) -> int:
    from pyruntime.runtime.create import create
    from pyruntime.runtime.interruption import Guard

    call.failing = "%s create failed"
    with Guard():
        create(request(call, detach=True))
    return 0


def request(call: Call, *, detach: bool, keep: bool = False) -> CreateRequest:
    from pyruntime.runtime.request import CreateRequest

    options = call.options
    return CreateRequest(
        call.root,
        call.arguments[0],
        options["bundle"] or ".",
        log=call.to_log(),
        console_socket=options["console-socket"],
        pid_file=options["pid-file"],
        no_pivot=options["no-pivot"],
        no_new_keyring=options["no-new-keyring"],
        pidfd_socket=options["pidfd-socket"],
        preserve_fds=options["preserve-fds"],
        detach=detach,
        keep=keep,
        no_subreaper=options["no-subreaper"],
        map_root_user=options["map-root-user"],
        cgroup_manager=_cgroup_manager(call),
    )


def _cgroup_manager(call: Call) -> str:
    """Only who makes a cgroup must know how; the other verbs find it in the record."""
    name = (
        "systemd"
        if call.globals["systemd-cgroup"]
        else call.globals["cgroup-manager"] or "cgroupfs"
    )
    if name not in ("cgroupfs", "systemd", "disabled"):
        raise errors.UsageError(f"unknown cgroup manager `{name}`: cgroupfs, systemd or disabled")
    return str(name)
