"""The process as data: credentials, environment, limits, working directory, program."""

from __future__ import annotations

from typing import Any

import pytest

from pyruntime.features import credentials
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import MAKE_DIRECTORY
from tests.lib.facts import CAPABILITY_NAMES
from tests.lib.plans import BASE, Plan, findings, planned, site, spec, words

SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
ALL = (1 << 41) - 1


def process(**members: Any) -> dict[str, Any]:
    return spec(process={**BASE["process"], **members})


def with_capabilities(**sets: list[str]) -> dict[str, Any]:
    return process(capabilities=sets)


def mask(*names: str) -> int:
    return sum(1 << CAPABILITY_NAMES.index(name.removeprefix("CAP_")) for name in names)


def capset(plan: Plan) -> tuple[int, int, int]:
    """(effective, permitted, inheritable) as the kernel reads them."""
    data = plan.named("/process/capabilities", "capset")[0][1]
    low = [int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8)]
    high = [int.from_bytes(data[at : at + 4], "little") for at in (12, 16, 20)]
    return (low[0] | high[0] << 32, low[1] | high[1] << 32, low[2] | high[2] << 32)


def dropped(plan: Plan) -> int:
    calls = plan.named("/process/capabilities/bounding", "prctl")
    assert all(call[0] == lib.PR_CAPBSET_DROP for call in calls)
    return sum(1 << call[1] for call in calls)


def raised(plan: Plan) -> list[int]:
    calls = plan.named("/process/capabilities", "prctl")
    return [call[2] for call in calls if call[1:2] == (lib.PR_CAP_AMBIENT_RAISE,)]


def test_the_names() -> None:
    assert credentials.NAMES == CAPABILITY_NAMES and len(credentials.NAMES) == 41


@pytest.mark.parametrize(
    "name", ["CHOWN", "SETUID", "SYSLOG", "MAC_ADMIN", "MAC_OVERRIDE", "CHECKPOINT_RESTORE"]
)
def test_each_set_is_exactly_the_configs(name: str) -> None:
    """Absent sets are empty (CVE-2022-24769); both halves of the words are used."""
    word, bit = f"CAP_{name}", mask(name)
    assert dropped(planned(with_capabilities(bounding=[word]))) == ALL & ~bit
    assert capset(planned(with_capabilities(effective=[word], permitted=[word]))) == (bit, bit, 0)
    assert capset(planned(with_capabilities(permitted=[word]))) == (0, bit, 0)
    assert capset(planned(with_capabilities(inheritable=[word], bounding=[word]))) == (0, 0, bit)


def test_no_capabilities_means_none() -> None:
    for document in (process(), with_capabilities(), process(capabilities={})):
        plan = planned(document)
        assert (dropped(plan), capset(plan), raised(plan)) == (ALL, (0, 0, 0), [])


@pytest.mark.parametrize(
    ("permitted", "inheritable", "wanted"),
    [(True, True, [0]), (True, False, []), (False, True, [])],
)
def test_ambient_needs_both(permitted: bool, inheritable: bool, wanted: list[int]) -> None:
    one = ["CAP_CHOWN"]
    document = with_capabilities(
        ambient=one, bounding=one, permitted=one * permitted, inheritable=one * inheritable
    )
    host = site()
    assert raised(Plan(document, host)) == wanted
    words = "can't raise ambient capability CAP_CHOWN: not permitted and inheritable"
    assert host.warnings == ([] if wanted else [words])


@pytest.mark.parametrize(
    ("kind", "other"), [("effective", "permitted"), ("inheritable", "bounding")]
)
def test_what_the_kernel_grants_only_with_another_set(kind: str, other: str) -> None:
    """config.md: what cannot be granted is a warning and no failure; capset(2) would refuse it all."""
    host = site()
    document = with_capabilities(**{kind: ["CAP_KILL", "CAP_CHOWN", "CAP_BPF"], other: ["CAP_BPF"]})
    effective, _, inheritable = capset(Plan(document, host))
    assert (effective or inheritable) == mask("BPF")
    words = f"ignoring {kind} capabilities that are not {other}: CAP_CHOWN CAP_KILL"
    assert host.warnings == [words]


def test_unknown_names_are_passed_over_with_a_warning() -> None:
    host = site()
    plan = Plan(
        with_capabilities(bounding=["CAP_NONE", "cap_chown", "CAP_KILL"], permitted=["CAP_NONE"]),
        host,
    )
    assert dropped(plan) == ALL & ~mask("KILL")
    assert host.warnings == ["ignoring unknown or unavailable capabilities: CAP_NONE cap_chown"]


def test_what_the_host_lacks_cannot_be_granted() -> None:
    host = site(capabilities=mask("CHOWN"), last_capability=36)
    both = ["CAP_CHOWN", "CAP_KILL", "CAP_BPF"]
    plan = Plan(with_capabilities(bounding=both, permitted=both), host)
    assert capset(plan)[1] == mask("CHOWN")
    assert dropped(plan) == (1 << 37) - 1 & ~mask("CHOWN")
    assert "CAP_BPF CAP_KILL" in host.warnings[0]


