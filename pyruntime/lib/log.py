"""The log: --log, --log-format, --debug, and the one error sentence on stderr.

Engines read it. containerd takes the last `"level":"error"` line of a JSON log as the reason of a failure;
Podman reads the whole file as one object, so a JSON log gets nothing below `error` unless --debug is given. A log
that is full or broken never changes the result of a verb. Text that came from an image, a config or a hook is
data: no control character of it reaches a log or a terminal (R-36).
"""

from __future__ import annotations

import posix

from pyruntime import errors
from pyruntime.lib.files import S_IFCHR, S_IFIFO, S_IFMT, S_IFREG

STDERR = 2
_FLAGS = (
    posix.O_WRONLY
    | posix.O_APPEND
    | posix.O_CREAT
    | posix.O_CLOEXEC
    | posix.O_NOCTTY
    | posix.O_NONBLOCK
)
_OWN = {"": STDERR, "/dev/stderr": STDERR, "/dev/stdout": 1}
_KINDS = (S_IFREG, S_IFIFO, S_IFCHR)
_HEAD, _TAIL = 5000, 3000  # bytes kept of a longer message: what was done, and the kernel's words


class Log:
    """Where messages go; `container_id`, once known, is told in each line of a JSON log."""

    __slots__ = ("fd", "json", "debugging", "container_id")

    def __init__(self, fd: int = STDERR, *, json: bool = False, debug: bool = False) -> None:
        self.fd = fd
        self.json = json
        self.debugging = debug
        self.container_id = ""

    def error(self, message: str, hint: str | None = None, *, said: bool = False) -> None:
        """The failure of a verb: once to the log, and as plain text to stderr where that is another file; not on a
        stderr where somebody has `said` it."""
        if not (said and self.fd == STDERR):
            self._write("error", message, hint)
        if self.fd != STDERR and not said:
            _put(STDERR, f"{readable(message)}\n")
        if hint and not (self.json and self.fd == STDERR):
            _put(STDERR, f"hint: {readable(hint)}\n")

    def warning(self, message: str) -> None:
        if self.debugging or not self.json:
            self._write("warning", message)

    def debug(self, message: str) -> None:
        if self.debugging:
            self._write("debug", message)

    def trace(self, line: str) -> None:
        """A line of a traceback: for the terminal, never for a JSON log."""
        if not (self.json and self.fd == STDERR):
            _put(STDERR, f"{readable(line)}\n")

    def _write(self, level: str, message: str, hint: str | None = None) -> None:
        when = _now()
        if not self.json:
            # Quoted first: an escape of ours has one backslash, as logrus writes it.
            quoted = readable(message.replace("\\", "\\\\").replace('"', '\\"'))
            _put(self.fd, f'time="{when}" level={level} msg="{quoted}"\n')
            return
        from pyruntime.lib import jsondoor

        # A line break stays one, in JSON's own escape: it is for the reader of the log to show.
        text = "\n".join([readable(part) for part in message.split("\n")])
        line = {"level": level, "msg": text, "time": when}
        if self.container_id:
            line["id"] = readable(self.container_id)
        if hint:
            line["hint"] = readable(hint)
        _put(self.fd, jsondoor.dumps(line) + "\n")


def open_log(path: str, form: str, *, debug: bool) -> Log:
    """The log as the command line asks for it; UsageError if it cannot be."""
    if form not in ("", "text", "json"):
        raise errors.UsageError(f"invalid log-format: {form}")
    fd = _OWN.get(path, -1)
    if fd < 0:
        fd = _open(path)
    return Log(fd, json=form == "json", debug=debug)


def _open(path: str) -> int:
    try:
        fd = posix.open(path, _FLAGS, 0o600)
    except OSError as error:
        import errno

        # A fifo that nobody reads says ENXIO; waiting for a reader could last for ever.
        reason = (
            "nobody reads it" if error.errno == errno.ENXIO else errors.strerror(error.errno or 0)
        )
        raise errors.UsageError(f"open the log `{path}`: {reason}") from error
    if posix.fstat(fd).st_mode & S_IFMT not in _KINDS:
        posix.close(fd)
        raise errors.UsageError(f"open the log `{path}`: not a file, a fifo or a terminal")
    return fd


def readable(text: str) -> str:
    """One bounded line without control characters, line breaks, writing-direction marks or stray bytes."""
    if not text.isprintable():
        text = "".join([letter if letter.isprintable() else _escape(letter) for letter in text])
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} … {text[-_TAIL:]}"
    return text


def _escape(letter: str) -> str:
    code = ord(letter)
    if letter == "\n":
        return "\\n"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8 (surrogateescape)
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _now() -> str:
    import time

    return "%d-%02d-%02dT%02d:%02d:%02dZ" % time.gmtime()[:6]


def _put(fd: int, text: str) -> None:
    """One write; whether it succeeds is the reader's affair. (The command ignores SIGPIPE.)"""
    try:
        posix.write(fd, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass
