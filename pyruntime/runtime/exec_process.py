"""What `exec` asks for: the process that is to join a container.

It is the process of the config that create read, changed by flags, or that of a file. What such a file leaves out of
the walls is the container's (R-20): capabilities, limits, labels, priorities and the oom score, as from runc.
"""

from __future__ import annotations

from pyruntime import errors, features
from pyruntime.runtime.request import check_terminal
from pyruntime.spec import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.lib.log import Log
    from pyruntime.spec.types import Config

WALLS = (
    "capabilities",
    "rlimits",
    "oomScoreAdj",
    "apparmorProfile",
    "selinuxLabel",
    "scheduler",
    "ioPriority",
    "execCPUAffinity",
)
GRANTED = ("bounding", "effective", "permitted")


class ExecRequest:
    """The command line of `exec`. Paths are as given: relative ones count from the working directory."""

    __slots__ = (
        "root", "container_id", "log", "process_file", "args", "terminal", "cwd", "env", "uid", "gid", "groups", "label",
        "profile", "no_new_privileges", "capabilities", "detach", "console_socket", "pid_file", "pidfd_socket",
        "preserve_fds", "gaps", "cgroups", "ignore_paused",
    )  # fmt: skip

    def __init__(self, root: str, container_id: str, *, log: Log) -> None:
        self.root = root
        self.container_id = container_id
        self.log = log
        self.process_file: str | None = None
        self.args: list[str] = []
        self.terminal = False
        self.cwd = ""
        self.env: list[str] = []
        self.uid: int | None = None  # None: that of the config
        self.gid: int | None = None
        self.groups: list[int] = []
        self.label = ""
        self.profile = ""
        self.no_new_privileges = False
        self.capabilities: list[str] = []
        self.detach = False
        self.console_socket = ""
        self.pid_file = ""
        self.pidfd_socket = ""
        self.preserve_fds = 0
        self.gaps: tuple[int, ...] = ()  # launch.check_preserved
        self.cgroups: list[str] = []
        self.ignore_paused = False


def config_for(request: ExecRequest, config: Config) -> Config:
    """The container's config with the new process in the place of its own; BundleError lists what is wrong with it."""
    if request.process_file is None:
        result: Config = {
            **config,
            "process": _changed(request, config.get("process", {"cwd": "/"})),
        }
        findings = list(features.exec_rules(result))
        if findings:
            rows = [(pointer, why, "") for pointer, why in findings]
            raise errors.BundleError(errors.list_findings(rows, "the process"))
    else:
        result = {**config, "process": _from_file(request, config)}
    check_terminal(request, asked=bool(result["process"].get("terminal")))
    return result


def _changed(request: ExecRequest, process: Any) -> Any:
    """Flag by flag what runc changes."""
    changed = {**process, "args": request.args, "terminal": request.terminal}
    changed["user"] = user = dict(process.get("user") or {})
    if request.uid is not None:
        user["uid"] = request.uid
    if request.gid is not None:
        user["gid"] = request.gid
    if request.groups:
        user["additionalGids"] = [*(user.get("additionalGids") or ()), *request.groups]
    if request.cwd:
        changed["cwd"] = request.cwd
    if request.env:
        changed["env"] = [*(process.get("env") or ()), *request.env]
    if request.no_new_privileges:
        changed["noNewPrivileges"] = True
    if request.label:
        changed["selinuxLabel"] = request.label
    if request.profile:
        changed["apparmorProfile"] = request.profile
    if request.capabilities:
        changed["capabilities"] = _granted(process.get("capabilities") or {}, request.capabilities)
    return changed


def _granted(sets: dict[str, list[str]], more: list[str]) -> dict[str, list[str]]:
    """Inheritable is never filled; ambient only of what the config has there (CVE-2022-29162, R-17)."""
    result = dict(sets)
    for name in GRANTED:
        result[name] = [*(sets.get(name) or ()), *more]
    inheritable = sets.get("inheritable") or ()
    ambient = [name for name in more if name in inheritable]
    if ambient:
        result["ambient"] = [*(sets.get("ambient") or ()), *ambient]
    return result


def _from_file(request: ExecRequest, config: Config) -> Any:
    path = request.process_file or ""
    where = f"process file `{path}`"
    own: Any = config.get("process", {})
    walls = {name: own[name] for name in WALLS if name in own}

    def rules(process: Any) -> Any:
        process = {**walls, **process}
        return features.exec_rules({**config, "process": process})

    try:
        process: dict[str, Any] = load.parse(
            load.read_file(path, where), where, "process", base="/process", extra_rules=rules
        )
    except errors.SpecError as error:
        # Read once, it may be a pipe: nobody else can be asked to explain it.
        raise errors.BundleError(errors.list_findings(error.findings, where)) from None
    if not process.get("rlimits"):
        process.pop("rlimits", None)
    return {**walls, **process}
