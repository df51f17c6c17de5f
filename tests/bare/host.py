"""What a bare system takes over from this machine, so that it reaches the same registries: apt's proxies, the
certificate authorities, pip's settings. Its packages, its users and everything else are its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# pip's own order: the whole machine's, then the user's.
PIP_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
VARIABLES = re.compile(
    r"(https?|ftp|all|no)_proxy|PIP_\w+|SSL_CERT_FILE|REQUESTS_CA_BUNDLE", re.IGNORECASE
)
# What the tools of this project read, and what continuous integration says of itself.
OURS = ("CI", "TERM", "PATIENCE")
APT_SETTING = re.compile(
    r'^(Acquire::(?:http|https|ftp)::.*|Acquire::Retries) "(.*)";$', re.MULTILINE
)
LOCAL_PATH = re.compile(r"(?:(?<=file://)|(?<![\w:/.~-]))/[\w.+/-]+")


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The variables that commands in the bare system get: how to reach registries, and ours."""
    return {
        name: value for name, value in given.items() if name in OURS or VARIABLES.fullmatch(name)
    }


def pip_files() -> list[Path]:
    paths = [Path(name).expanduser() for name in PIP_FILES]
    return [path for path in paths if path.is_file()]


def named_paths(texts: list[str]) -> list[Path]:
    """Files and directories that settings name, a local package index for example; those below another left out."""
    found = {Path(match) for text in texts for match in LOCAL_PATH.findall(text)}
    # The files of a package index lie beside its directory `simple`.
    found = {path.parent if path.name == "simple" else path for path in found}
    there = sorted(path for path in found if path.exists() and len(path.parts) > 2)
    return [path for path in there if not any(other in path.parents for other in there)]


def apt_settings() -> str:
    """Proxies, certificates and retries of `apt-config dump`, as a file of apt.conf.d."""
    try:
        done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return "".join(f'{name} "{value}";\n' for name, value in APT_SETTING.findall(done.stdout))


def bring(root: Path) -> list[Path]:
    """Copies the settings into a root file system. Returns the paths that have to be shown there, read-only."""
    (root / "etc/apt/apt.conf.d/90host").write_text(apt_settings())
    if CERTIFICATES.is_file():
        shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    texts = list(environment(os.environ).values())
    home = Path.home()
    for path in pip_files():
        inside = (
            Path("root", path.relative_to(home)) if home in path.parents else path.relative_to("/")
        )
        (root / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / inside)
        texts.append(path.read_text())
    return [path for path in named_paths(texts) if not (root / path.relative_to("/")).exists()]
