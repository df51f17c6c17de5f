"""linux.personality (config-linux.md): the execution domain, which uname(2) shows to the program.

No flag value is supported, says the specification, and what is not supported is an error (config.md, Valid values): a
flag that weakens the container should not look as if it were set. runc passes them over with a warning.
"""

from __future__ import annotations

from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Step, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ("linux.personality",)

DOMAINS = {"LINUX": lib.PER_LINUX, "LINUX32": lib.PER_LINUX32}


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    if spec["linux"]["personality"].get("flags"):
        yield "/linux/personality/flags", "the specification supports no flag"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    domain = spec["linux"]["personality"]["domain"]
    yield Step(
        moments.EXECUTION,
        "/linux/personality",
        f"set the personality {domain}",
        [sys(lib.NR_personality, DOMAINS[domain])],
    )
