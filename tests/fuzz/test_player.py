"""The init's tape player under sanitizers, guided by coverage: native/world.c answers in the kernel's place.

Real tapes are the first inputs; libFuzzer changes them and the answers. Besides the sanitizers' findings it is one
if a call that is not in calls.h gets through, if a built-in makes a call nobody expects of it, writes outside the
tape's data, or does not come to an end. tests/lib/tapefuzz.py plays damaged tapes on the real init.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyruntime.plan.step import (
    COPY,
    HOME,
    LOOKUP,
    MAKE_DIRECTORY,
    MAKE_FILE,
    MAKE_LIKE,
    Buffer,
    Reg,
    Step,
    builtin,
    resolve,
)
from pyruntime.plan.tape import Tape
from tests.fuzz import budget
from tests.lib import plans, tapefuzz
from tests.lib.programs import PROJECT
from tests.lib.tape_runner import SOURCE

HERE = PROJECT / "tests/fuzz/native"
BUILD = PROJECT / "build/fuzz"
SANITIZERS = "address,undefined"
COMPILE = [
    "clang", "-std=gnu11", "-g", "-O1", "-fno-builtin", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror",
]  # fmt: skip
# Freestanding as the init is: what the kernel's headers define depends on it.
STUBBED = [
    "-ffreestanding",
    "-include",
    str(HERE / "stubbed.h"),
    f"-fsanitize=fuzzer-no-link,{SANITIZERS}",
]
SOURCES = ("player", "resolve", "sync", "lookup", "hook", "copy")
REPAIR = 0x8000
# The two ends, what is in the directory, and a file of it with a stretch of data, one attribute and an owner.
COPYING = bytes((
    0, 0, 1, 0, 1, 0, 0,
    0, 0, 0, 0, 0, 0,
    1, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0,
    0, 1, 0, 3, 0, *b"abc", 0, 0, 0, 0, 0, 0,
))  # fmt: skip
LEAST_COVERAGE = (
    0.3  # of the edges; the sanitizers' own ones, which nothing reaches, are more than half
)
# Clang's sanitizers of some versions cannot stand all of the kernel's address randomization.
FIXED = ["setarch", "--addr-no-randomize"]


@pytest.fixture(scope="module")
def program() -> Path:
    """The player with its system calls stubbed; clang must be there (`.ci/packages fuzz`)."""
    BUILD.mkdir(parents=True, exist_ok=True)
    units = [(SOURCE / f"{name}.c", STUBBED) for name in SOURCES]
    units.append((HERE / "entry.c", STUBBED))
    units.append((HERE / "world.c", [f"-fsanitize={SANITIZERS}"]))
    objects = []
    for source, flags in units:
        objects.append(str(BUILD / f"{source.stem}.o"))
        subprocess.run([*COMPILE, *flags, "-c", str(source), "-o", objects[-1]], check=True)
    target = BUILD / "player"
    link = ["clang", f"-fsanitize=fuzzer,{SANITIZERS}", *objects, "-o", str(target)]
    subprocess.run(link, check=True)
    return target


def tapes() -> Iterator[bytes]:
    yield tapefuzz.every_operation()
    yield tapefuzz.a_container()
    for changes in (
        {},
        {"linux__namespaces": [{"type": "user"}, {"type": "mount"}, {"type": "pid"}]},
        {"hooks": {"startContainer": [{"path": "/bin/true", "timeout": 3}]}},
    ):
        steps = plans.planned(plans.spec(**changes)).steps
        yield Tape([step for step in steps if step.ops]).bytes
    yield Tape([step for step in plans.executed() if step.ops]).bytes


def aimed() -> Iterator[tuple[bytes, bytes]]:
    """Tapes of one built-in and the answers that lead it where chance would be long in coming."""
    out, room = Reg("out"), Buffer(64)
    passwd = b"root:x:0:0:root:/home:/bin/sh\n"
    # ENOENT, the parent, ENOENT, EEXIST: a dangling link with the text /x.
    dangling = bytes((193, 0, 193, 195, 2, 0, *b"/x", 0))
    answers = {
        dangling: resolve(3, "/l/m", out, MAKE_DIRECTORY),
        dangling * 3: resolve(3, "/l", out, MAKE_FILE),
        bytes((0, 1)) + dangling: resolve(3, "/l", out, MAKE_LIKE, model=4),
        bytes((0, 0, len(passwd), 0, *passwd, 0)): builtin(HOME, 3, 0, room, 64),
        bytes((195,)): builtin(LOOKUP, "x", "/a:/b", room, 64),
        COPYING: builtin(COPY, 3, 4, 1),
    }
    for script, op in answers.items():
        yield script, Tape([Step(0, "", "", [op])]).bytes


def seeds(place: Path) -> None:
    """Each tape with an empty script and with one of answers, as it is and with its head repaired."""
    place.mkdir()
    for number, (script, tape) in enumerate(aimed()):
        head = (len(script) | REPAIR).to_bytes(2, "little")
        (place / f"aimed-{number}").write_bytes(head + script + tape)
    for number, tape in enumerate(tapes()):
        for script in (b"", bytes(96), bytes(range(96))):
            for flag in (0, REPAIR):
                head = (len(script) | flag).to_bytes(2, "little")
                (place / f"{number}-{len(script)}-{script[1:2].hex()}-{flag}").write_bytes(
                    head + script + tape
                )


def run(program: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FIXED, str(program), "-timeout=10", f"-seed={budget.SEED & 0x7FFFFFFF or 1}", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
    )


def explain(program: Path, found: Path, done: subprocess.CompletedProcess[str]) -> str:
    """What it was, and the smallest input that shows it."""
    small = found.with_name("smallest")
    run(
        program, "-minimize_crash=1", "-max_total_time=20", f"-exact_artifact_path={small}", str(found),
        cwd=found.parent,
    )  # fmt: skip
    shown = small if small.exists() else found
    return f"{done.stderr[-3000:]}\ninput, kept in {shown}:\n{shown.read_bytes().hex()}"


def test_damaged_tapes(program: Path, tmp_path: Path) -> None:
    seeds(tmp_path / "corpus")
    seconds = max(2, round(budget.share("player")))
    words = [f"-max_total_time={seconds}", "-max_len=16384", "-print_final_stats=1", "corpus"]
    done = run(program, *words, cwd=tmp_path)
    findings = [
        path for kind in ("crash", "timeout", "oom", "leak") for path in tmp_path.glob(f"{kind}-*")
    ]
    assert not findings, explain(program, findings[0], done)
    assert done.returncode == 0, done.stderr[-3000:]
    count = int(re.findall(r"number_of_executed_units:\s*(\d+)", done.stderr)[0])
    edges = int(re.findall(r"(\d+) inline 8-bit counters", done.stderr)[0])
    covered = int(re.findall(r"cov: (\d+)", done.stderr)[-1])
    print(f"player: {count} tapes, {covered} of {edges} edges")
    assert count > 1000
    assert covered > LEAST_COVERAGE * edges


def test_it_would_notice(program: Path, tmp_path: Path) -> None:
    """A call that is not in the list, let through by hand: the world complains."""
    source = (SOURCE / "player.c").read_text()
    blind = source.replace("if (!is_allowed(i->nr))", "if (!is_allowed(i->nr) && i->nr < 7)")
    assert blind != source
    for name in ("calls.h", "tape.h", "sys.h"):
        (tmp_path / name).write_text((SOURCE / name).read_text())
    (tmp_path / "player.c").write_text(blind)
    others = [str(BUILD / f"{name}.o") for name in (*SOURCES[1:], "entry", "world")]
    subprocess.run(
        [*COMPILE, *STUBBED, "-c", str(tmp_path / "player.c"), "-o", str(tmp_path / "player.o")],
        check=True,
    )
    target = tmp_path / "blind"
    subprocess.run(
        [
            "clang",
            f"-fsanitize=fuzzer,{SANITIZERS}",
            str(tmp_path / "player.o"),
            *others,
            "-o",
            str(target),
        ],
        check=True,
    )
    seeds(tmp_path / "corpus")
    done = run(target, "-max_total_time=60", "-max_len=16384", "corpus", cwd=tmp_path)
    assert "plays a system call that is not in calls.h" in done.stderr
