"""bpf(2), as far as the device rules of a v2 cgroup need it. Failures raise KernelError.

Loading needs CAP_BPF or CAP_SYS_ADMIN in the initial user namespace; in any other the kernel answers EPERM.
"""

from __future__ import annotations

from pyruntime.errors import KernelError
from pyruntime.kernel.native import ffi, lib

MOST_ATTACHED = 64  # the kernel's BPF_CGROUP_MAX_PROGS
NAME_BYTES = 16


def load_devices(program: bytes, name: str) -> int:
    """A descriptor of a loaded BPF_PROG_TYPE_CGROUP_DEVICE program."""
    count = len(program) // 8
    return _checked(lib.pr_bpf_load_devices(program, count, name.encode()), "BPF_PROG_LOAD")


def attach_devices(cgroup_fd: int, program_fd: int, replaced: int = -1) -> None:
    """The program decides, with all others attached; in the place of the program `replaced` where one is given."""
    _checked(lib.pr_bpf_attach_devices(cgroup_fd, program_fd, replaced), "BPF_PROG_ATTACH")


def detach_devices(cgroup_fd: int, program_fd: int) -> None:
    _checked(lib.pr_bpf_detach_devices(cgroup_fd, program_fd), "BPF_PROG_DETACH")


def attached_devices(cgroup_fd: int) -> list[int]:
    """The ids of the programs attached to the group itself."""
    ids = ffi.new("uint32_t[]", MOST_ATTACHED)
    count = _checked(lib.pr_bpf_attached_devices(cgroup_fd, ids, MOST_ATTACHED), "BPF_PROG_QUERY")
    return list(ids[0:count])


def open_program(number: int) -> tuple[int, str]:
    """(descriptor, name) of a loaded program by its id."""
    name = ffi.new("char[]", NAME_BYTES)
    fd = _checked(lib.pr_bpf_program(number, name), "BPF_PROG_GET_FD_BY_ID")
    return fd, ffi.string(name, NAME_BYTES).decode("ascii", "replace")


def _checked(value: int, call: str) -> int:
    if value < 0:
        raise KernelError(-value, f"bpf({call})")
    return value
