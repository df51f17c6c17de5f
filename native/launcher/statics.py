"""Writes code objects as C data, so that loading a module decodes nothing (build time only).

A marshalled module is decoded object by object when it is first used: some 450 instructions for each
string, tuple and code object, a quarter of all that a `create` in Python does. As initialised C data
the same objects are simply there. What is left for run time is to intern names.

Layouts are CPython 3.11's, spelled through its own headers. The objects of a module stand in one
struct in the order of their making, so that using it touches few pages; what only a traceback reads
stands in another, and these lie together, away from what is used. Strings that several modules have
are shared, those of the first modules first.
"""

from __future__ import annotations

import math
import opcode
from collections import Counter
from collections.abc import Callable
from types import CodeType
from typing import Any

DIGIT_BITS = 30
RESUME = opcode.opmap["RESUME"]
LOCAL, CELL, FREE = 0x20, 0x40, 0x80
SINGLETONS = {
    "None": "_Py_NoneStruct",
    "Ellipsis": "_Py_EllipsisObject",
    "True": "_Py_TrueStruct",
    "False": "_Py_FalseStruct",
}

GETTER = """static PyObject *%(getter)s(void)
{
	static PyCodeObject *const codes[] = {
%(codes)s	};
	static PyObject **const sets[] = {
%(sets)s		NULL,
	};

	return pr_ready(codes, sizeof(codes) / sizeof(*codes), sets);
}

"""


def c_bytes(data: bytes) -> str:
    """A string literal; octal escapes end after three digits, whatever follows."""
    letters = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}" for byte in data
    )
    return f'"{"".join(letters)}"'


def locals_of(code: CodeType) -> tuple[tuple[str, ...], bytes]:
    """The names of the fast locals, cells and free variables, and what each is."""
    cells = [name for name in code.co_cellvars if name not in code.co_varnames]
    kinds = [LOCAL | (CELL if name in code.co_cellvars else 0) for name in code.co_varnames]
    kinds += [CELL] * len(cells) + [FREE] * len(code.co_freevars)
    return (*code.co_varnames, *cells, *code.co_freevars), bytes(kinds)


