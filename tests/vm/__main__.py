"""`make vm`: the built tree, tested in a guest as root and as an ordinary user.

    make vm                                              the usual tests, cgroup v2
    make vm VM="tests/integration/test_root.py -k made"  these words for pytest, as root
    make vm VM="--as user tests/integration/test_rootless.py"
    VM_CGROUP=v1 make vm                                 what has to do with cgroups on v1, or hybrid
    make vm VM="--shell 'cat /proc/self/cgroup'"         a command instead of pytest
    make vm VM=--short                                   the part that every commit can wait for
    make vm VM=--selinux                                 labels, under a policy of a few types
    make vm VM=--conformance                             the specification's statements; more words are its groups
    make vm RUNTIME=runc                                 the tests themselves, on the guest's runc

Prints what pytest prints, and at the end the counts of each run. A run in which no test passed has failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from tests.lib import killing, programs
from tests.vm import image
from tests.vm.machine import LAYOUTS, MachineError

USERS = {"root": ["root"], "user": ["tester"], "both": ["root", "tester"]}
PODMAN = [f"tests/engines/test_podman{part}.py" for part in ("", "_exec", "_systemd")]
# Engines whose groups are systemd's.
UNITS = [f"tests/engines/test_{engine}_systemd.py" for engine in ("containerd", "podman")]
TESTS = {
    "root": ["tests/integration", "tests/hostile", *sorted({*PODMAN, *UNITS})],
    "tester": ["tests/vm/session", *PODMAN],
}
# For every commit: where this kernel and this layout differ most.
SHORT = {
    "root": [f"tests/integration/test_{name}.py" for name in ("namespaces", "cgroups")],
    "tester": ["tests/vm/session"],
}
# The kernel is the same on every layout: on v1 and hybrid what has to do with cgroups, and the lives of containers.
LAYOUT_WORDS = """cgroup devices events exec_cgroups exec_process lifecycle limits nested pause ps stats systemd
update verbs""".split()
LAYOUT = {
    "root": sorted(
        f"tests/integration/{path.name}"
        for word in LAYOUT_WORDS
        for path in (programs.PROJECT / "tests/integration").glob(f"test_{word}*.py")
    )
    + UNITS
}
SELINUX = {"root": ["tests/integration/test_selinux.py", "tests/integration/test_labels.py"]}
# Debian's kernel starts AppArmor unless told so; nothing has a label until a policy is loaded.
SELINUX_KERNEL = ["apparmor=0", "security=selinux", "selinux=1", "enforcing=0"]
LOAD_POLICY = (
    "secilc --policyvers=33 --output=/run/policy --filecontext=/dev/null tests/vm/selinux.cil"
    " && cat /run/policy > /sys/fs/selinux/load && exec "
)
# Emulated, everything takes ten to twenty times as long.
PATIENCE = 10
RUN_PATIENCE_S = 3 * 3600.0
# Nothing that runs in the guest needs these, and every megabyte takes a second.
EXCLUDED = """.git build/vm build/temp.* build/lib.* build/launcher/frozen.c .mypy_cache .ruff_cache .hypothesis
.venv/bin/ruff site-packages/mypy* site-packages/ruff* site-packages/pip* site-packages/setuptools*
site-packages/codespell* site-packages/*__mypyc* site-packages/pkg_resources site-packages/librt
site-packages/ast_serialize site-packages/pyroute2* site-packages/*/tests""".split()
# The last line of pytest, with or without -q.
SUMMARY = re.compile(rb"^(?:=+ )?(\d+ [a-z]+\b.* in [0-9.]+s[^=]*?)(?: =+)?\r?$", re.MULTILINE)
PASSED = re.compile(r"\b[1-9][0-9]* passed")


@dataclass
class Run:
    """What one user's run printed and how it ended."""

    user: str
    status: int = 0
    seconds: float = 0.0
    tail: bytearray = field(default_factory=bytearray)

    def take(self, piece: bytes) -> None:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        self.tail += piece
        del self.tail[:-4096]

    @property
    def counts(self) -> str:
        found = SUMMARY.findall(bytes(self.tail))
        return found[-1].decode() if found else ""

    def good(self, *, tests: bool) -> bool:
        return self.status == 0 and (not tests or PASSED.search(self.counts) is not None)


