"""One module per verb: how its command line becomes one call of the runtime, and what it prints."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.cli import main
from pyruntime.runtime import container, create, removal
from pyruntime.runtime.request import CreateRequest

Requests = list[CreateRequest]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    """What create and run were asked for; run ends with 42."""
    found: Requests = []

    def fake_run(request: CreateRequest) -> int:
        found.append(request)
        return 42

    monkeypatch.setattr(create, "create", found.append)
    monkeypatch.setattr(create, "run", fake_run)
    return found


def members(request: CreateRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__slots__ if name != "log"}


PLAIN = {
    "root": "/r",
    "container_id": "web",
    "bundle": ".",
    "console_socket": "",
    "pid_file": "",
    "pidfd_socket": "",
    "no_pivot": False,
    "no_new_keyring": False,
    "preserve_fds": 0,
    "detach": True,
    "keep": False,
    "no_subreaper": False,
    "map_root_user": False,
    "cgroup_manager": "cgroupfs",
    "as_root": False,
}


def test_create_asks_for_nothing_unasked(requests: Requests) -> None:
    assert main.main(["--root=/r", "create", "web"]) == 0
    assert members(requests[0]) == PLAIN


def test_create_with_every_option(requests: Requests, tmp_path: Path) -> None:
    """As conmon writes it, and containerd's single dash."""
    words = "--bundle /b --pid-file /p --pidfd-socket /f --no-pivot --no-new-keyring --preserve-fds 2 -no-subreaper --map-root-user"
    given = ["--root=/r", "--log", f"{tmp_path}/log", "--log-format=json", "--debug"]
    more = ["--cgroup-manager", "cgroupfs", "create", *words.split(), "--console-socket", "/s"]
    assert main.main([*given, *more, "web"]) == 0
    assert members(requests[0]) == {
        **PLAIN,
        "bundle": "/b",
        "pid_file": "/p",
        "pidfd_socket": "/f",
        "console_socket": "/s",
        "no_pivot": True,
        "no_new_keyring": True,
        "preserve_fds": 2,
        "no_subreaper": True,
        "map_root_user": True,
    }
    log = requests[0].log
    assert (log.json, log.debugging) == (True, True)
    assert (tmp_path / "log").read_text() == ""


def test_run_returns_the_programs_status(requests: Requests) -> None:
    assert main.main(["--root=/r", "run", "web"]) == 42
    assert members(requests[0]) == {**PLAIN, "detach": False}


def test_run_with_its_own_options(requests: Requests) -> None:
    assert (
        main.main(["--root=/r", "run", "-d", "--keep", "--no-subreaper", "-b", "/b", "web"]) == 42
    )
    expected = {**PLAIN, "bundle": "/b", "keep": True, "no_subreaper": True}
    assert members(requests[0]) == expected


@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize(
    "words", [["--systemd-cgroup"], ["--systemd-cgroup", "--cgroup-manager=systemd"]]
)
def test_the_systemd_cgroup_manager(requests: Requests, verb: str, words: list[str]) -> None:
    main.main([*words, verb, "web"])
    assert requests[0].cgroup_manager == "systemd"


@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--cgroup-manager=x"], "unknown cgroup manager `x`"),
    ],
)
def test_other_cgroup_managers(
    requests: Requests,
    capfd: pytest.CaptureFixture[str],
    verb: str,
    words: list[str],
    sentence: str,
) -> None:
    assert main.main([*words, verb, "web"]) == 1
    err = capfd.readouterr().err
    assert f"pyruntime {verb} failed: " in err and sentence in err
    assert requests == []


def test_create_says_that_it_was_create(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: CreateRequest) -> None:
        raise errors.ContainerExists("web")

    monkeypatch.setattr(create, "create", refuse)
    monkeypatch.setattr("sys.argv", ["/usr/sbin/runc"])
    assert main.main(["create", "web"]) == 1
    words = 'msg="runc create failed: container with given ID already exists"'
    assert words in capfd.readouterr().err


