"""Plans in words: every instruction and every flag has a name, for all documents of the corpus."""

from __future__ import annotations

import copy
import re

import pytest

from pyruntime.errors import PyruntimeError
from pyruntime.kernel.native import lib
from pyruntime.plan import describe, moments
from pyruntime.plan import step as steps
from pyruntime.plan.step import Buffer, Pointers, Reg, Step, expect, jump, resolve, sys
from tests.lib.plans import Plan, planned, site, spec
from tests.unit.spec.cases import corpus, put

FDS = {6: "@root"}
TARGET = Reg("target")


@pytest.mark.parametrize(
    ("instruction", "line"),
    [
        (sys(lib.NR_fchdir, 6), "fchdir(@root)"),
        (sys(lib.NR_fchdir, 7), "fchdir(7)"),
        (
            sys(lib.NR_openat, lib.AT_FDCWD, "/a b", lib.O_CLOEXEC, 0, out=TARGET),
            '$target = openat(AT_FDCWD, "/a b", O_RDONLY|O_CLOEXEC, 0o0)',
        ),
        (sys(lib.NR_unshare, lib.CLONE_NEWNS), "unshare(CLONE_NEWNS)"),
        (sys(lib.NR_mount, 0, "/", 0, lib.MS_SLAVE | lib.MS_REC, 0), 'mount(NULL, "/", NULL, MS_SLAVE|MS_REC, 0)'),
        (sys(lib.NR_umount2, "/x", 1 << 30), 'umount2("/x", 0x40000000)'),
        (sys(lib.NR_prctl, lib.PR_SET_NO_NEW_PRIVS, 1), "prctl(PR_SET_NO_NEW_PRIVS, 1)"),
        (sys(lib.NR_prctl, -7), "prctl(-7)"),
        (sys(lib.NR_close, TARGET, ok=(2, 20)), "close($target)  # ENOENT, ENOTDIR: go on"),
        (sys(lib.NR_close, TARGET, ok=(2,), skip=3), "close($target)  # ENOENT: skip 3"),
        (resolve(6, "/d", TARGET, steps.MAKE_FILE), '$target = resolve(@root, "/d", MAKE_FILE, 0o755, -1)'),
        (expect(TARGET, 1, errno=17), "expect($target == 1, else EEXIST)"),
        (expect(TARGET, 1, mask=0o170000, skip=2), "expect($target & 0o170000 == 1)  # else skip 2"),
        (jump(2), "jump()  # skip 2"),
        (sys(lib.NR_sethostname, b"web", 3), 'sethostname("web", 3)'),
        (sys(lib.NR_write, 6, b"\0\1", 2), "write(@root, <2 bytes>, 2)"),
        (sys(lib.NR_read, 6, Buffer(12), 12), "read(@root, <12 bytes>, 12)"),
        (sys(lib.NR_read, 6, Buffer(12, late=True), 12), "read(@root, <filled in later>, 12)"),
        (
            sys(lib.NR_mount_setattr, 6, "", 0, Pointers((lib.MOUNT_ATTR_RDONLY, 0, 0, 0)), 32),
            'mount_setattr(@root, "", 0, [set=MOUNT_ATTR_RDONLY], 32)',
        ),
    ],
)  # fmt: skip
def test_an_instruction(instruction: steps.Instruction, line: str) -> None:
    (_, shown) = describe.lines([Step(moments.BIRTH, "", "do it", [instruction])], FDS)
    assert shown == f"      {line}"


def test_the_end_of_a_step_is_counted() -> None:
    ops = [jump(steps.END), sys(lib.NR_setsid), sys(lib.NR_setsid)]
    assert "skip 2" in describe.lines([Step(moments.BIRTH, "", "do it", ops)], FDS)[1]


def test_a_step_of_each_side() -> None:
    made = [
        Step(moments.CGROUP, "/linux/cgroupsPath", "make them", run=lambda host: None),
        Step(moments.BIRTH, "", "begin", [sys(lib.NR_setsid)]),
        Step(moments.JOIN_CGROUP, "/a", "both of us", [sys(lib.NR_setsid)], run=lambda host: None),
    ]
    assert [line for line in describe.lines(made, {}) if line[0] != " "] == [
        "host  cgroup: make them (/linux/cgroupsPath)",
        "init  birth: begin",
        "both  join_cgroup: both of us (/a)",
    ]
    first = describe.document(made, {})[1]
    assert first == {
        "side": "init",
        "moment": "BIRTH",
        "property": "",
        "text": "begin",
        "calls": [{"call": "setsid", "arguments": []}],
    }


def test_documents_of_the_corpus() -> None:
    """Those that keep to the rules, one property changed at a time; flags have names and not numbers."""
    whole, count = spec(), 0
    for case in corpus("accept"):
        if case.what != "config" or not case.pointer or case.removed:
            continue
        try:
            plan = Plan(put(copy.deepcopy(whole), case.pointer, case.value), site())
        except (PyruntimeError, KeyError, IndexError):
            continue  # refused, or there is no such place in the document
        count += 1
        rows = describe.lines(plan.steps, {})
        assert len([row for row in rows if row[0] != " "]) == len(plan.steps)
        text = "\n".join(rows)
        assert not re.search(r"\b(openat|mount|prctl|setns|unshare)\([^)]*\b0x", text), case.name
    assert count > 80


def test_the_operations_are_the_tapes() -> None:
    names = ["SYSCALL", "STORE", "LOAD", "EXPECT", "JUMP", "SET", "DECIMAL", "RESOLVE", "SYNC", "HOME", "LOOKUP",
             "HOOK", "WAIT", "EXEC", "CLONE", "COPY"]  # fmt: skip
    for name in names:
        assert describe.OPERATIONS[getattr(steps, name)] == name.lower()
    assert len(describe.OPERATIONS) == len(names)


def test_a_plan_is_described_without_being_changed() -> None:
    plan = planned(spec())
    before = plan.tape()
    describe.document(plan.steps, {})
    assert plan.tape() == before
