"""The one master table of the order in which a container is made.

A row per moment: its name, the side that acts (``host``: Python; ``init``: the tape; ``both``: the init waits while
the host acts, where a step has something for it), and why it stands where it stands. A step names its moment; within a moment steps keep the order in which the features gave them (mounts: that
of config.json). Moving a line here is how an order bug is mended. Sources: runtime-spec runtime.md (lifecycle),
config.md (hooks), and the CVEs named.
"""

from __future__ import annotations

TABLE = (
    (
        "CGROUP",
        "host",
        "directories, device rules and limits stand before anything runs in them, hooks included",
    ),
    (
        "SOURCES",
        "host",
        "the root and bind sources become descriptors once, before a name can be swapped",
    ),
    (
        "SPAWN",
        "host",
        "one clone with all new namespaces; the init's first call makes it non-dumpable",
    ),
    (
        "IDENTITY",
        "host",
        "oom_score_adj by pid, while the init works; after CLONE where there is one",
    ),
    (
        "BIRTH",
        "init",
        "parent-death signal first: a runtime that dies takes a half-made init with it",
    ),
    (
        "JOIN_CGROUP",
        "both",
        "a scope of systemd takes in a process that exists, and first of all; otherwise writing 0 to `tasks` needs no grace period; before the cgroup namespace, so that it reads /",
    ),
    (
        "RAISE_LIMITS",
        "init",
        "a user namespace takes the rights to raise hard limits and to give pipes away; only soft limits could break the tape",
    ),
    (
        "JOIN",
        "init",
        "non-dumpable long since (CVE-2016-9962); with the rights of the runtime, which a user namespace ends",
    ),
    (
        "USER_NAMESPACE",
        "both",
        "owns all namespaces made after it; the host writes its maps meanwhile",
    ),
    (
        "TIME_NAMESPACE",
        "both",
        "its offsets are written while an ordinary user may still open our files in /proc, and before a process is in it",
    ),
    (
        "NAMESPACE_ROOT",
        "init",
        "the window for the maps closes; from here on files are made as the root of the user namespace",
    ),
    ("JOIN_LATE", "init", "namespaces that belong to the user namespace: before it we may not"),
    ("NEW_NAMESPACES", "init", "what a clone made in the other spawn shape"),
    (
        "CGROUP_NAMESPACE",
        "init",
        "after the joins: /proc/self/cgroup must read / on v1, hybrid and v2",
    ),
    (
        "CLONE",
        "init",
        "only a child is in a new or joined pid namespace and in a new time namespace",
    ),
    (
        "NET_DEVICES",
        "both",
        "the host moves them in while the init waits, with nothing of the image run; before the hooks",
    ),
    (
        "PROCFS",
        "init",
        "our own detached procfs: nobody can mount over it (CVE-2025-52881, CVE-2019-19921)",
    ),
    (
        "SESSION",
        "init",
        "own session and keyring before anything of the image is touched; the keyring's label goes by procfs",
    ),
    ("LOOPBACK", "init", "hooks may already need the network"),
    ("PROPAGATION", "init", "before the first mount, or mounts would reach the host"),
    (
        "OWN_SOURCES",
        "init",
        "sources of binds the host had no right to clone: all before the first mount, which could cover them",
    ),
    ("ROOT", "init", "the root becomes a mount of its own, at its path, where hooks look for it"),
    ("MOUNT", "init", "in the order of config.json (config.md, mounts)"),
    ("DEVICES", "init", "into /dev as mounted; through one descriptor (CVE-2026-41579)"),
    ("DEV_LINKS", "init", "after the mounts: links only where /dev is ours"),
    (
        "HOOKS_RUNTIME",
        "both",
        "prestart, createRuntime: namespaces and mounts are there, the root not yet switched",
    ),
    (
        "HOOKS_CONTAINER",
        "init",
        "createContainer: in the container's namespaces, before pivot_root",
    ),
    ("WORKING_DIRECTORY", "init", "made before the root turns read-only"),
    ("CONSOLE", "init", "from the container's own devpts, by descriptor (CVE-2025-52565)"),
    ("PROC_FACTS", "init", "what must be known of ourselves, while there is a procfs to ask"),
    ("SYSCTL", "init", "through our procfs, before anything becomes read-only"),
    (
        "CHECK",
        "init",
        "all mounts stand; a directory renamed away would have taken its mount along",
    ),
    (
        "READONLY_PATHS",
        "init",
        "after the hooks, which may add mounts; clones need their source in our namespace",
    ),
    (
        "MASKS",
        "init",
        "after the read-only paths; sources proved before the pivot (CVE-2025-31133)",
    ),
    (
        "LATE_READONLY",
        "init",
        "tmpfs, /dev and the root had to be writable until now (CVE-2026-115521: by descriptor)",
    ),
    ("PIVOT", "init", "from here on nothing of the host's tree can be named (CVE-2024-21626)"),
    ("ROOT_PROPAGATION", "init", "the container's own choice for /, after the old root is gone"),
    ("HOST_NAMES", "init", "hostname, domainname"),
    ("HOME", "init", "the image's passwd, only now that paths end at the new root"),
    (
        "LABEL",
        "init",
        "the last use of procfs, by who opens it: waits for execve, and a clone inherits it; no_new_privs is judged at execve",
    ),
    (
        "SWEEP",
        "init",
        "every host descriptor is closed before cwd and program are looked up (CVE-2024-21626)",
    ),
    (
        "LATE_CLONE",
        "init",
        "exec: among the container's processes appears only what holds nothing of the host (CVE-2016-9962)",
    ),
    ("LATE_SESSION", "init", "exec: a session and its terminal belong to the process that stays"),
    ("EXECUTION", "init", "personality, affinity, memory policy, umask, stdio ownership"),
    (
        "SCHEDULER",
        "both",
        "after the last clone, which a deadline forbids, with every CPU back; by the host where a user namespace took the right",
    ),
    (
        "LIMITS",
        "init",
        "rlimits last of what needs descriptors: a small NOFILE must not break the tape",
    ),
    ("NO_NEW_PRIVILEGES", "init", "before the filter, which needs it or CAP_SYS_ADMIN"),
    (
        "CREDENTIALS",
        "init",
        "bounding, keepcaps, groups, gid, uid, capabilities, ambient (CVE-2014-8989)",
    ),
    (
        "PARENT_DEATH",
        "init",
        "the kernel cleared the signal when the user changed; set again until created",
    ),
    (
        "CHDIR",
        "init",
        "as the user, where root could not; getcwd must begin with / (CVE-2024-21626)",
    ),
    ("LOOKUP", "init", "engines expect a missing program to fail create"),
    (
        "INDEPENDENCE",
        "init",
        "no death signal any more: until created is recorded, the end of the socket still ends us",
    ),
    (
        "SECCOMP",
        "both",
        "after it only read, write, close, execve and perhaps capset of ours; the host takes a listener",
    ),
    (
        "LAST_CAPABILITIES",
        "init",
        "without no_new_privs: CAP_SYS_ADMIN, held until now to load the filter, goes",
    ),
    ("RELEASE", "init", "the parent may leave once created is recorded, and not before"),
    ("READY", "host", "created is recorded before the init is let go"),
    ("WAIT", "init", "for start"),
    ("HOOKS_START", "init", "startContainer: in the container, right before the program"),
    ("EXEC", "init", "the program"),
)

