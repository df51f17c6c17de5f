"""The guest's end of the wire: unpacks what it is sent, runs one command, sends its output and its status.

Runs as a service of the guest and imports nothing of the project. A message on the virtio port is a letter, the
length of its body in four bytes, the body. In: `T` a piece of a tar archive (an empty one ends it), `C` the
command as JSON. Out: `H` here I am, `O` output, `E` the end, with the exit status as JSON.
"""

import json
import os
import pwd
import select
import subprocess
import time
from pathlib import Path
from typing import Any

PORT = "/dev/virtio-ports/pyruntime"
UNIT = "tested"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Wire:
    def __init__(self) -> None:
        self.fd = os.open(PORT, os.O_RDWR)

    def send(self, letter: bytes, body: bytes = b"") -> None:
        rest = memoryview(letter + len(body).to_bytes(4, "big") + body)
        while rest:
            rest = rest[os.write(self.fd, rest) :]

    def read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = os.read(self.fd, size - len(found))
            if not piece:  # nobody holds the other end yet
                time.sleep(0.01)
            found += piece
        return bytes(found)

    def receive(self) -> tuple[bytes, bytes]:
        letter = self.read(1)
        return letter, self.read(int.from_bytes(self.read(4), "big"))


def unpack(wire: Wire, body: bytes) -> None:
    """The pieces go to tar as they come; names are absolute, the project stands where it stands on the host."""
    with subprocess.Popen(
        ["tar", "-C", "/", "-xf", "-", "--no-same-owner"], stdin=subprocess.PIPE
    ) as tar:
        assert tar.stdin is not None
        while body:
            tar.stdin.write(body)
            letter, body = wire.receive()
            assert letter == b"T", letter
        tar.stdin.close()
        assert tar.wait() == 0, "the tree did not unpack"


def give(tree: str, user: str) -> None:
    """The tree belongs to whoever tests it, and the directories above let everybody pass."""
    subprocess.run(["chown", "-R", f"{user}:", tree], check=True)
    for parent in Path(tree).parents:
        parent.chmod(parent.stat().st_mode & 0o7777 | 0o055)


def service(request: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """(the words that run the command as a transient service, how to start them).

    Root's service is the system manager's. An ordinary user's belongs to the manager of their own session,
    which is the only one that delegates cgroups to them. Both own their cgroup and what they make below it.
    """
    person = pwd.getpwnam(request["user"])
    environment = {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "HOME": person.pw_dir,
        "USER": person.pw_name,
        "LOGNAME": person.pw_name,
    }
    how: dict[str, Any] = {}
    if person.pw_uid:
        runtime = f"/run/user/{person.pw_uid}"
        environment["XDG_RUNTIME_DIR"] = runtime
        environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime}/bus"
        how = {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}
    environment |= request["environment"]
    words = ["systemd-run", "--user" if person.pw_uid else "--system", f"--unit={UNIT}"]
    words += ["--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
    words += [f"--working-directory={request['directory']}"]
    for setting in ("Delegate=yes", "OOMPolicy=continue", "TasksMax=infinity"):
        words.append(f"--property={setting}")
    words += [f"--setenv={name}={value}" for name, value in environment.items()]
    # systemd would put in what $NAME stands for
    words += ["--", *(word.replace("$", "$$") for word in request["words"])]
    return words, {**how, "env": environment}


def run(wire: Wire, request: dict[str, Any]) -> None:
    time.clock_settime(time.CLOCK_REALTIME, request["time"])
    if request["tree"]:
        give(request["tree"], request["user"])
    words, how = service(request)
    reader, writer = os.pipe()
    os.fchmod(writer, 0o666)  # a command may open /dev/stdout
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, cwd="/", **how
    )
    os.close(writer)
    ended = os.pidfd_open(process.pid)
    # What outlives the command may hold the pipe: its end is no condition, but all that is in it is sent.
    while True:
        ready, _, _ = select.select([reader, ended], [], [])
        if reader not in ready:
            break
        output = os.read(reader, 1 << 15)
        if not output:
            break
        wire.send(b"O", output)
    wire.send(b"E", json.dumps(process.wait()).encode())
    os.close(reader)
    os.close(ended)


def main() -> None:
    wire = Wire()
    wire.send(b"H")
    while True:
        letter, body = wire.receive()
        if letter == b"T":
            unpack(wire, body)
        else:
            run(wire, json.loads(body))


if __name__ == "__main__":
    main()
