"""The command: global options, one verb, and the only place where an error becomes an exit status.

A verb is a module of this package with `VERB` (what it takes) and `run(call)`; it is imported when it is asked
for, because each import is paid on every call of an engine.
"""

from __future__ import annotations

import posix

from pyruntime.cli.options import HELP, Verb, check_count, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.lib.log import Log

VERBS = (
    "checkpoint",
    "create",
    "delete",
    "events",
    "exec",
    "features",
    "kill",
    "list",
    "pause",
    "plan",
    "ps",
    "restore",
    "resume",
    "run",
    "spec",
    "start",
    "state",
    "stats",
    "update",
)
GLOBALS = (
    ("debug", "", "", "log each step and how long it took"),
    ("log", "", "FILE", "where to log (default /dev/stderr)"),
    ("log-format", "", "FORMAT", "text or json (default text)"),
    ("root", "", "DIR", "directory of the containers' state (default /run/pyruntime)"),
    (
        "cgroup-manager",
        "",
        "NAME",
        "cgroupfs (the default), systemd, or disabled: no cgroup",
    ),
    ("systemd-cgroup", "", "", "the same as --cgroup-manager systemd"),
    ("rootless", "", "MODE", "accepted for runc's sake: what is allowed is found out by trying"),
    ("criu", "", "PATH", ""),
    HELP,
    ("version", "v", "", "print the version"),
)
ALIASES = ("runc", "crun")  # names engines know; we answer by the one we were called by


class Call:
    """One verb's command line. `failing` stands before the sentence of a failure, as from runc, `%s` for our name;
    `failure_status` is the exit status of one, 0 for the error's own."""

    __slots__ = ("globals", "options", "arguments", "log", "failing", "failure_status")

    def __init__(self, given: dict[str, Any], log: Log | None) -> None:
        self.globals = given
        self.options: dict[str, Any] = {}
        self.arguments: list[str] = []
        self.log = log
        self.failing = ""
        self.failure_status = 0

    @property
    def root(self) -> str:
        return str(self.globals["root"])

    def to_log(self) -> Log:
        """The log; plain stderr until something is to be said."""
        if self.log is None:
            from pyruntime.lib.log import open_log

            given = self.globals
            self.log = open_log(given["log"], given["log-format"], debug=given["debug"])
        return self.log


def main(argv: list[str]) -> int:
    """Carries out `pyruntime ARGV…` and returns the exit status."""
    call = Call({"log": "", "log-format": "", "debug": False}, None)
    try:
        return _dispatch(argv, call)
    except BaseException as error:
        from pyruntime.cli import failure

        return failure.report(error, call, argv)


def _dispatch(argv: list[str], call: Call) -> int:
    given, words = parse(argv, GLOBALS, stop=True)
    call.globals = given
    if given["log"] or given["log-format"] or given["debug"]:
        call.to_log()  # before anything is done: a log that cannot be opened refuses the verb
    if given["version"]:
        write(version())
        return 0
    wants_help = given["help"] or not words
    if words and words[0] in ("help", "h"):
        words, wants_help = words[1:], True
    if not words:
        from pyruntime.cli import manual

        write(manual.whole(VERBS, GLOBALS))
        return 0
    return _run_verb(words[0], words[1:], call, wants_help=wants_help)


def _run_verb(name: str, words: list[str], call: Call, *, wants_help: bool) -> int:
    if name not in VERBS:
        from pyruntime import errors

        error = errors.UsageError(
            f"No help topic for '{name}'", hint="`pyruntime --help` lists the verbs"
        )
        error.exit_status = 3
        raise error
    module = __import__(f"pyruntime.cli.{name}", None, None, ("run",))
    verb: Verb = module.VERB
    call.options, call.arguments = (
        parse(words, verb.rows, stop=verb.stop) if not wants_help else ({"help": True}, [])
    )
    if call.options["help"]:
        from pyruntime.cli import manual

        write(manual.of_verb(name, verb))
        return 0
    check_count(name, verb, len(call.arguments))
    status: int = module.run(call)
    return status


def version() -> str:
    """go-runc and Docker read `NAME version`, `commit: ` and `spec: ` at the beginnings of lines.

    `docker info` shows the commit as the runtime's version, so it is the tag.
    """
    from pyruntime import __version__
    from pyruntime.spec.example import OCI_VERSION

    return f"{program()} version {__version__}\ncommit: v{__version__}\nspec: {OCI_VERSION}\n"


def program() -> str:
    """The name we were called by, if engines know it."""
    import sys

    called = sys.argv[0].rpartition("/")[2] if sys.argv else ""
    return called if called in ALIASES else "pyruntime"


def write(text: str, *, raises: bool = False) -> None:
    """All of `text` to stdout. When its reader has gone, SIGPIPE ends us; with `raises` it is a BrokenPipeError."""
    data = memoryview(text.encode("utf-8", "surrogateescape"))
    while data:
        try:
            data = data[posix.write(1, data) :]
        except BlockingIOError:  # whoever shares the pipe with us made it non-blocking
            import select

            poll = select.poll()
            poll.register(1, select.POLLOUT)
            poll.poll()
        except BrokenPipeError:
            if raises:
                raise
            _end_by_broken_pipe()


def _end_by_broken_pipe() -> None:
    """Nobody reads what was asked for: as any other command of a pipeline."""
    import _signal

    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    posix.kill(posix.getpid(), _signal.SIGPIPE)
    posix._exit(128 + _signal.SIGPIPE)  # our caller has it blocked
