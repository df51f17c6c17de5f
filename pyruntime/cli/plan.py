"""`plan`: prints the steps of both sides that `create` would take, and takes none."""

from __future__ import annotations

import sys

from pyruntime import errors
from pyruntime.cli.options import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call
    from pyruntime.runtime.planning import Plan

VERB = Verb(
    "prints the steps that create would take, and takes none",
    (
        ("json", "", "", "print a JSON document: container id, bundle, steps with their system calls"),
        ("diff", "", "", "print what differs between the plans of two bundles; the status is 1 if anything does"),
    ),
    "[BUNDLE] [BUNDLE]",
    0,
    2,
    "Without BUNDLE the bundle is the current directory. A caller without CAP_SYS_ADMIN sees the plan of root.",
)  # fmt: skip


def run(call: Call) -> int:
    from pyruntime.cli.main import write
    from pyruntime.lib import handover, jsondoor
    from pyruntime.runtime import planning

    compares = bool(call.options["diff"])
    if compares == (len(call.arguments) < 2) or (compares and call.options["json"]):
        raise errors.UsageError("plan takes one bundle, or two with --diff and without --json")
    if compares:
        handover.full_interpreter(sys.argv[1:])
    plans = [planning.plan(path, call.globals, call.to_log()) for path in call.arguments or ["."]]
    if call.options["json"]:
        write(jsondoor.dumps(plans[0].document(), indent="  ") + "\n")
        return 0
    if not compares:
        write("\n".join(plans[0].lines()) + "\n")
        return 0
    difference = _difference(*plans)
    write(difference)
    return int(bool(difference))


def _difference(one: Plan, other: Plan) -> str:
    import difflib

    # The bundles' own paths are no difference.
    texts = [
        [row.replace(plan.bundle, "<bundle>") for row in plan.lines()] for plan in (one, other)
    ]
    rows = difflib.unified_diff(texts[0], texts[1], one.bundle, other.bundle, lineterm="")
    return "".join([f"{row}\n" for row in rows])
