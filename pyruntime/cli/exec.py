"""`exec`: one more process in a container. Its exit status is the process's; our own failures end with 255."""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cli.options import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call
    from pyruntime.runtime.exec_process import ExecRequest

FAILED = 255  # as runc: the program's own statuses seldom reach so far
LAST_ID = 2147483647
VERB = Verb(
    "runs one more process in a container",
    (
        ("console-socket", "", "PATH", "AF_UNIX socket that is sent the terminal's master end"),
        ("cwd", "", "DIR", "working directory in the container"),
        ("env", "e", "NAME=VALUE...", "set an environment variable; may be repeated"),
        ("tty", "t", "", "give the process a terminal"),
        ("user", "u", "UID[:GID]...", "the user to run as, by numbers"),
        ("additional-gids", "g", "GID...", "a further group of the user; may be repeated"),
        ("process", "p", "FILE...", "a file with the whole process, as in config.json"),
        ("detach", "d", "", "do not wait"),
        ("pid-file", "", "FILE", "where to write the process id once the program runs"),
        ("process-label", "", "LABEL", "SELinux label of the process"),
        ("apparmor", "", "PROFILE", "AppArmor profile of the process"),
        ("no-new-privs", "", "", "it can gain no privileges by what it executes"),
        (
            "cap",
            "c",
            "CAP...",
            "one more capability, bounding, effective and permitted; may be repeated",
        ),
        ("preserve-fds", "", "N", "hand over N more descriptors, from 3 on"),
        (
            "cgroup",
            "",
            "[CONTROLLER,...:]PATH...",
            "run in a cgroup beneath the container's; may be repeated",
        ),
        ("ignore-paused", "", "", "also in a paused container"),
        ("pidfd-socket", "", "PATH", "send a pidfd of the process to this socket"),
    ),
    "ID COMMAND [ARGUMENT]...",
    1,
    1 << 30,
    "Without --process it is the process of the config.json that create read, with COMMAND and the\n"
    "options in place of what it says there; no terminal unless --tty asks for one. With --process\n"
    "there is no COMMAND, and the file alone says what the process is.",
    stop=True,
)
# What would be lost beside a file that says all of it.
HIDDEN = (
    "cwd",
    "env",
    "user",
    "additional-gids",
    "process-label",
    "apparmor",
    "no-new-privs",
    "cap",
)


def run(call: Call) -> int:
    from pyruntime.runtime.executing import execute
    from pyruntime.runtime.interruption import Guard

    call.failing = "exec failed"
    call.failure_status = FAILED
    with Guard():
        return execute(_request(call))


def _request(call: Call) -> ExecRequest:
    from pyruntime.runtime.exec_process import ExecRequest

    options = call.options
    container_id, *command = call.arguments
    request = ExecRequest(call.root, container_id, log=call.to_log())
    # An empty value counts as an option not given, as with runc: scripts pass "$USER_OPTION" unset.
    request.process_file = next(iter(options["process"][-1:]), "") or None
    if request.process_file is None and not command:
        raise errors.UsageError("process args cannot be empty")
    if request.process_file is not None:
        _refuse_hidden(call, command)
    request.args = command
    request.terminal = options["tty"]
    request.cwd = options["cwd"]
    request.env = options["env"]
    request.uid, request.gid = _user(next(iter(options["user"][-1:]), ""))
    request.groups = [_number(word, "additional gid") for word in options["additional-gids"]]
    request.label, request.profile = options["process-label"], options["apparmor"]
    request.no_new_privileges = options["no-new-privs"]
    request.capabilities = options["cap"]
    request.detach = options["detach"]
    request.console_socket, request.pid_file = options["console-socket"], options["pid-file"]
    request.pidfd_socket, request.preserve_fds = options["pidfd-socket"], options["preserve-fds"]
    request.cgroups, request.ignore_paused = options["cgroup"], options["ignore-paused"]
    return request


def _refuse_hidden(call: Call, command: list[str]) -> None:
    """Who asks for another user must not get the file's without a word."""
    for name in HIDDEN:
        if call.options[name]:
            raise errors.UsageError(f"--{name} cannot be given with --process, whose file says it")
    if command:
        raise errors.UsageError("a command cannot be given with --process, whose file says it")


def _user(word: str) -> tuple[int | None, int | None]:
    """Exactly digits[:digits], or nothing: half a number never becomes root (CVE-2026-30892)."""
    if not word:
        return None, None
    uid, colon, gid = word.partition(":")
    return _number(uid, "user"), _number(gid, "group") if colon else None


def _number(word: str, what: str) -> int:
    """int() alone takes signs, blanks, underscores and other scripts' digits."""
    if not (word.isascii() and word.isdigit() and len(word) <= 10 and int(word) <= LAST_ID):
        raise errors.UsageError(f"{what} `{word}`: not a number from 0 to {LAST_ID}")
    return int(word)
