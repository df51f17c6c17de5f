"""process.user, process.capabilities, process.noNewPrivileges (config.md, User, Linux process).

The order is the point: bounding set, keepcaps, groups, gid, uid, the three sets, ambient (CVE-2014-8989). Five sets
are exactly the config's, absent ones empty (CVE-2022-24769); no capabilities at all means none, also for uid 0.
Names that are unknown or cannot be granted are dropped with a warning, as the spec asks and runc does; so is what the
kernel grants in one set only together with another.
"""

from __future__ import annotations

from errno import EPERM

from pyruntime.features.idioms import open_beneath
from pyruntime.features.program import needs_admin
from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Buffer, Pointers, Reg, Step, assign, attempt, expect, sys, when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config, Process, ProcessUser

PROPERTIES = ("process.user", "process.capabilities", "process.noNewPrivileges")

NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
NUMBERS = {"CAP_" + name: number for number, name in enumerate(NAMES)}
SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
# capabilities(7), capset(2): what is in the first set must be in the others too.
WITHIN = (
    ("effective", ("permitted",)),
    ("inheritable", ("bounding",)),
    ("ambient", ("permitted", "inheritable")),
)
VERSION_3 = 0x20080522
LAST_ID = 2147483647  # runc's range; 4294967295 would mean "leave it" and keep root
FOR_A_FILTER = 1 << 21 | 1 << 8
"""CAP_SYS_ADMIN loads it; CAP_SETPCAP then keeps inheritable capabilities that are not permitted ones."""
KEEP_GROUPS = "run.oci.keep_original_groups"
"""crun's annotation, which Podman sets for --group-add keep-groups: files shared with a group of the user's stay in reach."""
NO_LINKS_OUT = lib.RESOLVE_BENEATH | lib.RESOLVE_NO_XDEV | lib.RESOLVE_NO_MAGICLINKS


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    user: Any = spec.get("process", {}).get("user", {})
    for name in ("uid", "gid"):
        if user.get(name, 0) > LAST_ID:
            yield f"/process/user/{name}", f"{name} above {LAST_ID}"
    for index, group in enumerate(user.get("additionalGids") or ()):
        if group > LAST_ID:
            yield f"/process/user/additionalGids/{index}", f"gid above {LAST_ID}"


def masks(process: Process, site: Site) -> dict[str, int]:
    """The five sets as bit masks, without what cannot be granted here."""
    wanted: Any = process.get("capabilities", {})
    available = -1 if site.has("user") else site.capabilities  # a user namespace grants all
    result, refused = {}, set()
    for name in SETS:
        mask = 0
        for capability in wanted.get(name) or ():
            number = NUMBERS.get(capability)
            if number is None or number > site.last_capability or not available >> number & 1:
                refused.add(capability)
            else:
                mask |= 1 << number
        result[name] = mask
    if refused:
        site.warnings.append(
            f"ignoring unknown or unavailable capabilities: {' '.join(sorted(refused))}"
        )
    for name, others in WITHIN:
        lost = result[name]
        for other in others:
            result[name] &= result[other]
        lost &= ~result[name]
        names = ["CAP_" + NAMES[bit] for bit in range(len(NAMES)) if lost >> bit & 1]
        why = " and ".join(others)
        if name == "ambient":  # runc's words, one line each
            site.warnings += [f"can't raise ambient capability {one}: not {why}" for one in names]
        elif names:
            site.warnings.append(
                f"ignoring {name} capabilities that are not {why}: {' '.join(names)}"
            )
    return result


def plan(spec: Config, site: Site) -> Iterator[Step]:
    process = spec.get("process")
    if not process:
        return
    sets = masks(process, site)
    user = process.get("user", {})
    denied = None
    if not user.get("additionalGids") and (site.has("user") or site.in_user_namespace):
        denied = Reg("setgroups")
        yield Step(
            moments.PROC_FACTS, "/process/user", "read self/setgroups", _is_denied(denied, site)
        )
    if process.get("noNewPrivileges"):
        yield Step(
            moments.NO_NEW_PRIVILEGES,
            "/process/noNewPrivileges",
            "set no_new_privs",
            [sys(lib.NR_prctl, lib.PR_SET_NO_NEW_PRIVS, 1)],
        )
    drop = [
        sys(lib.NR_prctl, lib.PR_CAPBSET_DROP, number)
        for number in range(site.last_capability + 1)
        if not sets["bounding"] >> number & 1
    ]
    yield Step(
        moments.CREDENTIALS, "/process/capabilities/bounding", "limit the bounding set", drop
    )
    keeps_groups = spec.get("annotations", {}).get(KEEP_GROUPS) == "1"
    yield from _become(user, denied, keeps_groups=keeps_groups)
    pointer, kept = "/process/capabilities", 0
    if needs_admin(spec):
        kept = FOR_A_FILTER & (-1 if site.has("user") else site.capabilities)
        last = [_set_three(sets)]
        yield Step(moments.LAST_CAPABILITIES, pointer, "drop what the filter needed", last)
    yield Step(moments.CREDENTIALS, pointer, "set capabilities", _capabilities(sets, kept))


