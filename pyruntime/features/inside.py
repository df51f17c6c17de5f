"""Paths inside the container, as text: for comparing and for messages, never for opening."""

from __future__ import annotations


def clean(path: str) -> str:
    """An absolute path without `.`, `..`, doubled or trailing slashes; a relative one counts from /."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)
