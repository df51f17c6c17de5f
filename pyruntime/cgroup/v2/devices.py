"""The device rules on v2: a BPF program the kernel asks at each open and mknod (BPF_CGROUP_DEVICE).

The rules are tried from the last to the first, each access letter of a request is decided by the last rule
that covers it, and what none covers is denied: *in order*, as config-linux.md has it, wildcards with holes
included, which the v1 controller cannot do. The standard nodes come last, as on v1.
"""

from __future__ import annotations

import _struct

from pyruntime.cgroup.v1.devices import ANY, STANDARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Rule = tuple[bool, int, int, int, int]

# enum bpf_device type and access of linux/bpf.h: the type is the low half of the first word.
TYPES = {"a": 0, "b": 1, "c": 2, "u": 2}
ACCESS = {"m": 1, "r": 2, "w": 4}
EVERY_ACCESS = 7
# struct bpf_cgroup_dev_ctx { u32 access_type, major, minor }
TYPE_REGISTER, ACCESS_REGISTER, MAJOR_REGISTER, MINOR_REGISTER, SCRATCH = 2, 3, 4, 5, 6
LOAD_WORD, MOVE32, MOVE32_IMMEDIATE, AND32, RIGHT32 = 0x61, 0xBC, 0xB4, 0x54, 0x74
JUMP_NOT_EQUAL32, JUMP_EQUAL, EXIT = 0x56, 0x15, 0x95


def program(resources: Mapping[str, Any]) -> bytes:
    """The instructions (struct bpf_insn each) for BPF_PROG_TYPE_CGROUP_DEVICE."""
    out = [
        _instruction(LOAD_WORD, TYPE_REGISTER, 1, 0, 0),
        _instruction(MOVE32, ACCESS_REGISTER, TYPE_REGISTER, 0, 0),
        _instruction(RIGHT32, ACCESS_REGISTER, 0, 0, 16),
        _instruction(AND32, TYPE_REGISTER, 0, 0, 0xFFFF),
        _instruction(LOAD_WORD, MAJOR_REGISTER, 1, 4, 0),
        _instruction(LOAD_WORD, MINOR_REGISTER, 1, 8, 0),
    ]
    for rule in reversed(rules(resources)):
        out += _block(*rule)
        if rule[1:] == (0, ANY, ANY, EVERY_ACCESS):
            break  # what stands before a rule for everything never matters
    return b"".join([*out, *_return(0)])


def rules(resources: Mapping[str, Any]) -> list[Rule]:
    """(allow, type, major, minor, access), the config's and then the standard nodes."""
    found = []
    for row in resources.get("devices") or ():
        kind = TYPES[row.get("type", "a")]
        numbers = [
            ANY if not kind or row.get(key) is None else row[key] for key in ("major", "minor")
        ]
        found.append((row["allow"], kind, *numbers, _bits(row.get("access", ""))))
    found += [
        (True, TYPES[kind], major, minor, _bits(access)) for kind, major, minor, access in STANDARD
    ]
    return found


def _block(allow: bool, kind: int, major: int, minor: int, access: int) -> list[bytes]:
    """One rule: tests that jump to its end where it does not speak of the request, then its say."""
    tests = [
        (register, value)
        for register, value in (
            (TYPE_REGISTER, kind or ANY),
            (MAJOR_REGISTER, major),
            (MINOR_REGISTER, minor),
        )
        if value != ANY
    ]
    if allow:
        # What this rule allows is decided; when nothing is left to decide, the request is allowed.
        say = [
            _instruction(AND32, ACCESS_REGISTER, 0, 0, EVERY_ACCESS & ~access),
            _instruction(JUMP_NOT_EQUAL32, ACCESS_REGISTER, 0, 2, 0),
            *_return(1),
        ]
    else:
        say = [
            _instruction(MOVE32, SCRATCH, ACCESS_REGISTER, 0, 0),
            _instruction(AND32, SCRATCH, 0, 0, access),
            _instruction(JUMP_EQUAL, SCRATCH, 0, 2, 0),
            *_return(0),
        ]
    length = len(tests) + len(say)
    jumps = [
        _instruction(JUMP_NOT_EQUAL32, register, 0, length - place - 1, value)
        for place, (register, value) in enumerate(tests)
    ]
    return jumps + say


def _return(value: int) -> list[bytes]:
    return [_instruction(MOVE32_IMMEDIATE, 0, 0, 0, value), _instruction(EXIT, 0, 0, 0, 0)]


def _instruction(code: int, target: int, source: int, offset: int, value: int) -> bytes:
    return _struct.pack("=BBhI", code, target | source << 4, offset, value & 0xFFFFFFFF)


def _bits(access: str) -> int:
    bits = 0
    for letter in access:
        bits |= ACCESS.get(letter, 0)  # some configs say `rwa`; runc passes over the a
    return bits