def _is_denied(out: Reg, site: Site) -> list[Any]:
    """1 where the kernel takes no groups at all from us, which alone excuses a refusal (security: R-16)."""
    fd, word = Reg("fd"), Buffer(16)
    return [
        open_beneath(site.procfs, "self/setgroups", lib.O_RDONLY, NO_LINKS_OUT, fd),
        sys(lib.NR_read, fd, word, 8),
        sys(lib.NR_close, fd),
        *when(expect(word, int.from_bytes(b"deny", "little"), 4), [assign(out, 1)]),
    ]


def _set_groups(groups: list[int], denied: Reg | None) -> list[Any]:
    listed = b"".join([group.to_bytes(4, "little") for group in groups])
    if denied is None:
        return [sys(lib.NR_setgroups, len(groups), listed if groups else 0)]
    none = sys(lib.NR_setgroups, 0, 0, ok=(EPERM,))
    return attempt([none], instead=[expect(denied, 1, errno=EPERM)])


def _become(user: ProcessUser, denied: Reg | None, *, keeps_groups: bool) -> Iterator[Step]:
    """What is set is read back; an id that a user namespace does not map is the kernel's EINVAL."""
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    groups = user.get("additionalGids") or []
    keep = sys(lib.NR_prctl, lib.PR_SET_KEEPCAPS, 1)
    if keeps_groups:
        text, change = "keep the caller's groups", []
    else:
        text = f"set groups {' '.join(map(str, groups))}" if groups else "set no groups"
        change = _set_groups(groups, denied)
    pointer = "/process/user/additionalGids"
    yield Step(moments.CREDENTIALS, pointer, text, [keep, *change])
    yield Step(
        moments.CREDENTIALS,
        "/process/user/gid",
        f"become group {gid}",
        _change(lib.NR_setresgid, lib.NR_getresgid, gid),
    )
    yield Step(
        moments.CREDENTIALS,
        "/process/user/uid",
        f"become user {uid}",
        [
            *_change(lib.NR_setresuid, lib.NR_getresuid, uid),
            sys(lib.NR_prctl, lib.PR_SET_KEEPCAPS),
            # With new ids a process is as dumpable as fs.suid_dumpable says (CVE-2016-9962).
            sys(lib.NR_prctl, lib.PR_SET_DUMPABLE),
        ],
    )


def _change(change: int, read_back: int, number: int) -> list[Any]:
    found = [Buffer(4) for _ in range(3)]
    proofs = [expect(buffer, number, 4, errno=EPERM) for buffer in found]
    return [sys(change, number, number, number), sys(read_back, *found), *proofs]


def _set_three(sets: dict[str, int], more: int = 0) -> Any:
    """capset(2) with struct __user_cap_data_struct[2]: effective, permitted, inheritable, low halves then high halves.
    `more` are held beyond what the config says."""
    three = [sets["effective"] | more, sets["permitted"] | more, sets["inheritable"]]
    data = b"".join(
        [(mask & 0xFFFFFFFF).to_bytes(4, "little") for mask in three]
        + [(mask >> 32).to_bytes(4, "little") for mask in three]
    )
    return sys(lib.NR_capset, Pointers((VERSION_3,)), data)


def _capabilities(sets: dict[str, int], kept: int) -> list[Any]:
    raise_ambient = [
        sys(lib.NR_prctl, lib.PR_CAP_AMBIENT, lib.PR_CAP_AMBIENT_RAISE, number)
        for number in range(64)
        if sets["ambient"] >> number & 1
    ]
    return [
        sys(lib.NR_prctl, lib.PR_CAP_AMBIENT, lib.PR_CAP_AMBIENT_CLEAR_ALL),
        _set_three(sets, kept),
        *raise_ambient,
    ]


def report() -> dict[str, Any]:
    return {"linux": {"capabilities": ["CAP_" + name for name in NAMES]}}
