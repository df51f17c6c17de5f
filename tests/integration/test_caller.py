"""How the caller stands when it calls must not reach the container: environment, signals, descriptors, stdio,
priority, death signals (engine-calls.md, R-24)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lib import kernel, programs
from tests.lib.box import Box, report
from tests.lib.bundle import Bundle
from tests.lib.facts import Facts, parse_lines

SAME = (
    "env",
    "cwd",
    "umask",
    "blocked",
    "ignored",
    "caps",
    "groups",
    "personality",
    "timerslack",
    "policy",
    "pdeathsig",
)


def compared(facts: Facts) -> dict[str, object]:
    seen = {name: facts.report[name] for name in SAME}
    seen["fds"] = [entry["fd"] for entry in facts.fds]
    return seen


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"XDG_RUNTIME_DIR": ""},
        {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": "/nowhere"},
        {
            "LANG": "tr_TR.UTF-8",
            "LC_ALL": "xx",
            "PYTHONPATH": "/tmp",
            "PYTHONHOME": "/tmp",
            "LD_LIBRARY_PATH": "/tmp:",
        },
        {
            "GOMAXPROCS": "2",
            "TMPDIR": "/nowhere",
            "TERM": "",
            "NOTIFY_SOCKET": "",
            "_OCI_SYNCPIPE": "3",
        },
        {"BAD\udcff": "\udcfe\udcff", "PATH": "/bin"},
    ],
    ids=["empty", "podman kill", "podman start", "hostile", "shim", "bytes"],
)
def test_environments(bundle: Bundle, env: dict[str, str]) -> None:
    with Box(bundle.inside("wait", "0"), env=env) as box:
        box.create()
        assert box.status == "created"
        box.start()
        box.expect("wait")
        box.kill("15")
        assert box.wait() == 0
        box.delete()
        assert box.call("delete", "--force", box.id).code == 0


def blocked_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def ignored_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)


def leaked_descriptors() -> None:
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    for number in range(3, 53):
        os.dup2(fd, number)


def low_priority() -> None:
    os.nice(5)


def odd_umask() -> None:
    os.umask(0o777)


def death_signal() -> None:
    kernel.libc.prctl(1, signal.SIGKILL, 0, 0, 0)


def slow_timers() -> None:
    kernel.libc.prctl(29, ctypes.c_ulong(123456789), 0, 0, 0)


def one_processor() -> None:
    os.sched_setaffinity(0, {0})


STATES: list[Callable[[], None]] = [
    blocked_signals,
    ignored_signals,
    leaked_descriptors,
    odd_umask,
    death_signal,
    slow_timers,
]


@pytest.mark.parametrize("prepare", STATES, ids=lambda each: each.__name__)
def test_nothing_of_it_reaches_the_container(
    bundle: Bundle, tmp_path: Path, prepare: Callable[[], None]
) -> None:
    clean = compared(report(Bundle(tmp_path / "clean")))
    assert compared(report(bundle, prepare=prepare)) == clean


def test_affinity_is_that_of_the_cgroup(bundle: Bundle) -> None:
    assert report(bundle, prepare=one_processor).affinity == sorted(os.sched_getaffinity(0))


def test_a_low_priority_caller_works(bundle: Bundle) -> None:
    assert report(bundle, prepare=low_priority).pid == 1


def test_ignored_sigchld_does_not_confuse_the_runtime(bundle: Bundle) -> None:
    """With SIGCHLD ignored children vanish without a status: hooks and stages must still be waited for."""
    bundle.hook("prestart", "/bin/true").hook("createRuntime", "/bin/sh", "-c", "exit 7")

    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    with Box(bundle, prepare=ignore) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and "exit status 7" in outcome.err, str(outcome)
        bundle.unset("hooks")
        assert box.run().code == 0


def test_run_with_ignored_sigchld_returns_the_exit_code(bundle: Bundle) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    with Box(bundle.inside("exit", "9"), prepare=ignore) as box:
        assert box.run().code == 9


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_stdio(bundle: Bundle, closed: tuple[int, ...]) -> None:
    """What is closed is /dev/null in the container, never a file of the runtime."""

    def close() -> None:
        for fd in closed:
            os.close(fd)

    bundle.shell("/inside report > /report")
    with Box(bundle, prepare=close) as box:
        box.create(check=False)
        assert box.pid, "create failed"
        box.start()
        assert box.wait() == 0
        facts = Facts(parse_lines((bundle.rootfs / "report").read_text())[0])
    assert {entry["fd"] for entry in facts.fds} <= {0, 1, 2}
    for fd in set(closed) - {1}:
        entry = facts.fd(fd)
        assert entry is None or (entry["type"], entry["major"], entry["minor"]) == ("char", 1, 3)


def test_a_vanished_current_directory(bundle: Bundle, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    def vanish() -> None:
        os.chdir(gone)
        os.rmdir(gone)

    with Box(bundle, prepare=vanish) as box:
        assert box.run().code == 0


def test_few_descriptors_left(bundle: Bundle) -> None:
    """`ulimit -n 64`: the soft limit the container sees is the caller's."""

    def limit() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))

    assert report(bundle, prepare=limit).rlimits["NOFILE"][0] == 64


