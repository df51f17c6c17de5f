"""Wrong documents: every mistake is found at once, with its place; strange bytes get a sentence and no traceback."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lib.box import MARKER, Box, refused
from tests.lib.bundle import BASE, Bundle
from tests.lib.patience import since

MISTAKES: dict[str, tuple[str, Any]] = {
    "/process/args": ("process.args", "sh"),
    "/process/user/uid": ("process.user.uid", "root"),
    "/linux/namespaces/0/type": ("linux.namespaces.0.type", "nope"),
    "/mounts/0/destination": ("mounts.0.destination", 7),
    "/linux/resources/memory/limit": ("linux.resources.memory.limit", "64m"),
}


def test_five_mistakes_give_five_findings(bundle: Bundle) -> None:
    for path, value in MISTAKES.values():
        bundle.set(path, value)
    message = refused(bundle)
    for pointer in MISTAKES:
        assert pointer in message, f"{pointer} is not named: {message}"


@pytest.mark.parametrize("pointer", MISTAKES)
def test_each_mistake_alone(bundle: Bundle, pointer: str) -> None:
    refused(bundle.set(*MISTAKES[pointer]))


def test_unknown_properties_are_ignored(bundle: Bundle) -> None:
    """The specification asks for it, at every level."""
    bundle.set("unknown", {"a": 1}).set("process.unknown", [1]).set("linux.resources.unknown", "x")
    with Box(bundle.set("linux.unknown", True)) as box:
        assert box.run().code == 0


def test_other_platforms_sections_are_ignored(bundle: Bundle) -> None:
    bundle.set("windows", {"layerFolders": ["C:\\\\x"]}).set("solaris", {"milestone": "svc:/x"})
    with Box(bundle) as box:
        assert box.run().code == 0


NULLS = (
    "annotations", "hooks", "hostname", "process.user.additionalGids", "process.rlimits", "process.capabilities.ambient",
    "process.oomScoreAdj", "process.apparmorProfile", "linux.devices", "linux.seccomp", "linux.maskedPaths",
    "linux.uidMappings", "linux.resources.memory", "linux.resources.pids", "linux.sysctl", "linux.rootfsPropagation",
)  # fmt: skip


@pytest.mark.parametrize("path", NULLS)
def test_a_null_counts_as_absent(bundle: Bundle, path: str) -> None:
    """As generators in Go, Python and JavaScript write it. Later verbs read the same document."""
    with Box(bundle.set(path, None)) as box:
        box.create()
        box.start()
        assert box.wait() == 0
        box.delete()


@pytest.mark.parametrize("path", ["root", "process.args", "process.cwd"])
def test_a_required_property_that_is_null(bundle: Bundle, path: str) -> None:
    refused(bundle.set(path, None))


@pytest.mark.parametrize("path", ["ociVersion", "root", "root.path", "process.cwd", "process.args"])
def test_required_properties(bundle: Bundle, path: str) -> None:
    refused(bundle.unset(path))


@pytest.mark.covers("ociVersion")
@pytest.mark.parametrize("version", ["2.0.0", "0.9.0", "one", "", 1])
def test_other_versions_of_the_specification(bundle: Bundle, version: object) -> None:
    refused(bundle.set("ociVersion", version))


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0", "1.0.0-rc5"])
def test_versions_engines_send(bundle: Bundle, version: str) -> None:
    with Box(bundle.set("ociVersion", version)) as box:
        assert box.run().code == 0


GOOD = json.dumps({name: BASE[name] for name in ("ociVersion", "process", "root", "mounts")})[:-1]
LINUX = json.dumps({**BASE["linux"], "cgroupsPath": f"/{MARKER}documents"})[:-1]


def more(text: str) -> bytes:
    """A good document with one more member."""
    return f'{GOOD},{text},"linux":{LINUX}}}}}'.encode("utf-8", "surrogatepass")


def limited(text: str) -> bytes:
    """A good document but for the value of a limit."""
    return f'{GOOD},"linux":{LINUX},"resources":{{"pids":{{"limit":{text}}}}}}}}}'.encode()


FINE = more('"hostname":"fine"')

DOCUMENTS: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "null": b"null",
    "list": b"[]",
    "text": b'"x"',
    "number": b"1",
    "cut off": FINE[:-1],
    "two documents": FINE + b"{}",
    "words after it": FINE + b" x",
    "trailing comma": FINE[:-1] + b",}",
    "comment": b"// hello\n" + FINE,
    "single quotes": b"{'ociVersion':'1.0.0'}",
    "nan": limited("NaN"),
    "infinity": limited("Infinity"),
    "minus infinity": limited("-Infinity"),
    "1e999": limited("1e999"),
    "huge number": limited("9" * 5000),
    "20 digits": limited("99999999999999999999"),
    "half": limited("1.5"),
    "true for 1": limited("true"),
    "leading zero": limited("010"),
    "plus": limited("+1"),
    "hex": limited("0x1"),
    "duplicate key": more('"hostname":"a","hostname":"b"'),
    "duplicate deep": limited('1,"limit":2'),
    "deep lists": more('"x":' + "[" * 100_000 + "]" * 100_000),
    "deep objects": more('"x":' + '{"a":' * 100_000 + "1" + "}" * 100_000),
    "65 deep": more('"x":' + "[" * 80 + "]" * 80),
    "nul in a string": more('"hostname":"a\\u0000b"'),
    "nul in a key": more('"annotations":{"a\\u0000b":"x"}'),
    "lone surrogate": more('"annotations":{"a":"\\ud800"}'),
    "raw newline": more('"hostname":"a\nb"'),
    "bad escape": more('"hostname":"\\x41"'),
    "latin-1": more('"annotations":{"a":"é"}').decode().encode("latin-1"),
    "utf-16": FINE.decode().encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + FINE,
    "overlong": more('"annotations":{"a":"@"}').replace(b"@", b"\xc0\xaf"),
    "key without quotes": more("hostname:1"),
    "binary": bytes(range(256)) * 10,
    "one brace": b"{",
}


def test_the_pattern_of_them_is_fine(bundle: Bundle) -> None:
    """What the strange documents are made from runs: each fails for its own reason."""
    for document in (FINE, limited("100")):
        with Box(bundle) as box:
            (bundle.directory / "config.json").write_bytes(document)
            assert box.call("run", "--bundle", str(bundle.directory), box.id).code == 0


def attempt(bundle: Bundle) -> tuple[str, float]:
    """create of whatever stands in the bundle; it must fail with one sentence."""
    with Box(bundle, patience=5) as box:
        begun = time.monotonic()
        outcome = box.call("create", "--bundle", str(bundle.directory), box.id)
        took = since(begun)
        assert outcome.code == 1, str(outcome)[:2000]
        assert "Traceback" not in outcome.err and outcome.err.strip()
        assert len(outcome.err) < 20_000
        assert box.call("state", box.id).code == 1
        return outcome.err, took


@pytest.mark.parametrize("name", DOCUMENTS)
def test_strange_documents(bundle: Bundle, name: str) -> None:
    """R-41: one sentence, status 1, nothing left, and quickly."""
    (bundle.directory / "config.json").write_bytes(DOCUMENTS[name])
    message, took = attempt(bundle)
    assert took < 1.5, f"it took {took:.2f} s"
    assert message.count("\n") <= 3


def link_loop(path: Path) -> None:
    path.symlink_to("config.json")


def sparse_file(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 30)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def much_json(path: Path) -> None:
    path.write_text(json.dumps({"annotations": {str(n): "x" * 1000 for n in range(20_000)}}))


FILES: list[Callable[[Path], None]] = [
    os.mkfifo,
    os.mkdir,
    link_loop,
    sparse_file,
    endless,
    much_json,
]


@pytest.mark.parametrize("make", FILES, ids=lambda each: each.__name__)
def test_files_that_are_no_documents(bundle: Bundle, make: Callable[[Path], None]) -> None:
    """R-40: a FIFO must not hang, an endless file must not eat the memory."""
    make(bundle.directory / "config.json")
    _, took = attempt(bundle)
    assert took < 2, f"it took {took:.2f} s"
