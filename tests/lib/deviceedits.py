"""A hook that changes which devices a container may use, as hooks of vendors do: `python3 deviceedits.py HOW`.

    allow     v1: one line more in devices.allow
    deny      v1: one line in devices.deny
    replace   v2: each program of the group goes, and one comes that lets the device through and asks the old
              instructions for everything else (NVIDIA's way)
    attach    v2: one program more, which refuses a device

It stands alone, for it runs as a hook. The device that is let in is /dev/kmsg (c 1:11), refused is /dev/zero (c 1:5).
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys

BPF = 321  # bpf(2) of x86-64
PROG_LOAD, PROG_ATTACH, PROG_DETACH, PROG_FD_BY_ID, INFO_BY_FD, PROG_QUERY = 5, 8, 9, 13, 15, 16
CGROUP_DEVICE, ATTACH_TYPE, ALLOW_MULTI = 15, 6, 2
ROOM = 1 << 16

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """What it returned, and the attributes as they are afterwards."""
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    value = libc.syscall(BPF, command, buffer, 128)
    if value < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command})")
    return value, buffer.raw


def group_of(pid: int) -> dict[str, str]:
    """Directory by controller; "" is the unified one."""
    with open(f"/proc/{pid}/cgroup") as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    paths = {name: path for _, names, path in rows for name in names.split(",")}
    found = {}
    with open("/proc/self/mountinfo") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            kind, _, options = right.split(" ", 2)
            names = [""] if kind == "cgroup2" else options.strip().split(",") * (kind == "cgroup")
            found.update({name: left.split()[4] + paths[name] for name in names if name in paths})
    return found


def block(minor: int, verdict: int) -> bytes:
    """Decides about c 1:MINOR; with any other request it goes on behind itself. The context stays in r1."""
    rows = [
        (0x61, 2, 1, 0, 0),  # r2 = access_type
        (0x54, 2, 0, 0, 0xFFFF),
        (0x61, 3, 1, 4, 0),  # r3 = major
        (0x61, 4, 1, 8, 0),  # r4 = minor
        (0x55, 2, 0, 4, 2),  # a character device
        (0x55, 3, 0, 3, 1),
        (0x55, 4, 0, 2, minor),
        (0xB7, 0, 0, 0, verdict),
        (0x95, 0, 0, 0, 0),
    ]
    return b"".join(
        struct.pack("=BBhi", code, to | source << 4, jump, value)
        for code, to, source, jump, value in rows
    )


YES = struct.pack("=BBhi", 0xB7, 0, 0, 1) + struct.pack("=BBhi", 0x95, 0, 0, 0)


def load(instructions: bytes) -> int:
    text = ctypes.create_string_buffer(instructions, len(instructions))
    license_ = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "=IIQQ", CGROUP_DEVICE, len(instructions) // 8, ctypes.addressof(text), ctypes.addressof(license_)
    )  # fmt: skip
    return bpf(PROG_LOAD, attributes)[0]


def attached(group: int) -> list[int]:
    ids = (ctypes.c_uint32 * 64)()
    attributes = struct.pack("=IIIIQI", group, ATTACH_TYPE, 0, 0, ctypes.addressof(ids), 64)
    count = struct.unpack_from("=I", bpf(PROG_QUERY, attributes)[1], 24)[0]
    return [bpf(PROG_FD_BY_ID, struct.pack("=I", number))[0] for number in ids[:count]]


def instructions_of(program: int) -> bytes:
    """As the kernel gives them back: struct bpf_prog_info, xlated_prog_insns."""
    text = ctypes.create_string_buffer(ROOM)
    info = ctypes.create_string_buffer(232)
    struct.pack_into("=I", info, 20, ROOM)
    struct.pack_into("=Q", info, 32, ctypes.addressof(text))
    bpf(INFO_BY_FD, struct.pack("=IIQ", program, 232, ctypes.addressof(info)))
    return text.raw[: struct.unpack_from("=I", info, 20)[0]]


def attach(group: int, program: int) -> None:
    bpf(PROG_ATTACH, struct.pack("=IIII", group, program, ATTACH_TYPE, ALLOW_MULTI))


def edit(how: str, groups: dict[str, str]) -> None:
    if how in ("allow", "deny"):
        with open(f"{groups['devices']}/devices.{how}", "w") as file:
            file.write("c 1:11 rwm" if how == "allow" else "c 1:5 rwm")
        return
    group = os.open(groups[""], os.O_RDONLY | os.O_DIRECTORY)
    if how == "attach":
        attach(group, load(block(5, 0) + YES))
        return
    old = attached(group)
    new = [load(block(11, 1) + instructions_of(program)) for program in old]
    for program in old:
        bpf(PROG_DETACH, struct.pack("=III", group, program, ATTACH_TYPE))
    for program in new:
        attach(group, program)


if __name__ == "__main__":
    edit(sys.argv[1], group_of(json.load(sys.stdin)["pid"]))
