"""R-06, R-07: the runtime's own program and its waiting process are out of the container's reach.

CVE-2019-5736, CVE-2016-9962.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Box
from tests.lib.bundle import Bundle

F_GET_SEALS = 1034
SEALED = 0x1 | 0x2 | 0x4 | 0x8  # SEAL, SHRINK, GROW, WRITE


def digest() -> str:
    return hashlib.sha256(Path(programs.runtime_command()[0]).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "how", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND]
)
def test_the_waiting_inits_program_cannot_be_written(bundle: Bundle, how: int) -> None:
    before = digest()
    with Box(bundle) as box:
        box.create()
        with pytest.raises(OSError) as problem:
            os.open(f"/proc/{box.pid}/exe", how)
        assert problem.value.errno in (errno.ETXTBSY, errno.EPERM, errno.EACCES, errno.EROFS)
    assert digest() == before


def test_the_waiting_inits_program_is_a_sealed_copy(bundle: Bundle) -> None:
    with Box(bundle) as box:
        box.create()
        fd = os.open(f"/proc/{box.pid}/exe", os.O_RDONLY)
        try:
            assert fcntl.fcntl(fd, F_GET_SEALS) & SEALED == SEALED
            assert os.fstat(fd).st_ino != os.stat(programs.runtime_command()[0]).st_ino
        finally:
            os.close(fd)


@pytest.mark.parametrize("program", ["/proc/self/exe", "/proc/1/exe", "/proc/thread-self/exe"])
def test_the_runtimes_program_as_the_containers(bundle: Bundle, program: str) -> None:
    """It must end with an error, and nothing of the runtime is changed or run with rights."""
    before = digest()
    with Box(bundle.args(program, "report"), patience=5) as box:
        outcome = box.run()
        assert outcome.code != 0
    assert digest() == before


def test_a_script_that_leads_to_the_runtimes_program(bundle: Bundle) -> None:
    """The original exploit: `#!/proc/self/exe`."""
    before = digest()
    with Box(bundle.file("run", "#!/proc/self/exe\n", 0o755).args("/run"), patience=5) as box:
        box.run()
    assert digest() == before


LOOK = """
read pid
for name in fd/0 fd/3 fd/4 mem maps environ cwd root exe; do
  case $name in
    cwd|root|exe|fd/*) if readlink /proc/$pid/$name >/dev/null; then echo "open $name"; fi;;
    *) if head -c 1 /proc/$pid/$name >/dev/null; then echo "open $name"; fi;;
  esac
done
echo '{"cmd":"looked"}'
"""


def test_a_sibling_cannot_look_into_the_waiting_init(bundle: Bundle, tmp_path: Path) -> None:
    """Two containers share a pid namespace; the first runs as root without CAP_SYS_PTRACE."""
    first = Bundle(tmp_path / "first")
    reader, writer = os.pipe()
    for applet in ("readlink", "head"):
        first.link(f"bin/{applet}", "busybox")
    first.shell(LOOK.strip()).capabilities("CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_KILL")
    bundle.capabilities("CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_KILL")
    with (
        os.fdopen(reader, "rb") as stdin,
        os.fdopen(writer, "wb", 0) as pipe,
        Box(first, stdin=stdin) as watcher,
    ):
        watcher.create()
        watcher.start()
        bundle.namespace("pid", f"/proc/{watcher.pid}/ns/pid")
        with Box(bundle.inside("pause")) as box:
            box.create()
            status = Path(f"/proc/{box.pid}/status").read_text()
            inner = next(line for line in status.splitlines() if line.startswith("NSpid")).split()[
                -1
            ]
            pipe.write(f"{inner}\n".encode())
            watcher.expect("looked")
        opened = [line for line in watcher.output.splitlines() if line.startswith("open ")]
        assert opened == []
