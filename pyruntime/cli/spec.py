"""`spec`: writes a config.json to begin with."""

from __future__ import annotations

import posix

from pyruntime import errors
from pyruntime.cli.options import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb(
    "writes an example config.json",
    (
        ("bundle", "b", "DIR", "where (default: the current directory)"),
        ("rootless", "", "", "one that an ordinary user can run"),
    ),
)
NAME = "config.json"


def run(call: Call) -> int:
    from pyruntime.lib import files, jsondoor
    from pyruntime.lib.fds import Fd
    from pyruntime.spec.example import example

    bundle = call.options["bundle"] or "."
    document = example(
        call.options["rootless"],
        has_unified_cgroups=_has_unified_cgroups(),
        uid=posix.geteuid(),
        gid=posix.getegid(),
    )
    data = jsondoor.dumps(document, indent="\t").encode()
    try:
        with Fd(
            posix.open(bundle, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        ) as directory:
            files.write_new(directory.number, NAME, data, 0o666 & ~_umask())
    except FileExistsError:
        raise errors.BundleError(f"File {NAME} exists. Remove it first") from None
    except OSError as error:
        raise errors.BundleError(
            f"write `{bundle}/{NAME}`: {errors.strerror(error.errno or 0)}"
        ) from error
    return 0


def _umask() -> int:
    umask = posix.umask(0)
    posix.umask(umask)
    return umask


def _has_unified_cgroups() -> bool:
    """Then the container gets a cgroup namespace, as from runc."""
    return posix.access("/sys/fs/cgroup/cgroup.controllers", posix.F_OK)
