"""Compiles the package into frozen.c, the launcher's own frozen tables (build time only).

A module is frozen when everything it imports at its top can be imported in the launcher: C modules
of modules.h, extension modules installed beside the executable, other frozen modules. The rest
(explain, extras, …) stays in PREFIX/lib/pyruntime for the full interpreter.

Each module is compiled with optimize=2, and without what only type checkers read: annotations,
`if TYPE_CHECKING:` blocks and `from __future__` lines (which would be an import at run time). Names
imported from pyruntime.errors are fetched where they are used: a verb that succeeds never makes
those classes, which take a tenth of a start.
"""

from __future__ import annotations
import __future__

import ast
import re
from pathlib import Path
from types import CodeType

import statics

HERE = Path(__file__).resolve().parent
ALWAYS_BUILTIN = {"builtins", "sys"}
LATE_NAME = "_errors_when_used"


def builtin_modules() -> set[str]:
    """The C modules the launcher carries, read from the list that is compiled into it."""
    rows = re.findall(r"X\((\w+), \w+\)", (HERE / "modules.h").read_text())
    return set(rows) | ALWAYS_BUILTIN


def is_type_checking(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def top_level_imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    """Imports that run when the module is imported: not in functions, not for type checkers."""
    found: list[ast.Import | ast.ImportFrom] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif is_type_checking(node):
            waiting.extend(node.orelse)  # type: ignore[attr-defined]
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return found


def imported_names(node: ast.Import | ast.ImportFrom, known: set[str]) -> set[str]:
    """The modules one import statement loads; `known` are the modules of the package."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    module = node.module or ""
    if module == "__future__":
        return set()
    submodules = {f"{module}.{alias.name}" for alias in node.names}
    return {module} | (submodules & known)


def package_modules(package: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def freezable(modules: dict[str, Path], extensions: set[str]) -> list[str]:
    """The modules that can be imported in the launcher, found by striking out until none falls."""
    known = set(modules) | extensions
    needs = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text(), str(path))
        wanted = [imported_names(node, known) for node in top_level_imports(tree)]
        needs[name] = set().union(*wanted)
    available = builtin_modules() | extensions
    hot = {name for name in modules if not name.endswith("__main__")}
    while True:
        fallen = {
            name
            for name in hot
            if needs[name] - available - hot or name.rpartition(".")[0] not in hot | {""}
        }
        if not fallen:
            return sorted(hot)
        hot -= fallen


class _Stripper(ast.NodeTransformer):
    """Takes out what only type checkers read."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "__future__" else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if is_type_checking(node):
            return node.orelse
        node.body = node.body or [ast.copy_location(ast.Pass(), node)]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._keep_body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._keep_body(node)

    def _keep_body(self, node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.copy_location(ast.Pass(), node)]
        return node


class _LateErrors(ast.NodeTransformer):
    """`raise StepError(…)` of an imported StepError becomes `raise _errors.StepError(…)`."""

    def __init__(self, late: dict[str, str]) -> None:
        self.late = late

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.late:
            return node
        module = ast.copy_location(ast.Name(LATE_NAME, ast.Load()), node)
        return ast.copy_location(ast.Attribute(module, self.late[node.id], ast.Load()), node)


def bound_names(tree: ast.Module) -> set[str]:
    """Every name that something but an import binds, in whatever scope of the module."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            names.add(node.name or "")
    return names


def fetch_errors_late(tree: ast.Module) -> ast.Module:
    """Rewrites the imports of pyruntime.errors at the top of a module, if no name is bound twice."""
    late: dict[str, str] = {}
    bound = bound_names(tree)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "pyruntime.errors":
            names = {alias.asname or alias.name: alias.name for alias in node.names}
            if not bound & set(names):
                late |= names
                node.module, node.names = "pyruntime", [ast.alias("errors", LATE_NAME)]
    result: ast.Module = _LateErrors(late).visit(tree)
    return result


def frozen_code(source: str, label: str) -> CodeType:
    tree = fetch_errors_late(_Stripper().visit(ast.parse(source, label)))
    ast.fix_missing_locations(tree)
    flags = __future__.annotations.compiler_flag
    code: CodeType = compile(tree, label, "exec", flags, dont_inherit=True, optimize=2)
    return code


def verb_modules() -> list[str]:
    """The modules that the verbs of a container's life load, those of most verbs first."""
    return (HERE / "modules.txt").read_text().split()


def write_tables(out: Path, codes: dict[str, CodeType], packages: set[str]) -> None:
    """frozen.c; the import system itself is the first of the modules."""
    writer = statics.Writer(codes)
    rows = [
        # The interpreter takes a row without bytes for a module that must not be imported.
        f'\t{{ "{name}", (const unsigned char *)"-", 1, {int(name in packages)}, {getter} }},'
        for name, getter in writer.getters.items()
    ]
    text = (HERE / "frozen.c.in").read_text().replace("@CODE@", writer.text)
    text = text.replace("@BOOTSTRAP@", rows[0]).replace("@MODULES@", "\n".join(rows[1:]))
    (out / "frozen.c").write_text(text)


def freeze(package: Path, out: Path, interpreter: str, extensions: dict[str, str]) -> list[str]:
    """Writes the tables beneath `out` and returns the names of the frozen modules."""
    modules = package_modules(package)
    names = freezable(modules, set(extensions))
    own = {
        "_frozen_importlib": ("bootstrap.py", f"EXTENSIONS = {extensions!r}"),
        "_launcher": ("_launcher.py", f"INTERPRETER = {interpreter!r}"),
        "_io": ("_io.py", ""),
    }
    codes = {}
    for name, (file, facts) in own.items():
        source = (HERE / file).read_text() + f"\n{facts}\n"
        codes[name] = frozen_code(source, f"<launcher>/{file}")
    # Asked for before the first use of a rarer error handler, such as backslashreplace.
    codes["encodings"] = frozen_code("", "<launcher>/encodings")
    # What is used together lies together: the kernel maps a file in pieces of 64 KiB.
    first = [name for name in verb_modules() if name in names]
    for name in [*first, *sorted(set(names) - set(first))]:
        label = f"<launcher>/{modules[name].relative_to(package.parent)}"
        codes[name] = frozen_code(modules[name].read_text(), label)
    packages = {name for name in names if modules[name].name == "__init__.py"}
    write_tables(out, codes, packages | {"encodings"})
    return names
