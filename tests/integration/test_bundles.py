"""The example bundles run: the first thing a newcomer tries. Each test works on a copy."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.lib import programs
from tests.lib.box import Box, unique_id
from tests.lib.bundle import Bundle
from tests.lib.console import OwnTerminal
from tests.lib.ordinary_user import Person, known, own
from tests.lib.patience import scaled

NAMES = ["hello", "shell", "service", "hooks", "rootless"]


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """bundles/ without what was prepared there."""
    target = tmp_path / "bundles"
    shutil.copytree(
        programs.PROJECT / "bundles", target, ignore=shutil.ignore_patterns("rootfs*", "log")
    )
    return target


def prepared(examples: Path, name: str) -> Bundle:
    subprocess.run([examples / "prepare", name], check=True)
    document = json.loads((examples / name / "config.json").read_text())
    document["linux"]["cgroupsPath"] = f"/{unique_id()}"
    return Bundle(examples / name, document)


def test_there_is_no_other_example(examples: Path) -> None:
    assert sorted(path.name for path in examples.iterdir() if path.is_dir()) == sorted(NAMES)


def test_hello(examples: Path) -> None:
    with Box(prepared(examples, "hello")) as box:
        outcome = box.run(check=True)
        assert "hello" in outcome.out.lower() and outcome.err == ""


def test_hooks(examples: Path) -> None:
    with Box(prepared(examples, "hooks")) as box:
        box.run(check=True)
    lines = (examples / "hooks/log/hooks.log").read_text().splitlines()
    kinds = [
        word
        for line in lines
        for word in line.split()
        if word.startswith(("pre", "create", "start", "post"))
    ]
    order = [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ]
    seen = [kind.rstrip(":") for kind in kinds if kind.rstrip(":") in order]
    assert set(seen) == set(order)
    if programs.runtime_name() == "pyruntime":  # runc 1.1 runs poststart in create
        assert seen == order


def test_service(examples: Path) -> None:
    with Box(prepared(examples, "service")) as box:
        box.run("--detach", check=True)
        assert box.status == "running"
        box.kill("TERM")
        assert box.wait() in (0, 128 + signal.SIGTERM)
        box.delete()


def test_shell(examples: Path) -> None:
    bundle = prepared(examples, "shell")
    with OwnTerminal() as own, Box(bundle) as box:
        bundle.write(box.id)
        process = subprocess.Popen(
            [
                *programs.runtime_command(),
                *box.globals,
                "run",
                "--bundle",
                str(bundle.directory),
                box.id,
            ],
            stdin=own.slave,
            stdout=own.slave,
            stderr=own.slave,
            start_new_session=True,
        )
        own.read_until("#")
        own.write("echo it-is-$((6 * 7)); exit 3\n")
        own.read_until("it-is-42")
        assert process.wait(scaled(20)) == 3


def test_the_one_command(examples: Path) -> None:
    """bundles/run NAME RUNTIME, as the README says."""
    wrapper = examples / "runtime"
    words = [*programs.runtime_command(), "--root", str(examples / "state")]
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    wrapper.chmod(0o755)
    done = subprocess.run(
        [examples / "run", "hello", wrapper],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout.lower()


def test_an_ordinary_user(tmp_path: Path) -> None:
    """bundles/run rootless: nothing of it needs root."""
    with known(Person()) as person:
        examples = person.home / "bundles"
        shutil.copytree(
            programs.PROJECT / "bundles", examples, ignore=shutil.ignore_patterns("rootfs*", "log")
        )
        own(examples, person.uid)
        done = subprocess.run(
            [examples / "run", "rootless", *programs.runtime_command()],
            capture_output=True,
            text=True,
            env=person.env,
            preexec_fn=person.become,
            check=False,
        )
        assert done.returncode == 0 and done.stderr == "", str(done)
        assert "ordinary user" in done.stdout and f"is of {person.name}" in done.stdout
        assert (examples / "rootless/log/made").stat().st_uid == person.uid
