"""`create`, and `run` up to the waiting init: read, check, plan, then carry the plan out on both sides.

The order on the host: everything that can be refused without an effect; the state directory; cgroups and sources;
the spawn; identity; hooks when the init asks; the record `created`; and only then the word that lets the init wait
without us. A failure at any point undoes all of it. SIGKILL at any point leaves a record and holdings that `delete`
tidies; the init dies with us until it was let go.
"""

from __future__ import annotations

import _signal
import posix
from errno import EAGAIN, EMFILE

from pyruntime import features
from pyruntime.cgroup import detect, driver
from pyruntime.errors import (
    BundleError,
    PyruntimeError,
    StepError,
    WrongStatus,
    strerror,
)
from pyruntime.features.container_paths import NOTIFY_STATE
from pyruntime.features.namespaces import is_unmapped
from pyruntime.features.site import Site
from pyruntime.kernel import calls
from pyruntime.kernel.native import lib
from pyruntime.lib import proc
from pyruntime.plan import moments
from pyruntime.runtime import store
from pyruntime.runtime.host import Host
from pyruntime.runtime.interruption import Held
from pyruntime.runtime.launch import CAP_SYS_ADMIN, Launch, check_preserved, look_around
from pyruntime.runtime.record import new_record
from pyruntime.runtime.request import check_terminal
from pyruntime.spec import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyruntime.plan.record import Record
    from pyruntime.runtime.request import CreateRequest
    from pyruntime.spec.types import Config

SPEC_VERSION = "1.3.0"
FEW_MOUNTS = 64  # a descriptor for each, at least, fits any limit of open files