NAMES = tuple(row[0] for row in TABLE)
SIDES = tuple(row[1] for row in TABLE)

(CGROUP, SOURCES, SPAWN, IDENTITY, BIRTH, JOIN_CGROUP, RAISE_LIMITS, JOIN, USER_NAMESPACE, TIME_NAMESPACE,
 NAMESPACE_ROOT, JOIN_LATE, NEW_NAMESPACES, CGROUP_NAMESPACE, CLONE, NET_DEVICES, PROCFS, SESSION, LOOPBACK, PROPAGATION,
 OWN_SOURCES, ROOT, MOUNT, DEVICES, DEV_LINKS, HOOKS_RUNTIME, HOOKS_CONTAINER, WORKING_DIRECTORY, CONSOLE, PROC_FACTS, SYSCTL, CHECK,
 READONLY_PATHS, MASKS, LATE_READONLY, PIVOT, ROOT_PROPAGATION, HOST_NAMES, HOME, LABEL, SWEEP, LATE_CLONE, LATE_SESSION, EXECUTION, SCHEDULER, LIMITS,
 NO_NEW_PRIVILEGES, CREDENTIALS, PARENT_DEATH, CHDIR, LOOKUP, INDEPENDENCE, SECCOMP, LAST_CAPABILITIES, RELEASE, READY, WAIT,
 HOOKS_START, EXEC) = range(len(TABLE))  # fmt: skip
