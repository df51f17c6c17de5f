"""Debian's package sources as this machine has them, and the tool that makes root file systems from them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


class DebianError(Exception):
    """A root file system cannot be made; the text says why."""


def sources(suite: str) -> str:
    """apt's lines for that suite, with the mirrors that this machine uses; empty where it uses none of Debian's."""
    form = "$(CREATED_BY)|$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)"
    words = ["apt-get", "indextargets", "--format", form]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    found = []
    for line in done.stdout.splitlines():
        creator, origin, component, codename, mirror = line.split("|")
        pocket = codename.partition("-")[2]
        if (creator, origin, component) != ("Packages", "Debian", "main"):
            continue
        if suite == "sid" and pocket:
            continue  # it has neither updates nor a security archive
        found.append(f"deb {mirror} {suite}{pocket and '-'}{pocket} {component}")
    return "\n".join(dict.fromkeys(found))


def make_root(suite: str, target: Path, packages: Sequence[str], log: Path, *more: str) -> None:
    """mmdebstrap's minbase with these packages, as a directory or, by its name, an archive."""
    words = ["mmdebstrap", "--mode=root", "--variant=minbase", "--skip=cleanup/apt/lists", *more]
    given = sources(suite)
    if (
        suite == "sid"
    ):  # a mirror that is updated seldom still has it signed, but for a few days only
        words.append('--aptopt=Acquire::Check-Valid-Until "false"')
    words += [f"--include={','.join(packages)}", suite, str(target), *(["-"] if given else [])]
    with log.open("w") as file:
        done = subprocess.run(words, input=given.encode(), stdout=file, stderr=file, check=False)
    if done.returncode:
        raise DebianError(f"mmdebstrap ended with {done.returncode}:\n{log.read_text()[-2000:]}")
