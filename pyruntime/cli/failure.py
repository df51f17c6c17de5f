"""How a failure is told: one sentence, perhaps a hint, the exit status; a traceback for our own bugs only."""

from __future__ import annotations

from pyruntime import errors
from pyruntime.lib.log import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyruntime.cli.main import Call

INTERRUPTED = 130  # as a shell says it for SIGINT


def report(error: BaseException, call: Call, argv: list[str]) -> int:
    """Tells the log and stderr; returns the exit status."""
    if isinstance(error, errors.SpecError):
        error = _explained(error, argv)
    log = _log(call)
    if call.arguments:
        log.container_id = call.arguments[0]
    known = _as_refusal(error)
    if known is None or isinstance(known, errors.InternalError):
        return _report_bug(error, log, call.failure_status or 1)
    said = isinstance(known, errors.ProgramError) and known.said
    log.error(_context(call) + known.message, known.hint, said=said)
    if isinstance(error, KeyboardInterrupt):
        from pyruntime.runtime import interruption

        if isinstance(error, interruption.Interrupted):
            interruption.end_by(error.number)
        return INTERRUPTED
    return call.failure_status or known.exit_status


def _context(call: Call) -> str:
    """`pyruntime create failed: `, once the verb itself has begun: containerd shows it so."""
    if not call.failing:
        return ""
    from pyruntime.cli.main import program

    return f"{call.failing.replace('%s', program())}: "


def _log(call: Call) -> Log:
    try:
        return call.to_log()
    except errors.UsageError:
        return Log()  # this very failure is what is being told, or comes second


def _explained(error: errors.SpecError, argv: list[str]) -> errors.PyruntimeError:
    """In the launcher the full interpreter takes over, where jsonschema can explain; nothing was done yet."""
    from pyruntime.lib import handover

    try:
        handover.full_interpreter(argv)
    except errors.UnsupportedError:
        pass  # the findings of our own check name the same mistakes
    return error


def _as_refusal(error: BaseException) -> errors.PyruntimeError | None:
    """What is not one of ours but no bug either: the kernel's refusals and the caller's interruptions."""
    if isinstance(error, errors.PyruntimeError):
        return error
    if isinstance(error, OSError) and error.errno:
        if isinstance(error, errors.KernelError):
            where = error.call + (f" {error.filename}" if error.filename else "")
        else:
            where = error.filename if isinstance(error.filename, str) else "a system call"
        return errors.PyruntimeError(f"{where}: {errors.strerror(error.errno)}")
    if isinstance(error, MemoryError):
        return errors.PyruntimeError("cannot allocate memory")
    if isinstance(error, KeyboardInterrupt):
        return errors.PyruntimeError("interrupted")
    return None


def _report_bug(error: BaseException, log: Log, status: int) -> int:
    kind = "" if isinstance(error, errors.InternalError) else f"{error.__class__.__name__}: "
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}"
        log.trace(f"  {place}")
        trace = trace.tb_next
    message = f"internal error: {kind}{error} ({place})"
    log.error(message, hint="this is a bug of pyruntime: please report it with these lines")
    return status