def environment() -> dict[str, str]:
    given = {"PYTHONDONTWRITEBYTECODE": "1", "PATIENCE": str(PATIENCE), "GUEST": "1"}
    if "RUNTIME" in os.environ:
        given["RUNTIME"] = os.environ["RUNTIME"]
    return given


def command(options: argparse.Namespace, words: list[str]) -> list[str]:
    if options.shell:
        return ["/bin/sh", "-c", options.shell]
    if options.conformance:
        runtime = os.environ.get("RUNTIME") or f"{image.PROJECT}/build/bin/pyruntime"
        python = f"{image.PROJECT}/.venv/bin/python"
        return [python, f"{image.PROJECT}/conformance/run", "--runtime", runtime, *words]
    pytest = [
        f"{image.PROJECT}/.venv/bin/python",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-m",
        "not nightly",
    ]
    if options.selinux:
        return ["/bin/sh", "-c", LOAD_POLICY + shlex.join([*pytest, *words])]
    return [*pytest, *words]


def make_ready(options: argparse.Namespace, words: list[str]) -> None:
    """Leaves to the guest no work that is the same here: the tests' programs, and their bytecode as pytest
    rewrites it."""
    programs.inside()
    killing.killer()
    pytest = [sys.executable, "-m", "pytest", "--collect-only", "-qq", *words]
    if not (
        options.shell or options.conformance
    ):  # what is wrong with the tests is said by the run itself
        subprocess.run(pytest, cwd=image.PROJECT, capture_output=True, check=False)


def chosen(options: argparse.Namespace) -> dict[str, list[str]]:
    if options.selinux:
        return SELINUX
    if options.short:
        return SHORT
    return TESTS if options.cgroup == "v2" else LAYOUT


def perform(options: argparse.Namespace, words: list[str], user: str) -> Run:
    run = Run(user)
    if not options.conformance:
        words = words or ["-q", *chosen(options)[user]]
    make_ready(options, words)
    tree = image.PROJECT
    with image.booted(options.cgroup, SELINUX_KERNEL if options.selinux else ()) as guest:
        guest.copy(tree, EXCLUDED)
        started = time.monotonic()
        run.status = guest.run(
            command(options, words),
            user=user,
            output=run.take,
            directory=str(tree),
            tree=str(tree),
            environment=environment(),
            patience_s=options.patience,
        )
        run.seconds = time.monotonic() - started
    return run


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="make vm", allow_abbrev=False)
    layout = os.environ.get("VM_CGROUP") or "v2"
    parser.add_argument("--cgroup", choices=LAYOUTS, default=layout, help="layout ($VM_CGROUP)")
    parser.add_argument("--as", dest="users", choices=USERS, help="default: both on v2, else and with words: root")  # fmt: skip
    parser.add_argument("--shell", metavar="SCRIPT", help="run this in place of pytest")
    parser.add_argument("--short", action="store_true", help="the tests of every commit only")
    parser.add_argument("--selinux", action="store_true", help="the tests of labels, under SELinux")
    parser.add_argument(
        "--conformance", action="store_true", help="conformance/run in place of pytest"
    )
    parser.add_argument("--make", action="store_true", help="make the guest and stop")
    parser.add_argument("--patience", type=float, default=RUN_PATIENCE_S, metavar="SECONDS")
    options, words = parser.parse_known_args(argv)
    if options.cgroup not in LAYOUTS:  # argparse does not look at a default
        parser.error(f"VM_CGROUP={options.cgroup}: one of {', '.join(LAYOUTS)}")
    return options, words


def main(argv: list[str]) -> int:
    options, words = parse(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):  # an ended run leaves no machine behind
        signal.signal(number, lambda ended_by, _: sys.exit(128 + ended_by))
    # Only cgroup v2 is delegated to ordinary users.
    other = options.shell or options.conformance or options.selinux
    alone = words or other or options.cgroup != "v2"
    users = USERS[options.users or ("root" if alone else "both")]
    try:
        if options.make:
            image.prepare(options.cgroup)
            return 0
        runs = [perform(options, words, user) for user in users]
    except MachineError as problem:
        image.say(str(problem))
        return 1
    good = True
    for run in runs:
        fine = run.good(tests=not other)
        said = run.counts or f"status {run.status}"
        image.say(f"cgroups {options.cgroup}, {run.user}: {said}, {run.seconds:.0f} s{'' if fine else ', FAILED'}")  # fmt: skip
        good = good and fine
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