class FakeContainer:
    """Notes what is asked of it."""

    def __init__(self, found: list[Any], root: str, container_id: str) -> None:
        self.found = found
        found += [root, container_id]

    def kill(self, word: str, *, everyone: bool) -> None:
        self.found += ["kill", word, everyone]

    def start(self, log: object) -> None:
        self.found += ["start", log is not None]

    def state(self) -> dict[str, Any]:
        return {"id": "web", "pid": 7, "annotations": {"name": "größe"}}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of which container."""
    notes: list[Any] = []
    monkeypatch.setattr(container, "find", lambda *where: FakeContainer(notes, *where))

    def fake_delete(root: str, container_id: str, _: object, *, force: bool) -> None:
        notes.extend([root, container_id, "delete", force])

    monkeypatch.setattr(removal, "delete", fake_delete)
    return notes


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["kill", "web"], ["kill", "TERM", False]),
        (["kill", "web", "9"], ["kill", "9", False]),
        (["kill", "--all", "web", "SIGUSR1"], ["kill", "SIGUSR1", True]),
        (["kill", "web", "BOGUS", "-a"], ["kill", "BOGUS", True]),
        (["start", "web"], ["start", True]),
        (["delete", "web"], ["delete", False]),
        (["delete", "--force", "web"], ["delete", True]),
        (["delete", "web", "-f"], ["delete", True]),
    ],
)
def test_light_verbs(
    found: list[Any], capfd: pytest.CaptureFixture[str], words: list[str], asked: list[Any]
) -> None:
    assert main.main(["--root", "/r", *words]) == 0
    assert found == ["/r", "web", *asked]
    assert capfd.readouterr() == ("", "")


def test_light_verbs_do_not_mind_the_cgroup_manager(found: list[Any]) -> None:
    """Engines give it to every verb."""
    assert main.main(["--systemd-cgroup", "kill", "web"]) == 0
    assert main.main(["--cgroup-manager", "x", "delete", "web"]) == 0


def test_state(found: list[Any], capfd: pytest.CaptureFixture[str]) -> None:
    """Two blanks a level and no newline at the end, as from runc."""
    assert main.main(["state", "web"]) == 0
    out = capfd.readouterr().out
    assert out.startswith('{\n  "id": "web",\n  "pid": 7,\n') and out.endswith("\n}")
    assert json.loads(out)["annotations"] == {"name": "größe"}


def entry(number: int, status: str) -> dict[str, Any]:
    return {
        "ociVersion": "1.0.2",
        "id": f"web{number}",
        "pid": number,
        "status": status,
        "bundle": f"/bundles/{number}",
        "rootfs": "/bundles/rootfs",
        "created": "2026-01-02T03:04:05.678901234Z",
        "owner": "",
    }


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `list` finds."""
    rows: list[Any] = []
    monkeypatch.setattr(container, "every", lambda _: iter(rows))
    return rows


Printed = Callable[..., str]


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Printed:
    def call(*words: str) -> str:
        assert main.main(["--root", str(tmp_path), "list", *words]) == 0
        return capfd.readouterr().out

    return call


def test_list_of_nothing(containers: list[Any], printed: Printed) -> None:
    title = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    assert printed() == title
    assert printed("--format", "json") == "null\n"
    assert printed("-q") == ""


def test_list_as_a_table(containers: list[Any], printed: Printed) -> None:
    """Columns as wide as runc's: at least 12, three blanks between."""
    containers += [(entry(1, "running"), os.getuid()), (entry(22, "stopped"), 4_000_000_000)]
    owner = pwd.getpwuid(os.getuid()).pw_name
    when = "2026-01-02T03:04:05.678901234Z"
    assert printed().splitlines() == [
        f"ID          PID         STATUS      BUNDLE        CREATED{' ' * 26}OWNER",
        f"web1        1           running     /bundles/1    {when}   {owner}",
        f"web22       22          stopped     /bundles/22   {when}   #4000000000",
    ]


def test_list_as_json(containers: list[Any], printed: Printed) -> None:
    containers += [(entry(1, "running"), os.getuid()), (entry(2, "created"), 4_000_000_000)]
    text = printed("-f=json")
    rows = json.loads(text)
    assert text.count("\n") == 1
    assert [row["id"] for row in rows] == ["web1", "web2"]
    owners = [row["owner"] for row in rows]
    assert owners == [pwd.getpwuid(os.getuid()).pw_name, "#4000000000"]


def test_list_of_ids(containers: list[Any], printed: Printed) -> None:
    containers += [(entry(1, "running"), 0), (entry(2, "created"), 0)]
    assert printed("-q", "--format", "json") == "web1\nweb2\n"


def test_list_goes_on_after_a_broken_one(
    containers: list[Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    containers += [errors.StateError("bad", "state.json is damaged"), (entry(2, "created"), 0)]
    assert main.main(["--root", str(tmp_path), "list", "-q"]) == 0
    out, err = capfd.readouterr()
    assert out == "web2\n"
    assert "level=warning" in err and "bad" in err and "state.json is damaged" in err


def test_list_in_another_format(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main(["list", "-f", "xml"]) == 1
    assert 'msg="invalid format option"' in capfd.readouterr().err


def test_features(capfd: pytest.CaptureFixture[str]) -> None:
    """CRI-O reads both streams as one document."""
    assert main.main(["features"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    document = json.loads(out)
    assert document["ociVersionMin"] == "1.0.0" and document["ociVersionMax"] == "1.3.0"


def test_spec(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        assert main.main(["spec", "--bundle", str(tmp_path)]) == 0
    finally:
        os.umask(umask)
    path = tmp_path / "config.json"
    assert path.read_text().startswith('{\n\t"ociVersion": "1.3.0",\n\t"process": {\n\t\t')
    assert path.stat().st_mode & 0o777 == 0o640


def test_spec_rootless(tmp_path: Path) -> None:
    assert main.main(["spec", "--rootless", "-b", str(tmp_path)]) == 0
    linux = json.loads((tmp_path / "config.json").read_text())["linux"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]


def test_spec_overwrites_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").symlink_to("nowhere")
    assert main.main(["spec", "-b", str(tmp_path)]) == 1
    assert "File config.json exists. Remove it first" in capfd.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_spec_in_a_missing_directory(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main(["spec", "-b", "/not/there"]) == 1
    assert "write `/not/there/config.json`: no such file or directory" in capfd.readouterr().err
