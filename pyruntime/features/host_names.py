"""hostname, domainname (config.md): only with a uts namespace of the container's own."""

from __future__ import annotations

from pyruntime.kernel.native import lib
from pyruntime.plan import moments
from pyruntime.plan.step import Step, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config

PROPERTIES = ("hostname", "domainname")

NAME_LIMIT = 64  # bytes; __NEW_UTS_LEN


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    uts = any(entry["type"] == "uts" for entry in spec.get("linux", {}).get("namespaces") or ())
    for name in PROPERTIES:
        value: Any = spec.get(name)
        if value and not uts:
            yield f"/{name}", f"unable to set {name} without a private UTS namespace"
        elif value and (
            len(value.encode("utf-8", "surrogateescape")) > NAME_LIMIT or "\0" in value
        ):
            yield f"/{name}", f"longer than the kernel's {NAME_LIMIT} bytes"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    for name, call in (("hostname", lib.NR_sethostname), ("domainname", lib.NR_setdomainname)):
        value: Any = spec.get(name)
        if value:
            data = value.encode("utf-8", "surrogateescape")
            yield Step(
                moments.HOST_NAMES,
                f"/{name}",
                f"set {name} to `{value}`",
                [sys(call, data, len(data))],
            )