def test_the_order_of_credentials() -> None:
    plan = planned(process(user={"uid": 5, "gid": 6, "additionalGids": [7, 8]}))
    calls = [words(op)[0:3] for step in plan.at(moments.CREDENTIALS) for op in step.ops]
    names = [call[0] for call in calls]
    assert (
        names.index("setgroups")
        < names.index("setresgid")
        < names.index("setresuid")
        < names.index("capset")
    )
    keep = calls.index(("prctl", lib.PR_SET_KEEPCAPS, 1))
    assert keep < names.index("setresuid")
    last_drop = max(n for n, call in enumerate(calls) if call[:2] == ("prctl", lib.PR_CAPBSET_DROP))
    assert last_drop < names.index("setgroups"), (
        "dropping needs the capability that setresuid takes away"
    )


@pytest.mark.parametrize("number", [0, 1, 65535, 65536, 2147483647])
def test_users_and_groups(number: int) -> None:
    plan = planned(process(user={"uid": number, "gid": number, "additionalGids": [number]}))
    groups = (1, number.to_bytes(4, "little"))
    assert plan.named("/process/user/additionalGids", "setgroups") == [groups]
    for name in ("uid", "gid"):
        pointer = f"/process/user/{name}"
        assert plan.named(pointer, f"setres{name}") == [(number,) * 3]
        proofs = [call[3] for call in plan.named(pointer, "EXPECT") if call[1] == 4]
        assert proofs == [number] * 3, "the result is read back"


def test_no_groups_are_kept() -> None:
    assert planned(process()).named("/process/user/additionalGids", "setgroups") == [(0, 0)]


@pytest.mark.parametrize("number", [2147483648, 4294967295])
def test_ids_out_of_range(number: int) -> None:
    """4294967295 would mean: leave it as it is, which is root."""
    user = {"uid": number, "gid": number, "additionalGids": [5, number]}
    assert set(findings(process(user=user))) == {
        "/process/user/uid", "/process/user/gid", "/process/user/additionalGids/1"}  # fmt: skip


# Environment and program


def executed(plan: Plan) -> tuple[tuple[Any, ...], list[str]]:
    """(argv, environment); a HOME still to be found is shown as it stands on the tape."""
    call = plan.named("/process/args/0", "EXEC")[0]
    texts = [w.rstrip(b"\0").decode() if isinstance(w, bytes) else w for w in call[2][:-1]]
    assert call[1][-1] == call[2][-1] == 0, "both lists end in NULL"
    return call[1][:-1], texts


def test_arguments_and_environment() -> None:
    plan = planned(process(args=["sh", "-c", ""], env=["A=1", "HOME=/h", "B=", "C=a=b"]))
    assert executed(plan) == (("sh", "-c", ""), ["A=1", "HOME=/h", "B=", "C=a=b"])
    assert not plan.at(moments.HOME)


def test_the_last_of_equal_names_wins() -> None:
    assert executed(planned(process(env=["A=1", "HOME=/x", "A=2", "HOME=/h"])))[1] == [
        "A=2",
        "HOME=/h",
    ]


@pytest.mark.parametrize("env", [[], ["HOME="], ["A=1"]])
def test_home_is_found_where_none_is_given(env: list[str]) -> None:
    plan = planned(process(env=env, user={"uid": 1000, "gid": 0}))
    assert executed(plan)[1][-1] == "HOME=/"
    assert [entry for entry in executed(plan)[1] if entry.startswith("HOME")] == ["HOME=/"]
    assert plan.named("/process/env", "HOME")[0][1] == 1000
    assert plan.named("/process/env", "openat2")[0][2][0] & lib.O_NONBLOCK, (
        "a fifo does not hold it up"
    )


