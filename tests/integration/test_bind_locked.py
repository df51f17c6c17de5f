"""Flags of a bind's source that are locked in a user namespace (mount_namespaces(7)): they stay, and nobody is told they
went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.test_bind_options import OPPOSITES, WORDS, guard, restrictions
from tests.lib import kernel, programs
from tests.lib.box import refused, report
from tests.lib.bundle import Bundle
from tests.lib.ordinary_user import Person, PersonBox, rootless

pytestmark = pytest.mark.covers("mounts.options")


@pytest.fixture
def locked(person: Person) -> Iterator[Callable[..., Bundle]]:
    """A bundle of an ordinary user, with a bind from a mount that has every flag."""
    volume = person.home.parent / "volume"
    volume.mkdir()
    kernel.mount("volume", str(volume), "tmpfs")
    (volume / "sub").mkdir()
    guard(volume)

    def make(*options: str) -> Bundle:
        return rootless(person.bundle().bind(volume, "/m", *options), person, person.maps)

    yield make
    kernel.umount(str(volume))


# Links may be followed again: that flag the kernel does not lock.
LOCKED = [word for word in OPPOSITES if word != "symfollow"]
# What mount(2) takes for no wish, if nothing else is said of access times.
NO_WISH = ("diratime", "atime", "norelatime", "nostrictatime")


@pytest.mark.parametrize(
    "options",
    [(), ("rro", "rnosuid"), ("ro",), ("noexec", "noatime", "nodiratime"), *((word,) for word in NO_WISH)],
)  # fmt: skip
def test_locked_flags_stay(
    person: Person, locked: Callable[..., Bundle], options: tuple[str, ...]
) -> None:
    plain = options not in ((), ("rro", "rnosuid"))
    with PersonBox(locked(*options), person) as box:
        seen = restrictions(box.run(check=True).facts.mount("/m"))
    assert seen == WORDS - ({"nosymfollow"} if plain else set())


@pytest.fixture
def in_a_user_namespace(mapped: Bundle, tmp_path: Path) -> Iterator[Callable[..., Bundle]]:
    """A container of root's in a user namespace, with a bind from a mount that has every flag."""
    volume = tmp_path / "volume"
    volume.mkdir()
    kernel.mount("volume", str(volume), "tmpfs")
    guard(volume)
    yield lambda *options: mapped.bind(volume, "/m", *options)
    kernel.umount(str(volume))


@pytest.mark.parametrize("options", [(), ("ro",), ("noexec", "noatime", "nodiratime"), ("atime",)])
def test_what_root_could_take_away_stays_in_a_user_namespace(
    in_a_user_namespace: Callable[..., Bundle], options: tuple[str, ...]
) -> None:
    seen = restrictions(report(in_a_user_namespace(*options)).mount("/m"))
    assert seen == WORDS - ({"nosymfollow"} if options else set())


@pytest.mark.parametrize(
    "option",
    [
        "rw",
        "suid",
        "dev",
        "exec",
        "relatime",
        "strictatime",
        "noatime",
        "nodiratime",
        "rrw",
        "rexec",
    ],
)
def test_its_opposite_is_refused_there(
    in_a_user_namespace: Callable[..., Bundle], option: str
) -> None:
    """`bind,rw` of what is read-only must not be granted in silence."""
    assert "operation not permitted" in refused(in_a_user_namespace(option))


@pytest.mark.parametrize(
    "option", [*(word for word in LOCKED if word not in NO_WISH), *("r" + word for word in LOCKED)]
)
def test_who_asks_for_a_locked_one_is_told(
    person: Person, locked: Callable[..., Bundle], option: str
) -> None:
    with PersonBox(locked(option), person) as box:
        outcome = box.create(check=False)
    assert outcome.code == 1 and "operation not permitted" in outcome.message, str(outcome)
    assert "/mounts/3" in outcome.message or programs.runtime_name() != "pyruntime"
