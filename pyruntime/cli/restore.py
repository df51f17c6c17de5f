"""`restore`: takes runc's options and says that it cannot yet."""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cli.options import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb(
    "not supported yet: brings a dumped container back with CRIU",
    (
        ("console-socket", "", "PATH", ""),
        ("image-path", "", "DIR", ""),
        ("work-path", "", "DIR", ""),
        ("tcp-established", "", "", ""),
        ("ext-unix-sk", "", "", ""),
        ("shell-job", "", "", ""),
        ("file-locks", "", "", ""),
        ("manage-cgroups-mode", "", "MODE", ""),
        ("bundle", "b", "DIR", ""),
        ("detach", "d", "", ""),
        ("pid-file", "", "FILE", ""),
        ("no-subreaper", "", "", ""),
        ("no-pivot", "", "", ""),
        ("empty-ns", "", "KIND...", ""),
        ("auto-dedup", "", "", ""),
        ("lazy-pages", "", "", ""),
        ("lsm-profile", "", "PROFILE", ""),
        ("lsm-mount-context", "", "CONTEXT", ""),
    ),
    "ID",
    1,
)


def run(call: Call) -> int:
    raise errors.UnsupportedError("restore is not supported yet")
