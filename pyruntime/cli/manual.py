"""--help, from the same tables as the parser."""

from __future__ import annotations

from pyruntime.cli.options import MANY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyruntime.cli.options import Row, Verb

_HEAD = """\
pyruntime - an OCI runtime: runs the containers that bundles describe

USAGE:
   pyruntime [global options] VERB [options] [arguments]

VERBS:
"""


def whole(names: Sequence[str], rows: Sequence[Row]) -> str:
    """The overview; every verb tells its own summary."""
    verbs = []
    for name in names:
        module = __import__(f"pyruntime.cli.{name}", None, None, ("VERB",))
        verbs.append((name, module.VERB.summary))
    verbs.append(("help", "shows this, or the help of a verb"))
    return f"{_HEAD}{_columns(verbs)}\nGLOBAL OPTIONS:\n{_options(rows)}"


def of_verb(name: str, verb: Verb) -> str:
    usage = " ".join(part for part in (f"pyruntime {name} [options]", verb.arguments) if part)
    notes = "".join(f"   {line}\n" for line in verb.notes.splitlines())
    notes = f"\n{notes}" if notes else ""
    return f"pyruntime {name} - {verb.summary}\n\nUSAGE:\n   {usage}\n{notes}\nOPTIONS:\n{_options(verb.rows)}"


def _options(rows: Sequence[Row]) -> str:
    lines = []
    for name, letter, placeholder, words in rows:
        if words:
            value = f" {placeholder.removesuffix(MANY)}" if placeholder else ""
            short = f", -{letter}{value}" if letter else ""
            lines.append((f"--{name}{value}{short}", words))
    return _columns(lines)


def _columns(lines: Sequence[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in lines)
    return "".join(f"   {left.ljust(width)}  {right}\n" for left, right in lines)
