"""`checkpoint`: takes runc's options and says that it cannot yet."""

from __future__ import annotations

from pyruntime import errors
from pyruntime.cli.options import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb(
    "not supported yet: dumps a running container with CRIU",
    (
        ("image-path", "", "DIR", ""),
        ("work-path", "", "DIR", ""),
        ("parent-path", "", "DIR", ""),
        ("leave-running", "", "", ""),
        ("tcp-established", "", "", ""),
        ("tcp-skip-in-flight", "", "", ""),
        ("link-remap", "", "", ""),
        ("ext-unix-sk", "", "", ""),
        ("shell-job", "", "", ""),
        ("lazy-pages", "", "", ""),
        ("status-fd", "", "N", ""),
        ("page-server", "", "ADDRESS", ""),
        ("file-locks", "", "", ""),
        ("pre-dump", "", "", ""),
        ("manage-cgroups-mode", "", "MODE", ""),
        ("empty-ns", "", "KIND...", ""),
        ("auto-dedup", "", "", ""),
    ),
    "ID",
    1,
)


def run(call: Call) -> int:
    raise errors.UnsupportedError("checkpoint is not supported yet")
