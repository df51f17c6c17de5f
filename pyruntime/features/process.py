"""process: program, environment, working directory, umask, limits, oom score (config.md, Process).

The working directory is entered first as root and again as the user when that failed, and must lie inside the root
(CVE-2024-21626): asked where it was entered, so that a filter loaded before the credentials change need not let
getcwd pass. The program is looked up at create, as engines expect, after every change of credentials.
"""

from __future__ import annotations

import posix
from errno import EACCES, EINVAL, ELOOP, ENOENT, ENOTDIR, EPERM

from pyruntime.errors import StepError
from pyruntime.features import stdio
from pyruntime.features.container_paths import clean
from pyruntime.features.failures import failed_exec, missing_program
from pyruntime.features.idioms import open_beneath
from pyruntime.features.program import PATH_LIMIT, environment, environment_words
from pyruntime.kernel.native import lib
from pyruntime.lib.files import read_file
from pyruntime.plan import moments
from pyruntime.plan.step import (
    END,
    EXEC,
    HOME,
    LOOKUP,
    MAKE_DIRECTORY,
    At,
    Buffer,
    Pointers,
    Reg,
    Step,
    assign,
    builtin,
    expect,
    resolve,
    store,
    sys,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.plan.host import HostSide
    from pyruntime.spec.types import Config, Process

PROPERTIES = ("process.args", "process.env", "process.cwd", "process.user.umask", "process.rlimits",
              "process.oomScoreAdj")  # fmt: skip

ARGUMENT_LIMIT = 131072  # bytes of one string, the kernel's MAX_ARG_STRLEN
UNLIMITED = (1 << 64) - 1


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    process = spec.get("process")
    if not process:
        return
    if process["cwd"][:1] != "/" or "\0" in process["cwd"]:
        yield "/process/cwd", "Cwd must be an absolute path"
    args = process.get("args") or []
    if not args:
        yield "/process/args", "args must not be empty"
    elif not args[0]:
        yield "/process/args/0", "the program's name is empty"
    words: dict[str, list[str]] = {"args": args, "env": process.get("env") or []}
    for name, texts in words.items():
        for index, text in enumerate(texts):
            if "\0" in text or len(text.encode("utf-8", "surrogateescape")) >= ARGUMENT_LIMIT:
                yield f"/process/{name}/{index}", "holds a NUL byte or is longer than 128 KiB"
            elif name == "env" and text.find("=") < 1:
                yield f"/process/env/{index}", "invalid environment variable: missing '=' or name"
    yield from _limit_rules(process.get("rlimits") or ())


def _limit_rules(limits: Any) -> Iterator[tuple[str, str]]:
    seen = set()
    for index, limit in enumerate(limits):
        pointer, kind = f"/process/rlimits/{index}", limit["type"]
        if not hasattr(lib, kind) or not kind.startswith("RLIMIT_"):
            yield f"{pointer}/type", f"wrong rlimit value: {kind}"
        if kind in seen:
            yield f"{pointer}/type", f"{kind} appears twice"
        seen.add(kind)
        if limit["soft"] > limit["hard"]:
            yield f"{pointer}/soft", "the soft limit is above the hard one"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    process = spec.get("process")
    if not process:
        return
    cwd, done, current = process["cwd"], Reg("entered"), Buffer(PATH_LIMIT)
    inside = [
        sys(lib.NR_getcwd, current, PATH_LIMIT),
        expect(current, ord("/"), 1, errno=ENOENT),
    ]
    if not site.exec:
        fd = Reg("cwd")
        yield Step(
            moments.WORKING_DIRECTORY,
            "/process/cwd",
            f"make the working directory `{clean(cwd)}`",
            [resolve(site.root, cwd, fd, MAKE_DIRECTORY), sys(lib.NR_close, fd)],
        )
    yield Step(
        moments.EXECUTION,
        "/process/cwd",
        f"chdir to cwd `{cwd}`",
        [sys(lib.NR_chdir, cwd, ok=(EACCES, EPERM), skip=END), *inside, assign(done, 1)],
    )
    umask = process.get("user", {}).get("umask")
    yield Step(
        moments.EXECUTION,
        "/process/user/umask",
        "set the umask",
        [sys(lib.NR_umask, site.umask if umask is None else umask)],
    )
    yield from stdio.own(spec, site)
    yield from _limits(process, site)
    yield Step(
        moments.CHDIR,
        "/process/cwd",
        f"chdir to cwd `{cwd}`",
        [expect(done, -1, skip=END), sys(lib.NR_chdir, cwd), *inside],
    )
    yield from _program(process, site)
    score = process.get("oomScoreAdj")
    if score is not None:
        yield _oom_score(score, site)


def _limits(process: Process, site: Site) -> Iterator[Step]:
    """In a user namespace no hard limit can be raised any more: the stage does it, and leaves the soft ones."""
    if site.open_files is not None:
        text, caller = "give the caller's limit of open files back", Pointers(site.open_files)
        ops = [sys(lib.NR_prlimit64, 0, lib.RLIMIT_NOFILE, caller, 0)]
        yield Step(moments.LIMITS, "/mounts", text, ops)
    for index, limit in enumerate(process.get("rlimits") or ()):
        soft, hard = limit["soft"] & UNLIMITED, limit["hard"] & UNLIMITED
        number = getattr(lib, limit["type"])
        if site.has("user"):
            yield Step(
                moments.RAISE_LIMITS,
                f"/process/rlimits/{index}",
                f"raise the hard limit of {limit['type']} to {hard}",
                _raise_hard(number, hard),
            )
        yield Step(
            moments.LIMITS,
            f"/process/rlimits/{index}",
            f"set {limit['type']} to {soft}:{hard}",
            [sys(lib.NR_prlimit64, 0, number, Pointers((soft, hard)), 0)],
        )


def _raise_hard(number: int, hard: int) -> list[Any]:
    """A hard limit below the present soft one is refused here, and needs no raising."""
    pair = Buffer(16)
    return [
        sys(lib.NR_prlimit64, 0, number, 0, pair),
        store(At(pair, 8), hard - (1 << 64) if hard >> 63 else hard),
        sys(lib.NR_prlimit64, 0, number, pair, 0, ok=(EINVAL,)),
    ]


def _program(process: Process, site: Site) -> Iterator[Step]:
    args, env = process["args"], environment(process)
    words, home = environment_words(process, site)
    if home:
        yield Step(moments.HOME, "/process/env", "find HOME", _find_home(process, home, site))
    program = Buffer(PATH_LIMIT)
    yield Step(
        moments.LOOKUP,
        "/process/args/0",
        f"find the program `{args[0]}`",
        [builtin(LOOKUP, args[0], env.get("PATH", ""), program, PATH_LIMIT)],
        failure=lambda number, text: missing_program(args[0], number),
    )
    # Whoever reads the container's output has not seen what the verb says; `exec` shares its stderr with the process.
    say: Any = 0 if site.exec else f"exec {args[0][:512]}"
    yield Step(
        moments.EXEC,
        "/process/args/0",
        f"exec `{args[0]}`",
        [
            builtin(
                EXEC,
                program,
                Pointers((*args, 0)),
                Pointers((*words, 0)),
                site.report_fd,
                say,
                int(site.inline),
            )
        ],
        failure=lambda number, text: failed_exec(args[0], number),
    )


def _find_home(process: Process, home: Buffer, site: Site) -> list[Any]:
    """The image's passwd: never a device or a fifo is opened in a way that waits (security: R-23)."""
    fd = Reg("passwd")
    flags = lib.O_RDONLY | lib.O_NONBLOCK | lib.O_NOCTTY
    return [
        sys(lib.NR_openat, lib.AT_FDCWD, "/", lib.O_PATH | lib.O_CLOEXEC, 0, out=fd),
        open_beneath(
            fd,
            "etc/passwd",
            flags,
            lib.RESOLVE_IN_ROOT | lib.RESOLVE_NO_MAGICLINKS,
            fd,
            ok=(ENOENT, ENOTDIR, ELOOP, 6),
            skip=END,
        ),
        builtin(HOME, fd, process.get("user", {}).get("uid", 0), At(home, 5), PATH_LIMIT - 6),
        sys(lib.NR_close, fd),
    ]


def _oom_score(score: int, site: Site) -> Step:
    """By pid; an ordinary user may not open that file of a non-dumpable init, and lets it inherit the score."""
    pointer, text = "/process/oomScoreAdj", f"set oom_score_adj to {score}"
    if site.unprivileged_user:
        return Step(
            moments.SOURCES, pointer, text, run=lambda host: _inherit_oom_score(score, host)
        )
    lenient = site.in_user_namespace
    return Step(
        moments.IDENTITY,
        pointer,
        text,
        run=lambda host: _write_oom_score(host.pid, score, lenient=lenient),
    )


def _inherit_oom_score(score: int, host: HostSide) -> None:
    pid = posix.getpid()
    before = _read_oom_score(pid)
    _write_oom_score(pid, score, lenient=True)
    host.after_spawn(lambda: _write_oom_score(pid, before))


def _read_oom_score(pid: int) -> int:
    return int(read_file(f"/proc/{pid}/oom_score_adj", 16))


def _write_oom_score(pid: int, score: int, *, lenient: bool = False) -> None:
    """Only who has CAP_SYS_RESOURCE in the initial user namespace may lower it (proc(5)). To those who cannot have it
    (`lenient`) the refusal is no failure (security: R-53)."""
    try:
        fd = posix.open(f"/proc/{pid}/oom_score_adj", posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(fd, b"%d" % score)
        finally:
            posix.close(fd)
    except OSError as error:
        number = error.errno or 0
        if lenient and number == EACCES and score < _read_oom_score(pid):
            return
        raise StepError(
            f"set oom_score_adj to {score}", "/process/oomScoreAdj", errno=number
        ) from error
