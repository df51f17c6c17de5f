"""Config documents: check against jsonschema, and everything from the bytes to the tape without an odd exception."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
from hypothesis import strategies as st

from pyruntime import features
from pyruntime.errors import BundleError, InternalError, PyruntimeError, SpecError
from pyruntime.lib import jsondoor
from pyruntime.plan.step import Step
from pyruntime.plan.tape import Tape
from pyruntime.spec import load
from pyruntime.spec.check import check
from tests.fuzz import documents
from tests.fuzz.budget import explore
from tests.lib import plans, tapes
from tests.unit.spec.cases import take
from tests.unit.spec.test_agreement import has_final_newline

VALIDATORS = {
    what: jsonschema.Draft4Validator(documents.Resolver().tree(f"{what}-schema.json"))
    for what in ("config", "state", "features")
}
HOSTS: list[dict[str, Any]] = [
    {},
    {"v2": True},
    {"privileged": False, "in_user_namespace": True, "unprivileged_user": True, "v2": True},
    {"inline": True, "no_pivot": True, "root_places": ["/proc", "/x"]},
    {"root_alone": True, "notify": "/run/pyruntime/web/notify", "preserve_fds": 3},
    {"cgroups": False, "cgroup_obstacle": "permission denied", "machine": "aarch64"},
    {"capabilities": 1, "last_capability": 36, "new_keyring": False},
    {"apparmor": True, "selinux": True, "may_nice": False},
]


def agree(example: tuple[str, Any]) -> None:
    """A key in the wrong case is only a warning of ours, and no keyword of the schema forbids keys."""
    what, document = example
    if has_final_newline(document):
        return  # Python's `$` lets a newline follow
    found = check(document, what)
    assert VALIDATORS[what].is_valid(document) == (not found), found
    assert found or not check(jsondoor.loads(jsondoor.dumps(document).encode()), what)


def test_check_and_jsonschema_agree() -> None:
    explore("agreement", documents.mutated(), agree)


def test_what_the_schema_allows_is_accepted() -> None:
    explore("agreement", documents.from_schema(), lambda made: agree(("config", made)))


def accepted(document: dict[str, Any]) -> dict[str, Any] | None:
    """The document as `create` would plan it: without what it was refused for. None if nothing sound is left."""
    document = copy.deepcopy(document)
    for _ in range(6):
        try:
            return load.parse(
                jsondoor.dumps(document).encode("utf-8", "surrogateescape"),
                extra_rules=features.rules,
            )
        except SpecError as error:
            for pointer, _, _ in reversed(error.findings):
                try:
                    take(document, pointer)
                except (KeyError, IndexError, ValueError, TypeError):
                    continue  # gone with its neighbour, or missing, which is the finding
        except BundleError:
            return None
    return None


REACHED = {"planned": 0, "refused": 0}


def encode(steps: list[Step]) -> None:
    """The encoder takes it, and the other reading of the format reads it."""
    steps = [step for step in steps if step.ops]
    made = tapes.decode(Tape(steps).bytes)
    assert {entry.step for entry in made.instructions} <= set(range(len(steps)))


def plan_for(document: dict[str, Any], facts: dict[str, Any]) -> None:
    site = plans.site(**facts)
    site.terminal = bool((document.get("process") or {}).get("terminal"))
    try:
        steps = features.plan(document, site)
    except InternalError:
        raise
    except PyruntimeError:
        REACHED["refused"] += 1
        return
    REACHED["planned"] += 1
    encode(steps)


def plan(example: tuple[tuple[str, Any], dict[str, Any]]) -> None:
    (what, document), facts = example
    spec = accepted(document) if what == "config" else None
    if spec is not None:
        plan_for(spec, facts)


def test_plans() -> None:
    REACHED.update(planned=0, refused=0)
    made = documents.from_schema().map(lambda found: ("config", found)) | documents.mutated()
    explore("plan", st.tuples(made, st.sampled_from(HOSTS)), plan)
    print(REACHED)
    assert REACHED["planned"] > REACHED["refused"], REACHED


def plan_exec(document: dict[str, Any]) -> None:
    spec = accepted(document)
    if spec is None or not spec.get("process"):
        return
    if list(features.exec_rules(spec)):
        return
    try:
        steps = plans.executed(spec, terminal=bool(spec["process"].get("terminal")))
    except InternalError:
        raise
    except PyruntimeError:
        return
    encode(steps)


def test_plans_of_exec() -> None:
    explore("exec plan", documents.from_schema(), plan_exec)