class Creation:
    """One container on its way to `created`."""

    def __init__(self, request: CreateRequest, *, inline: bool = False, lean: bool = False) -> None:
        # A caller that ignores SIGCHLD would make the init's end, and a hook's, vanish unseen.
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        self.request = request
        self.inline = inline
        self.lean = lean
        self.warnings: list[Any] = []
        self.bundle, self.data, self.spec = _read_bundle(request.bundle, self.warnings)
        if inline and not self.spec.get("process"):
            from pyruntime.runtime.starting import NO_PROCESS

            raise WrongStatus(request.container_id, NO_PROCESS)
        check_terminal(request, asked=bool(self.spec.get("process", {}).get("terminal")))
        features.reach(self.spec)
        if request.cgroup_manager == "systemd":
            driver.reach_systemd()
        unmapped = is_unmapped(self.spec.get("linux", {}))
        if unmapped or not (request.as_root or calls.permitted_capabilities() >> CAP_SYS_ADMIN & 1):
            from pyruntime.runtime import rootless

            self.data = rootless.prepare(self.spec, self.data, request)
        self.site = self._survey()
        self.steps = features.plan(self.spec, self.site)
        for text in (*self.warnings, *self.site.warnings) if not lean else ():
            request.log.warning(text if isinstance(text, str) else f"{text[0]}: {text[1]}")
        for text in self.site.notices:
            request.log.debug(text)
        self.host: Host
        self.launch: Launch

    def _survey(self) -> Site:
        request, spec = self.request, self.spec
        rootfs = _absolute(spec["root"]["path"], self.bundle)
        activated = _activated_fds()
        site = Site(
            self.bundle, request.container_id, rootfs, preserve_fds=request.preserve_fds + activated
        )
        site.activated = activated
        site.inline = self.inline
        site.lean = self.lean
        site.terminal = bool(spec.get("process", {}).get("terminal"))
        if posix.environ.get(b"NOTIFY_SOCKET"):
            state = f"{request.root or store.default_root()}/{request.container_id}"
            site.notify = _absolute(f"{state}/{NOTIFY_STATE}", posix.getcwd())
        site.no_pivot = request.no_pivot
        if request.no_pivot or _on_ramdisk():
            from pyruntime.lib import mountinfo

            root = mountinfo.read_root()
            site.root_alone, site.root_places = root.alone, root.places
        site.new_keyring = not request.no_new_keyring
        look_around(site, spec, as_root=request.as_root)
        site.layout = detect.layout()
        if len(spec.get("mounts") or ()) > FEW_MOUNTS:
            from pyruntime.kernel import limits

            site.open_files = limits.open_files()
        site.cgroups = request.cgroup_manager != "disabled"
        path = spec.get("linux", {}).get("cgroupsPath")
        if request.cgroup_manager == "systemd":
            annotations = spec.get("annotations", {})
            user = not site.privileged or site.in_user_namespace
            site.scope = driver.scope(site.layout, path, site.container_id, annotations, user=user)
        elif site.cgroups and (not site.privileged or site.in_user_namespace):
            site.cgroup_obstacle = driver.obstacle(site.layout, path, site.container_id)
        site.gaps = check_preserved(site.preserve_fds)
        if self.inline and not request.detach and not site.terminal:
            from pyruntime.features import stdio

            site.piped = stdio.to_be_piped(spec)
        return site

    def make(self) -> Host:
        """All of it, undone if anything fails."""
        try:
            with Held():
                self._begin()
            host, entry = self.host, self.host.entry
            entry.save_config(self.data)
            entry.save_steps(self._late_steps())
            entry.write_record(host.record)
            self._carry_out()
        except BaseException as error:
            self._explain(error)
            left = self._abandon() if hasattr(self, "launch") else ""
            if left and isinstance(error, PyruntimeError):
                error.hint = f"{error.hint}; {left}" if error.hint else left
            raise
        host.keep()
        return host

    def _explain(self, error: BaseException) -> None:
        if isinstance(error, StepError) and error.errno == EAGAIN and hasattr(self, "launch"):
            from pyruntime.runtime import init_failure

            cgroup = self.host.cgroup
            init_failure.name_limit(error, driver.record(cgroup) if cgroup else None)

    def _begin(self) -> None:
        request = self.request
        record = new_record(
            request.container_id, self.bundle, self.site.rootfs, self.spec, SPEC_VERSION
        )
        record["pidNamespace"] = "pid" in self.site.created
        record["keyring"] = self.site.new_keyring
        entry = store.Store(request.root, create=True).create(request.container_id)
        self.host = Host(self.site, entry, self.spec, record)
        self.host.run_hooks = self._run_hooks
        self.launch = Launch(
            self.host,
            self.steps,
            self._identify,
            console_socket=request.console_socket,
            pidfd_socket=request.pidfd_socket,
            log=request.log,
        )

    def _carry_out(self) -> None:
        host = self.host
        self.launch.make_ready(None if self.inline else host.entry.make_fifos)
        host.entry.lock()
        host.record["status"] = "created"
        host.entry.write_record(host.record)
        if self.request.pid_file:
            from pyruntime.runtime.pidfile import write_pid_file

            write_pid_file(self.request.pid_file, host.pid, host)
        try:
            host.channel.go()
        except (BrokenPipeError, ConnectionResetError):
            raise self.launch.unexpected_end() from None

    def _late_steps(self) -> dict[str, list[str]]:
        """What may fail after `start` let the init go: how that verb finds the property again."""
        rows: dict[str, list[str]] = {}
        for number, step in enumerate(self.launch.init_steps):
            if step.moment in (moments.HOOKS_START, moments.EXEC):
                rows[str(number)] = [step.text, step.pointer]
        return rows

    def _identify(self) -> None:
        """Pid and start time are on record before the init can be let go."""
        host = self.host
        facts = proc.stat_of(host.pid)
        host.record["pid"] = host.pid
        host.record["pidfdInode"] = posix.fstat(host.pidfd).st_ino
        if facts:
            host.record["startTime"] = facts[1]
        else:
            from pyruntime.runtime import identity

            identity.estimate(host.record)
        host.record["initExe"] = host.init_exe
        if host.cgroup is not None:
            host.record["cgroup"] = driver.record(host.cgroup)
        host.entry.write_record(host.record)

    def _run_hooks(self) -> None:
        """The init waits before its pivot: late values for its own hooks, then the runtime's hooks. The lock comes back
        when the init is ready, for createContainer hooks are run by it."""
        from pyruntime.runtime import hooks

        host = self.host
        configured: Any = self.spec.get("hooks", {})
        if any(configured.get(kind) for kind in ("prestart", "createRuntime", "createContainer")):
            from pyruntime.runtime import interlude

            interlude.begin(host.entry)
        for kind, status in (("createContainer", "creating"), ("startContainer", "created")):
            buffer = self.site.hook_state.get(kind)
            if buffer is not None:
                # runtime.md, State: in the container's namespace it is the pid as seen by the container.
                seen: Record = {**host.record, "pid": proc.inner_pid(host.pidfd)}
                text = hooks.state_json(seen, status).encode("utf-8", "surrogateescape")
                host.channel.fill(self.launch.tape.slots[buffer], text)
        for kind in ("prestart", "createRuntime"):
            if configured.get(kind):
                hooks.run(kind, configured[kind], host.record, "creating")

    def _abandon(self) -> str:
        """Backwards: the init, then what it and the host made, then the state directory. What could not be given back
        stays on record for `delete`, and is said beside why the creation failed."""
        from pyruntime.errors import NoSuchContainer
        from pyruntime.runtime import holdings

        host, log = self.host, self.request.log
        host.close_handed()
        self.launch.close_terminal()
        try:
            host.roll_back()
            for text in host.complaints:
                log.warning(text)
            host.entry.lock()
            holdings.release_all(host.entry)
            host.entry.remove()
        except NoSuchContainer:
            return ""  # a `delete --force` came between, and did all of it
        except (PyruntimeError, OSError) as problem:
            why = problem.message if isinstance(problem, PyruntimeError) else str(problem)
            return f"{why}; `delete --force {host.entry.id}` tries again"
        finally:
            host.entry.close()
        configured = self.spec.get("hooks", {}).get("poststop")
        if configured and host.pid:
            from pyruntime.runtime import hooks

            for failure in hooks.run_all("poststop", configured, host.record, "stopped"):
                log.warning(failure.message)
        return ""


