"""A hook that writes down how it was called: `python3 hook.py FILE LABEL [STATUS]` adds one JSON line to FILE.

It stands alone, because it runs as a hook on the host's side and beside the container's mounts.
"""

from __future__ import annotations

import json
import os
import sys

NAMESPACES = ("mnt", "net", "pid", "ipc", "uts")


def main() -> int:
    path, label = sys.argv[1:3]
    report = {
        "label": label,
        "argv": sys.argv,
        "stdin": json.loads(sys.stdin.read() or "null"),
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "fds": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES},
        "uid": os.getuid(),
    }
    with open(path, "a") as file:
        file.write(json.dumps(report) + "\n")
    return int(sys.argv[3]) if len(sys.argv) > 3 else 0


if __name__ == "__main__":
    sys.exit(main())