def test_more_binds_than_the_soft_limit_has_descriptors(bundle: Bundle) -> None:
    """It is raised for the set-up; program and hooks get the caller's."""

    def limit() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))

    bundle.dir("many")
    source = bundle.directory / "source"
    source.mkdir()
    for number in range(150):
        bundle.bind(source, f"/many/{number}", "ro")
    bundle.hook("createRuntime", "/bin/sh", "-c", f"ulimit -Sn > {bundle.directory}/hook")
    facts = report(bundle, prepare=limit)
    assert facts.rlimits["NOFILE"][0] == 100
    assert (bundle.directory / "hook").read_text() == "100\n"


@pytest.mark.parametrize("size", [0, 1])
def test_a_limit_of_file_size(bundle: Bundle, size: int) -> None:
    """Below the size of what create writes: an error, and nothing is left; never an end by SIGXFSZ."""

    def limit() -> None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    with Box(bundle, prepare=limit) as box:
        outcome = box.create(check=False)
        assert outcome.code == 1 and "file too large" in outcome.err, str(outcome)
        assert list(box.root.iterdir()) == []


def test_a_reader_that_has_gone(bundle: Bundle) -> None:
    """Output ends as that of any command of a pipeline; a failing verb keeps its exit status."""
    for words, status in ((["--help"], -signal.SIGPIPE), (["state", "nobody"], 1)):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = subprocess.run(
                [*programs.runtime_command(), "--root", str(bundle.directory), *words],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
            )
        finally:
            os.close(writer)
        assert done.returncode == status


def test_a_bundle_that_looks_like_a_python_library(bundle: Bundle) -> None:
    """R-32: engines call with the bundle as current directory; nothing of it may be imported."""
    marker = bundle.directory / "imported"
    code = f"open({str(marker)!r}, 'w')\n"
    for name in (
        "json",
        "os",
        "site",
        "sitecustomize",
        "usercustomize",
        "errno",
        "re",
        "posix",
        "encodings",
    ):
        (bundle.directory / f"{name}.py").write_text(code)
    (bundle.directory / "pyruntime").mkdir()
    (bundle.directory / "pyruntime/__init__.py").write_text(code)
    path = str(bundle.directory)
    env = {
        "PATH": "/bin",
        "PYTHONPATH": path,
        "PYTHONSTARTUP": f"{path}/os.py",
        "PYTHONHOME": path,
        "HOME": path,
    }
    with Box(bundle.inside("wait"), env=env, prepare=lambda: os.chdir(path)) as box:
        box.create()
        box.start()
        box.state()
        box.kill("KILL")
        box.wait()
        box.call("list")
        box.call("features")
        box.delete()
        bundle.set("process.args", [])
        assert box.create(check=False).code == 1
    assert not marker.exists()
