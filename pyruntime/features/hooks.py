"""hooks (config.md, POSIX-platform Hooks): prestart, createRuntime on the host; createContainer, startContainer in
the init; poststart, poststop when their verbs run them (runtime/hooks.py).

The state on a hook's stdin is a late value: the pid is only known once the init exists.
"""

from __future__ import annotations

from pyruntime.errors import UnsupportedError
from pyruntime.features.failures import hook_failure
from pyruntime.features.program import environment_words
from pyruntime.kernel.native import lib
from pyruntime.plan import messages, moments
from pyruntime.plan.step import HOOK, SYNC, Buffer, Pointers, Step, builtin, sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyruntime.features.site import Site
    from pyruntime.spec.types import Config, Hook

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
PROPERTIES = tuple(f"hooks.{kind}" for kind in KINDS)

MOST_MS = (1 << 62) - 1  # what the init takes; the specification sets no limit
STATE_LIMIT = 196000  # bytes of state a container-side hook can be given


def rules(spec: Config) -> Iterator[tuple[str, str]]:
    hooks: Any = spec.get("hooks", {})
    for kind in KINDS:
        for index, hook in enumerate(hooks.get(kind) or ()):
            pointer = f"/hooks/{kind}/{index}"
            if hook["path"][:1] != "/" or "\0" in hook["path"]:
                yield f"{pointer}/path", "a hook's path must be absolute"
            if hook.get("timeout") is not None and hook["timeout"] <= 0:
                yield f"{pointer}/timeout", "a hook's timeout must be greater than zero"
            for name in ("args", "env"):
                for number, text in enumerate(hook.get(name) or ()):
                    if "\0" in text:
                        yield f"{pointer}/{name}/{number}", "holds a NUL byte"


def plan(spec: Config, site: Site) -> Iterator[Step]:
    hooks: Any = spec.get("hooks", {})
    inside = [kind for kind in ("createContainer", "startContainer") if hooks.get(kind)]
    for kind in inside:
        site.hook_state[kind] = Buffer(_room(spec, site), late=True)
    if inside or hooks.get("prestart") or hooks.get("createRuntime"):
        yield Step(
            moments.HOOKS_RUNTIME,
            "/hooks",
            "run the hooks of the runtime's side",
            [builtin(SYNC, site.socket_fd, messages.SYNC)],
            run=lambda host: host.run_hooks(),
        )
    places = {"createContainer": moments.HOOKS_CONTAINER, "startContainer": moments.HOOKS_START}
    if "createContainer" in inside:
        # As from runc: the directory of createContainer is the root to be, that of startContainer the program's.
        text = "enter the root for the createContainer hooks"
        ops = [sys(lib.NR_fchdir, site.root)]
        yield Step(moments.HOOKS_CONTAINER, "/hooks/createContainer", text, ops)
    for kind in inside:
        for index, hook in enumerate(hooks[kind]):
            pointer = f"/hooks/{kind}/{index}"
            yield Step(
                places[kind],
                pointer,
                f"run {kind} hook #{index} `{hook['path']}`",
                [builtin(HOOK, _block(kind, hook, spec, site))],
                failure=_failure(kind, index, hook),
            )


def _room(spec: Config, site: Site) -> int:
    size = 512 + len(site.bundle.encode("utf-8", "surrogateescape")) * 6 + len(site.container_id)
    for key, value in spec.get("annotations", {}).items():
        size += 6 * len((key + value).encode("utf-8", "surrogateescape")) + 16
    if size > STATE_LIMIT:
        raise UnsupportedError(
            f"the state for hooks in the container may be longer than {STATE_LIMIT} bytes",
            "/annotations",
        )
    return size


def _block(kind: str, hook: Hook, spec: Config, site: Site) -> Pointers:
    """struct request of native/init/hook.c."""
    env = hook.get("env")
    if env is None:
        process = spec.get("process") if kind == "startContainer" else None
        env = environment_words(process, site)[0] if process else []
    args = hook.get("args") or [hook["path"]]
    timeout_ms = min(int(hook.get("timeout") or 0) * 1000, MOST_MS)
    return Pointers(
        (
            hook["path"],
            Pointers((*args, 0)),
            Pointers((*env, 0)),
            site.hook_state[kind],
            0,
            timeout_ms,
        )
    )


def _failure(kind: str, index: int, hook: Hook) -> Callable[[int, bytes], Exception]:
    timeout = float(hook.get("timeout") or 0)
    return lambda number, text: hook_failure(kind, index, hook["path"], timeout, number, text)


def report() -> dict[str, Any]:
    return {"hooks": list(KINDS)}
