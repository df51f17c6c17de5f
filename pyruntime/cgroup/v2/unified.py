"""linux.resources.unified: files of the v2 group by name, in the order written, after everything else."""

from __future__ import annotations

import errno

from pyruntime import errors
from pyruntime.cgroup import knob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def apply(dir_fd: int, resources: Mapping[str, Any]) -> None:
    for key, value in resources["unified"].items():
        for line in value.splitlines():
            try:
                knob.write(dir_fd, key, line)
            except OSError as error:
                raise _failed(dir_fd, key, line, error) from error


def _failed(dir_fd: int, key: str, line: str, error: OSError) -> errors.StepError:
    controller = key.partition(".")[0]
    if error.errno == errno.ENOENT and controller != "cgroup":
        available = knob.read(dir_fd, "cgroup.controllers").split()
        if controller not in available:
            return errors.StepError(
                f'unified resource "{key}" can\'t be set: controller "{controller}" not available',
                f"/linux/resources/unified/{key}",
                errno=error.errno or 0,
            )
    return knob.failed(f"unified {key}", line, f"/unified/{key}", error)