def strings_of(value: object) -> list[str]:
    """Every string within, those of nested code included, as often as it stands there."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, CodeType):
        names = (*value.co_names, *locals_of(value)[0], value.co_name, value.co_qualname)
        return [*names, value.co_filename, *strings_of(value.co_consts)]
    if isinstance(value, tuple | frozenset):
        return [text for item in value for text in strings_of(item)]
    return []


class Struct:
    """One C variable: a struct whose members are objects."""

    def __init__(self, name: str, attribute: str = "") -> None:
        self.name = name
        self.attribute = attribute
        self.members: list[tuple[str, str]] = []
        self.known: dict[tuple[object, ...], str] = {}

    def add(self, key: tuple[object, ...], kind: str, value: str, inner: str = "") -> str:
        """The address of an object that is added unless an equal one is there."""
        if key not in self.known:
            member = f"m{len(self.members)}"
            self.known[key] = f"(PyObject *)&{self.name}.{member}{inner}"
            self.members.append((f"{kind} {member};", f".{member} = {value},"))
        return self.known[key]

    def text(self) -> str:
        if not self.members:
            return ""
        kinds, values = zip(*self.members, strict=True)
        lines = [
            "static struct {",
            *kinds,
            f"}} {self.name}{self.attribute} = {{",
            *values,
            "};",
            "",
        ]
        return "\n".join(lines)


class Writer:
    """The C text of all modules; `getters` says which function makes which module's code ready."""

    def __init__(self, modules: dict[str, CodeType]) -> None:
        uses = Counter(text for code in modules.values() for text in set(strings_of(code)))
        self.shared_strings = {text for text, count in uses.items() if count > 1}
        self.shared = Struct("pr_shared")
        self.getters: dict[str, str] = {}
        parts = [self._module(name, code) for name, code in modules.items()]
        self.text = "".join([self.shared.text(), *parts])

    def _module(self, name: str, code: CodeType) -> str:
        number = len(self.getters)
        self.hot, self.cold = Struct(f"pr_hot_{number}"), Struct(f"pr_cold_{number}", " PR_COLD")
        self.codes: list[str] = []
        self.sets: list[str] = []
        self.value(code)
        getter = self.getters[name] = f"pr_get_{number}"
        codes = "".join(f"\t\t(PyCodeObject *){address},\n" for address in self.codes)
        sets = "".join(f"\t\t{slot},\n" for slot in self.sets)
        function = GETTER % {"getter": getter, "codes": codes, "sets": sets}
        return f"/* {name} */\n{self.cold.text()}{self.hot.text()}{function}"

    def value(self, value: object) -> str:
        """The address of a constant."""
        if repr(value) in SINGLETONS:
            return f"(PyObject *)&{SINGLETONS[repr(value)]}"
        makers: dict[type, Callable[[Any], str]] = {
            str: self._string,
            bytes: lambda data: self._bytes(data, self.hot),
            int: self._integer,
            float: self._float,
            tuple: self._tuple,
            frozenset: lambda items: self._tuple(tuple(sorted(items, key=repr))),
            CodeType: self._code,
        }
        make = makers.get(type(value))
        if make is None:
            raise SystemExit(f"launcher: the constant {value!r} has no C form in statics.py")
        return make(value)

    def _string(self, text: str) -> str:
        if not text:
            return "(PyObject *)&_Py_STR(empty)"
        where = self.shared if text in self.shared_strings else self.hot
        if text.isascii():
            kind = f"struct {{ PyASCIIObject h; char d[{len(text) + 1}]; }}"
            value = f"{{ PR_ASCII({len(text)}), {c_bytes(text.encode())} }}"
            return where.add((str, text), kind, value)
        widest = max(map(ord, text))
        width = 1 if widest < 1 << 8 else 2 if widest < 1 << 16 else 4
        points = ", ".join(str(ord(letter)) for letter in text)
        kind = f"struct {{ PyCompactUnicodeObject h; Py_UCS{width} d[{len(text) + 1}]; }}"
        return where.add((str, text), kind, f"{{ PR_WIDE({len(text)}, {width}), {{ {points} }} }}")

    def _bytes(self, data: bytes, where: Struct) -> str:
        if not data:
            return "(PyObject *)&_Py_SINGLETON(bytes_empty)"
        kind = f"struct {{ PyObject_VAR_HEAD Py_hash_t hash; char d[{len(data) + 1}]; }}"
        value = f"{{ PR_VAR_HEAD(PyBytes_Type, {len(data)}), -1, {c_bytes(data)} }}"
        return where.add((bytes, data), kind, value)

    def _integer(self, number: int) -> str:
        if -5 <= number <= 256:
            return f"(PyObject *)&_Py_SINGLETON(small_ints)[{number + 5}]"
        digits, rest = [], abs(number)
        while rest:
            digits.append(str(rest & ((1 << DIGIT_BITS) - 1)))
            rest >>= DIGIT_BITS
        size = -len(digits) if number < 0 else len(digits)
        kind = f"struct {{ PyObject_VAR_HEAD digit d[{len(digits)}]; }}"
        value = f"{{ PR_VAR_HEAD(PyLong_Type, {size}), {{ {', '.join(digits)} }} }}"
        return self.hot.add((int, number), kind, value)

    def _float(self, number: float) -> str:
        number_in_c = (
            number.hex() if math.isfinite(number) else f"{number}".replace("inf", "HUGE_VAL")
        )
        value = f"{{ PR_HEAD(PyFloat_Type), {number_in_c} }}"
        return self.hot.add((float, number.hex()), "PyFloatObject", value)

    def _tuple(self, items: tuple[object, ...]) -> str:
        if not items:
            return "(PyObject *)&_Py_SINGLETON(tuple_empty)"
        addresses = [self.value(item) for item in items]
        kind = f"struct {{ PyGC_Head gc; PyObject_VAR_HEAD PyObject *i[{len(items)}]; }}"
        joined = ", ".join(addresses)
        value = f"{{ {{ 0, 0 }}, PR_VAR_HEAD(PyTuple_Type, {len(items)}), {{ {joined} }} }}"
        at = [index for index, item in enumerate(items) if isinstance(item, frozenset)]
        address = self.hot.add((tuple, *addresses, *at), kind, value, ".ob_base")
        # A set cannot be data: a tuple stands in its place until the module is first used.
        holder = address.removeprefix("(PyObject *)").removesuffix(".ob_base")
        self.sets += [f"{holder}.i[{index}]" for index in at]
        return address

    def _code(self, code: CodeType) -> str:
        names, kinds = locals_of(code)
        units = code.co_code[::2]
        plain = (
            "flags",
            "argcount",
            "posonlyargcount",
            "kwonlyargcount",
            "stacksize",
            "firstlineno",
        )
        fields: dict[str, object] = {f"co_{name}": getattr(code, f"co_{name}") for name in plain}
        for name in ("filename", "name", "qualname", "consts", "names"):
            fields[f"co_{name}"] = self.value(getattr(code, f"co_{name}"))
        for name in ("linetable", "exceptiontable"):
            fields[f"co_{name}"] = self._bytes(getattr(code, f"co_{name}"), self.cold)
        fields |= {
            "co_warmup": "QUICKENING_INITIAL_WARMUP_VALUE",
            "co_nlocalsplus": len(names),
            "co_nlocals": code.co_nlocals,
            "co_nplaincellvars": kinds.count(CELL),
            "co_ncellvars": len(code.co_cellvars),
            "co_nfreevars": len(code.co_freevars),
            "co_localsplusnames": self._tuple(names),
            "co_localspluskinds": self._bytes(kinds, self.cold),
            "_co_firsttraceable": units.index(RESUME),
            "co_code_adaptive": c_bytes(code.co_code),
        }
        values = ", ".join(f".{name} = {value}" for name, value in fields.items())
        value = f"{{ PR_VAR_HEAD(PyCode_Type, {len(units)}), {values} }}"
        kind = f"struct _PyCode_DEF({len(code.co_code)})"
        address = self.hot.add((CodeType, id(code)), kind, value)
        self.codes.append(address)
        return address
