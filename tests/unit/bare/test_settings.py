"""What a bare system takes over from this machine: how to reach registries, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bare import host
from tests.lib import debian


def program(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    (directory / name).chmod(0o755)


def test_variables() -> None:
    given = {
        "https_proxy": "http://proxy:3128",
        "NO_PROXY": "localhost",
        "PIP_INDEX_URL": "https://mirror/simple",
        "SSL_CERT_FILE": "/etc/own.pem",
        "CI": "true",
        "HOME": "/home/somebody",
        "PATH": "/opt/bin",
        "RUNTIME": "/opt/bin/runc",
        "PYTHONPATH": "/opt/lib",
    }
    kept = host.environment(given)
    assert set(given) - set(kept) == {"HOME", "PATH", "RUNTIME", "PYTHONPATH"}


def test_paths_that_settings_name(tmp_path: Path) -> None:
    for name in ("index/simple", "index/files", "wheels"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ca.pem").touch()
    texts = [
        f"extra-index-url = file://{tmp_path}/index/simple https://mirror/simple",
        f"find-links = {tmp_path}/wheels\ncert={tmp_path}/ca.pem",
        f"{tmp_path}/missing /usr",
    ]
    found = host.named_paths(texts)
    assert found == [tmp_path / "ca.pem", tmp_path / "index", tmp_path / "wheels"]


def test_settings_of_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = """APT::Architecture "amd64";
Acquire::http::Proxy "http://proxy:3128";
Acquire::https::CaInfo "/etc/own.pem";
Acquire::Retries "3";
Acquire::IndexTargets::deb::Packages::MetaKey "x";
Dir::Cache "var/cache/apt";"""
    program(tmp_path, "apt-config", dump)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert host.apt_settings() == "".join(f"{line}\n" for line in dump.splitlines()[1:4])


TARGETS = """Packages|Debian|main|bookworm|http://mirror/debian/
Translations|Debian|main|bookworm|http://mirror/debian/
Packages|Debian|contrib|bookworm|http://mirror/debian/
Packages|Debian|main|bookworm-security|http://mirror/security/
Packages|Somebody|main|bookworm|http://elsewhere/"""


@pytest.mark.parametrize(
    ("suite", "lines"),
    [
        ("trixie", ["http://mirror/debian/ trixie", "http://mirror/security/ trixie-security"]),
        ("sid", ["http://mirror/debian/ sid"]),
    ],
)
def test_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suite: str, lines: list[str]
) -> None:
    program(tmp_path, "apt-get", TARGETS)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert debian.sources(suite).splitlines() == [f"deb {line} main" for line in lines]


def test_no_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debian.sources("trixie") == "" and host.apt_settings() == ""