def test_the_program_is_looked_up_in_the_path() -> None:
    assert planned(process(env=["PATH=/a:/b"])).named("/process/args/0", "LOOKUP")[0][:2] == (
        "sh",
        "/a:/b",
    )
    assert planned(process(env=[])).named("/process/args/0", "LOOKUP")[0][:2] == ("sh", "")


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"args": []}, "/process/args"),
        ({"args": [""]}, "/process/args/0"),
        ({"args": ["a\0b"]}, "/process/args/0"),
        ({"args": ["a", "x" * 131072]}, "/process/args/1"),
        ({"env": ["A"]}, "/process/env/0"),
        ({"env": ["A=1", "=x"]}, "/process/env/1"),
        ({"env": [""]}, "/process/env/0"),
        ({"env": ["A=\0"]}, "/process/env/0"),
        ({"cwd": "w"}, "/process/cwd"),
        ({"cwd": ""}, "/process/cwd"),
        ({"cwd": "/a\0"}, "/process/cwd"),
        ({"rlimits": [{"type": "RLIMIT_NONE", "soft": 1, "hard": 1}]}, "/process/rlimits/0/type"),
        ({"rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]}, "/process/rlimits/0/soft"),
        (
            {"rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2},
            "/process/rlimits/1/type",
        ),
        (
            {"terminal": True, "consoleSize": {"height": 65536, "width": 1}},
            "/process/consoleSize/height",
        ),
    ],
)
def test_rules(members: dict[str, Any], pointer: str) -> None:
    assert set(findings(process(**members))) == {pointer}


# Limits, directory, umask, stdio

LIMITS = "AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK".split()


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    import resource

    limit = {"type": f"RLIMIT_{name}", "soft": 5, "hard": (1 << 64) - 1}
    plan = planned(process(rlimits=[limit]))
    number = getattr(resource, f"RLIMIT_{name}", 10 if name == "LOCKS" else None)
    wanted = (0, number, (5, (1 << 64) - 1), 0)
    assert number is not None and plan.named("/process/rlimits/0", "prlimit64") == [wanted]


@pytest.mark.parametrize(("umask", "wanted"), [(None, 0o022), (0, 0), (0o777, 0o777)])
def test_umask(umask: int | None, wanted: int) -> None:
    user = {"uid": 0, "gid": 0, **({} if umask is None else {"umask": umask})}
    assert planned(process(user=user)).named("/process/user/umask", "umask") == [(wanted,)]


def test_the_working_directory() -> None:
    plan = planned(process(cwd="/w/x"))
    made = plan.calls("/process/cwd", moments.WORKING_DIRECTORY)
    assert made[0][:4] == ("RESOLVE", plan.site.root, "/w/x", MAKE_DIRECTORY)
    early = plan.calls("/process/cwd", moments.EXECUTION)
    assert [call[0] for call in early] == ["chdir", "getcwd", "EXPECT", "SET"]
    late = plan.calls("/process/cwd", moments.CHDIR)
    assert [call[0] for call in late] == ["EXPECT", "chdir", "getcwd", "EXPECT"]
    for proof in (early[2], late[-1]):
        assert (proof[2], proof[4]) == (1, ord("/")), "it must lie inside the root (CVE-2024-21626)"


def test_pipes_of_stdio_go_to_the_user() -> None:
    assert planned(process()).named("/process/user", "fchown") == []
    plan = planned(process(user={"uid": 7, "gid": 8}))
    # Of a fifo, else of a regular file.
    assert plan.named("/process/user", "fchown") == [(fd, 7, -1) for fd in (0, 0, 1, 1, 2, 2)]


@pytest.mark.parametrize(
    ("uid", "privileged", "wanted"),
    [(0, True, 9), (2, True, 11), (3, True, None), (0, False, None)],
)
def test_pipes_of_stdio_in_a_user_namespace(uid: int, privileged: bool, wanted: int | None) -> None:
    """Root of the host gives them away while their owner can still be named; whose id is not mapped gets none."""
    document = process(user={"uid": uid, "gid": 0})
    maps = [{"containerID": 0, "hostID": 9, "size": 3}]
    document["linux"] |= {
        "uidMappings": maps,
        "gidMappings": maps,
        "namespaces": [{"type": "user"}],
    }
    early = planned(document, privileged=privileged).at(moments.RAISE_LIMITS)
    given = [words(op)[1:3] for step in early for op in step.ops if words(op)[0] == "fchown"]
    assert given == ([] if wanted is None else [(fd, wanted) for fd in (0, 0, 1, 1, 2, 2)])


@pytest.mark.parametrize("score", [-1000, 0, 1000])
def test_the_oom_score_is_the_hosts_business(score: int) -> None:
    plan = planned(process(oomScoreAdj=score))
    assert [step.text for step in plan.at(moments.IDENTITY)] == [f"set oom_score_adj to {score}"]
    assert not planned(process()).at(moments.IDENTITY)


def test_no_new_privileges() -> None:
    plan = planned(process(noNewPrivileges=True))
    assert plan.named("/process/noNewPrivileges", "prctl") == [(lib.PR_SET_NO_NEW_PRIVS, 1)]
    assert not planned(process(noNewPrivileges=False)).at(moments.NO_NEW_PRIVILEGES)


# Terminal


def test_no_terminal_no_pty() -> None:
    assert not planned(process()).at(moments.CONSOLE)


@pytest.mark.parametrize(("height", "width"), [(25, 80), (0, 0), (65535, 65535)])
def test_a_terminal(height: int, width: int) -> None:
    plan = planned(
        process(
            terminal=True, consoleSize={"height": height, "width": width}, user={"uid": 5, "gid": 0}
        )
    )
    opened = plan.named("/process/terminal", "openat2")[0]
    assert opened[1] == "dev/pts/ptmx" and opened[2][2] & lib.RESOLVE_NO_SYMLINKS
    assert [c[0] for c in plan.named("/process/terminal", "sendmsg")] == [plan.site.socket_fd]
    assert plan.named("/process/terminal", "fchown")[0][1:] == (5, -1)
    assert plan.named("/process/terminal", "dup3") == [("<peer>", fd, 0) for fd in (0, 1, 2)]
    window = plan.named("/process/consoleSize", "ioctl")
    size = height.to_bytes(2, "little") + width.to_bytes(2, "little") + bytes(4)
    assert window == [("<master>", lib.TIOCSWINSZ, size)]
    assert "PROCFS" in plan.moments, "the master is opened through a procfs of our own"
