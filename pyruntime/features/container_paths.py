"""Paths inside the container, as text: for comparing and for messages, never for opening."""

from __future__ import annotations

NOTIFY_DIRECTORY = "/run/notify"
NOTIFY_SOCKET = "notify.sock"
NOTIFY_STATE = "notify"
"""Where a program finds the socket for its word that it is ready, and the directory of the state it lies in."""


def clean(path: str) -> str:
    """An absolute path without `.`, `..`, doubled or trailing slashes; a relative one counts from /."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)