def made(request: CreateRequest, *, inline: bool = False) -> tuple[Creation, Host]:
    """The container exists. Where descriptors ran out a second try makes do with few, and takes longer."""
    creation = Creation(request, inline=inline)
    try:
        return creation, creation.make()
    except StepError as error:
        if error.errno != EMFILE or not creation.site.join_count:
            raise
        if hasattr(creation, "host"):
            posix.close(creation.host.entry.store.fd)
    creation = Creation(request, inline=inline, lean=True)
    return creation, creation.make()


def create(request: CreateRequest) -> None:
    """The container exists and waits for `start`; its init is a child of our parent's subreaper."""
    _, host = made(request)
    posix.close(host.pidfd)
    host.channel.close()
    host.entry.close()


def run(request: CreateRequest) -> int:
    """create + start (+ wait + delete unless detached); returns the program's exit status."""
    from pyruntime.runtime import foreground

    return foreground.run(request)


def _read_bundle(bundle: str, warnings: list[Any]) -> tuple[str, bytes, Config]:
    if not bundle.isprintable():
        _refuse_strange(bundle)
    try:
        path = _absolute(bundle, posix.getcwd()) if bundle[:1] != "/" else bundle
        fd = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise BundleError(f"bundle `{bundle}`: {strerror(error.errno or 0)}") from error
    try:
        data = load.read_config(fd)
    finally:
        posix.close(fd)
    return path, data, load.parse(data, warnings=warnings, extra_rules=features.rules)


def _refuse_strange(path: str) -> None:
    """The state is JSON, which has no place for other bytes."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise BundleError(f"bundle `{path}`: the path is not UTF-8") from None


def _on_ramdisk() -> bool:
    """Whether / may be an initramfs, the one root that pivot_root cannot leave; mountinfo knows for sure."""
    if posix.major(posix.stat("/").st_dev):
        return False
    fd = posix.open("/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        return calls.fs_type(fd) in (lib.RAMFS_MAGIC, lib.TMPFS_MAGIC)
    finally:
        posix.close(fd)


def _absolute(path: str, base: str) -> str:
    """Joined and tidied as text; `..` is left for the kernel."""
    if path[:1] != "/":
        path = f"{base}/{path}"
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _activated_fds() -> int:
    """How many descriptors socket activation gave to this very process; sd_listen_fds(3)."""
    count, pid = posix.environ.get(b"LISTEN_FDS", b""), posix.environ.get(b"LISTEN_PID", b"")
    if not count.isdigit() or pid != b"%d" % posix.getpid():
        return 0
    return int(count)
