"""How a hook's end and its output read in an error, on both sides and in every verb. Imports nothing of the plan."""

from __future__ import annotations


def exit_words(status: int) -> str:
    signal = status & 0x7F
    return f"signal: {signal}" if signal else f"exit status {status >> 8}"


def readable(data: bytes) -> str:
    """Output of a hook is data: nothing in it may drive a terminal or start a new log line."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join([letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text])
