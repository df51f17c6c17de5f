"""The statements of the runtime specification 1.3 that concern a Linux runtime, in 67 lines.

A line gathers what one would test together; the number is what a test declares. The words are a summary: what
counts is the text of the specification, which the doc string of a test names.
"""

from __future__ import annotations

REQUIREMENTS: dict[int, str] = {
    1: "config.json is at the root of the bundle, under that name",
    2: "the state has ociVersion, id, status and bundle, and pid when created or running",
    3: "status is one of creating, created, running, stopped; further words are for further states",
    4: "an id is unique on the host",
    5: "create does not run the user's program",
    6: "later edits of config.json do not matter",
    7: "an environment that cannot be built is an error",
    8: "prestart, createRuntime, createContainer (create); startContainer, program, poststart (start); poststop (delete)",
    9: "a failed hook before poststop is an error: the container is stopped, undone, and poststop runs",
    10: "a failed poststop hook is a warning, and the rest runs",
    11: "an error leaves the environment as if the operation had never been tried",
    12: "a warning does not change what happens",
    13: "state without an id, or with an unknown one, is an error",
    14: "create without id or bundle, or with a duplicate or invalid id, is an error and creates nothing",
    15: "create applies everything but process; process.args not before start",
    16: "a property that cannot be applied is an error, and there is no container",
    17: "start of what is not created has no effect and is an error; so is start without id or process",
    18: "kill of what is neither created nor running has no effect and is an error; else the init gets the signal",
    19: "delete of what is not stopped has no effect and is an error; it removes what create made, nothing else",
    20: "who created a container can use all operations on it",
    21: "root is required and names a directory; readonly is honoured",
    22: "mounts are made in the listed order",
    23: "a relative destination is read from /",
    24: "the table of mount options",
    25: "an unknown option is the file system's",
    26: "an option that mount(8) knows does what mount(8) does",
    27: "idmap and ridmap; mappings of a mount come in pairs",
    28: "cwd is absolute",
    29: "args has an entry",
    30: "consoleSize is ignored without a terminal",
    31: "rlimits are what getrlimit shows; an unknown type or a duplicate is an error",
    32: "a capability that cannot be granted is a warning",
    33: "oomScoreAdj is set when given and untouched else",
    34: "what process.scheduler leaves out is 0",
    35: "an empty execCPUAffinity.final leaves the affinity alone",
    36: "without umask the caller's stays",
    37: "a hook's path is absolute, its timeout above 0",
    38: "in which namespace each hook's path is looked up, and in which it runs",
    39: "prestart, createRuntime and createContainer run after the namespaces and before the pivot",
    40: "hooks of a kind run in the listed order and read the state from stdin",
    41: "poststart ends before start returns, poststop before delete does",
    42: "annotations are strings, a key is not empty, an unknown key is ignored",
    43: "unknown properties are ignored",
    44: "invalid and unsupported values are errors",
    45: "namespaces: by absolute path and of its type, new, or inherited; no type twice",
    46: "mappings do not change the owner of the root file system",
    47: "linux.devices are there; a file that is something else is an error",
    48: "the default devices, ptmx, and console with a terminal",
    49: "proc, sysfs, devpts and shm can be had",
    50: "netDevices are moved, renamed, set up with their addresses, and not moved back",
    51: "a cgroup that is unfit may be an error",
    52: "an absolute cgroupsPath counts from the mount; one value leads to one place",
    53: "when the cgroup is given to the container's user, and which files of it",
    54: "device rules apply in the listed order",
    55: "burst is not above the quota",
    56: "hugepage limits count reservations where the kernel can, else pages",
    57: "a pids limit of 0 is a limit",
    58: "checkBeforeUpdate refuses a limit below the usage",
    59: "an entry of rdma or weightDevice says at least one thing",
    60: "unified: controllers are enabled, unknown keys written, what is missing or impossible is an error",
    61: "intelRdt: nothing without it, an error without resctrl, and whose group it is",
    62: "seccomp: names, errnos that an action takes, the listener's message",
    63: "maskedPaths and readonlyPaths are the container's absolute paths",
    64: "memoryPolicy: mode, nodes and flags fit together",
    65: "only descriptors 0 to 2 are open for the program",
    66: "/dev/fd, /dev/stdin, /dev/stdout and /dev/stderr exist where their sources do",
    67: "features: versions, nothing undefined, and what is listed is recognised",
}

EXEMPT_LEAVES: dict[str, str] = {
    "process.commandLine": "Windows only (config.md, Process)",
    "process.user.username": "Windows only (config.md, User)",
}
"""Leaves of the schema that no test on Linux can be about."""

EXEMPT_REQUIREMENTS: dict[int, str] = {}
"""Lines that no runtime can be shown to break."""

WITHOUT_MUTATION: dict[int, str] = {}
"""Lines that no edit of pyruntime can be shown to break."""

LEAVES_WITHOUT_MUTATION: dict[str, str] = {}
"""Leaves of the schema that no edit of pyruntime can be shown to break."""
