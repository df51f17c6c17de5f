"""`features`: what this runtime can do (features.md), as JSON and not a byte more: CRI-O reads both streams as one."""

from __future__ import annotations

from pyruntime.cli.main import write
from pyruntime.cli.options import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

VERB = Verb("prints what this runtime supports, as JSON")


def run(call: Call) -> int:
    from pyruntime import features
    from pyruntime.lib import jsondoor

    write(jsondoor.dumps(features.report(), indent=4) + "\n")
    return 0
