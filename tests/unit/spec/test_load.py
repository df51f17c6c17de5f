"""Which file is read, and that a wrong document is refused in one sentence with every finding."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from pyruntime.errors import BundleError, SpecError
from pyruntime.lib import handover
from pyruntime.spec import load
from tests.lib.patience import since

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_directory(path: Path) -> None:
    path.mkdir()


def make_loop(path: Path) -> None:
    path.symlink_to("config.json")


def make_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def make_nothing(path: Path) -> None:
    assert not path.exists()


REFUSED = [
    (make_nothing, "JSON specification file config.json not found"),
    (make_fifo, "read config.json: not a regular file"),
    (make_directory, "read config.json: not a regular file"),
    (make_endless, "read config.json: not a regular file"),
    (make_loop, "open config.json: too many levels of symbolic links"),
    (make_huge, "read config.json: larger than 16 MiB"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_not_a_plain_file(make: object, words: str, tmp_path: Path, bundle: int) -> None:
    assert callable(make)
    make(tmp_path / "config.json")
    before = os.listdir("/proc/self/fd")
    began = time.monotonic()
    with pytest.raises(BundleError) as caught:
        load.read_config(bundle)
    assert str(caught.value) == words
    assert since(began) < 5
    assert os.listdir("/proc/self/fd") == before


def test_the_bytes_as_they_are(tmp_path: Path, bundle: int) -> None:
    (tmp_path / "real.json").write_bytes(b" {} \n")
    (tmp_path / "config.json").symlink_to("real.json")
    assert load.read_config(bundle) == b" {} \n"


def test_up_to_the_limit(tmp_path: Path, bundle: int) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b" " * load.MAX_BYTES)
    assert len(load.read_config(bundle)) == load.MAX_BYTES
    path.write_bytes(b" " * (load.MAX_BYTES + 1))
    with pytest.raises(BundleError, match="larger than 16 MiB"):
        load.read_config(bundle)


def test_not_json() -> None:
    with pytest.raises(BundleError) as caught:
        load.parse(b'{"ociVersion": "1.3.0",\n}', "config.json")
    assert str(caught.value) == (
        "config.json is not valid JSON: line 2 column 1: expected a key in double quotes, found `}`"
    )


@pytest.mark.parametrize("data", [b"[]", b"null", b"3", b'"x"'])
def test_not_an_object(data: bytes) -> None:
    with pytest.raises(SpecError) as caught:
        load.parse(data)
    assert [finding[:2] for finding in caught.value.findings] == [("", "expected an object")]


def test_a_null_property_is_dropped_and_a_null_item_is_not() -> None:
    text = b'{"ociVersion": "1.0.2", "root": {"path": "r"}, "hooks": null, "annotations": {"a": null, "b": "null"}}'
    assert load.parse(text) == {
        "ociVersion": "1.0.2",
        "root": {"path": "r"},
        "annotations": {"b": "null"},
    }
    with pytest.raises(SpecError) as caught:
        load.parse(
            b'{"ociVersion": null, "root": {"path": "r"}, "process": {"cwd": "/", "env": [null]}}'
        )
    assert {finding[0] for finding in caught.value.findings} >= {"", "/process/env/0"}


WRONG = b"""{"ociVersion": "2.0.0", "annotations": {"": "x"}, "hostname": 7,
 "process": {"cwd": "relative", "args": ["sh", 1], "rlimits": [{"type": "RLIMIT_CPU"}]},
 "linux": {"namespaces": [{"type": "pid"}, {"type": "net"}, {}, {"type": "pid"}]}}"""


def stand_in_rules(spec: dict[str, object]) -> Iterator[tuple[str, str]]:
    """As a feature's rules would: relies on the schema, and looks at what is left of the document."""
    process = spec["process"]
    assert isinstance(process, dict)
    if not process["cwd"].startswith("/"):
        yield "/process/cwd", "must be absolute"
    assert "hostname" not in spec


@pytest.mark.parametrize("full", [True, False])
def test_all_findings_at_once(full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema's and the rules' together, in the order of their pointers."""
    monkeypatch.setattr(handover, "running_full", lambda: full)
    with pytest.raises(SpecError) as caught:
        load.parse(WRONG, extra_rules=stand_in_rules)
    assert [pointer for pointer, _, _ in caught.value.findings] == [
        "/annotations/",
        "/hostname",
        "/linux/namespaces/1/type",
        "/linux/namespaces/2",
        "/ociVersion",
        "/process/args/1",
        "/process/cwd",
        "/process/rlimits/0",
        "/process/rlimits/0",
    ]
    assert "did you mean `network`?" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_document_is_left_alone() -> None:
    """Rules see a copy of the sound part; a valid document is handed out itself."""
    seen = []
    document = load.parse(
        b'{"ociVersion": "1.3.0", "linux": {}}',
        extra_rules=lambda spec: seen.append(spec) or (),  # type: ignore[func-returns-value]
    )
    assert seen[0] is document


VERSIONS = {
    "1.0.0": True,
    "1.0.2-dev": True,
    "1.3.0+dev": True,
    "1.99.0": True,
    "2.0.0": False,
    "0.9.0": False,
    "1.0": False,
    "1": False,
    "": False,
    "1.0.0.0": False,
    "01.0.0": False,
    "1.x.0": False,
    "v1.0.0": False,
}


@pytest.mark.parametrize("version", VERSIONS)
def test_versions(version: str) -> None:
    data = f'{{"ociVersion": "{version}"}}'.encode()
    if VERSIONS[version]:
        assert load.parse(data) == {"ociVersion": version}
        return
    with pytest.raises(SpecError, match=r"^config.json: /ociVersion: "):
        load.parse(data)


def test_wrong_case_is_a_warning() -> None:
    """Go would take `Process` for `process`; the spec says an unknown property is ignored."""
    warnings: list[tuple[str, str, str]] = []
    data = (
        b'{"ociVersion": "1.3.0", "Process": 1, "other": 2, "root": {"path": "/", "readOnly": 3}}'
    )
    assert load.parse(data, warnings=warnings)["Process"] == 1
    assert warnings == [
        ("/Process", "the unknown property `Process` is ignored", "did you mean `process`?"),
        (
            "/root/readOnly",
            "the unknown property `readOnly` is ignored",
            "did you mean `readonly`?",
        ),
    ]


def test_parts_have_their_own_root() -> None:
    assert load.parse(b'{"cwd": "/"}', "process.json", "process") == {"cwd": "/"}
    with pytest.raises(SpecError) as caught:
        load.parse(b'{"pids": {"limit": "x"}}', "-", "resources")
    assert caught.value.findings[0][0] == "/pids/limit"


def test_without_jsonschema(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without it still names every mistake."""
    monkeypatch.setitem(__import__("sys").modules, "pyruntime.spec.explain", None)
    with pytest.raises(SpecError, match="/hostname: expected a string"):
        load.parse(b'{"ociVersion": "1.3.0", "hostname": 1}')
