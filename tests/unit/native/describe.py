"""Says all there is to a code object; used by the launcher that is tested, and by its test."""

from __future__ import annotations

ATTRIBUTES = """
    co_name co_qualname co_filename co_firstlineno co_flags co_argcount co_posonlyargcount
    co_kwonlyargcount co_nlocals co_stacksize co_names co_varnames co_cellvars co_freevars
    co_code co_linetable co_exceptiontable co_consts
""".split()


def describe(value: object) -> str:
    """All there is to a constant; of a code object, all its parts."""
    if hasattr(value, "co_code"):
        return "\n".join(f"{name} {describe(getattr(value, name))}" for name in ATTRIBUTES)
    if isinstance(value, tuple):
        return f"tuple({', '.join(describe(item) for item in value)})"
    if isinstance(value, frozenset):
        return f"frozenset({', '.join(sorted(describe(item) for item in value))})"
    return f"{type(value).__name__} {value!r}"
