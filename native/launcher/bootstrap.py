"""The launcher's `_frozen_importlib`: imports from the three places it has, and no other.

Built-in C modules, modules frozen into the executable, and the few extension modules that
`make install` puts beside it. CPython calls `_install`, `_find_and_load`, `_handle_fromlist` and
`_lock_unlock_module` by these names; everything else of importlib (finders, loaders, specs, locks,
bytecode files) would only be start-up time here.

Modules are lazy: an import makes them, and the body runs when a name of it is first used. A verb
therefore pays for `import errno` or `from pyruntime import errors` only when something goes wrong
(the classes of the latter alone are a tenth of the whole start). `from x import name` uses the name
at once.

No module but `sys` and `_imp` may be imported at the top: this *is* the import system.
"""

# Extension modules and their files in PREFIX/lib/pyruntime; freeze.py fills it in.
EXTENSIONS = {}


def _install(sys_module, imp_module):
    global sys, _imp
    sys = sys_module
    _imp = imp_module


def _find_and_load(name, import_):
    module = sys.modules.get(name)
    if module is not None:
        return module
    parent, _, child = name.rpartition(".")
    if parent:
        _find_and_load(parent, import_)
    module = _load(name, import_)
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


def _load(name, import_):
    if _imp.is_frozen(name):
        return _make_lazy(name, _run_frozen)
    if _imp.is_builtin(name):
        return _make_lazy(name, _run_builtin)
    if name not in EXTENSIONS:
        raise ModuleNotFoundError(f"no module named {name!r} in the launcher", name=name)
    library = _find_and_load("_launcher", import_).library()
    module = _imp.create_dynamic(_spec(name, f"{library}/{EXTENSIONS[name]}"))
    sys.modules[name] = module
    _imp.exec_dynamic(module)
    return module


def _run_frozen(name, namespace):
    exec(_imp.get_frozen_object(name), namespace)


def _run_builtin(name, namespace):
    """What a C module has is its functions and constants: a copy of them is as good."""
    module = _imp.create_builtin(_spec(name, None))
    _imp.exec_builtin(module)
    namespace.update(module.__dict__)


def _make_lazy(name, run):
    module = type(sys)(name)
    namespace = module.__dict__
    if run is _run_frozen and _imp.is_frozen_package(name):
        # The C code asks us for submodules named in `from x import y` only if this exists.
        namespace["__path__"] = []

    def run_body(attribute):
        # The C code looks for __path__ in every module that something is imported from.
        if attribute == "__path__":
            raise AttributeError(attribute)
        # Gone before the body runs: it may define a function of this name itself, and a module
        # that imports us in a circle sees what is there so far, as everywhere.
        del namespace["__getattr__"]
        try:
            run(name, namespace)
        except BaseException:
            namespace["__getattr__"] = run_body
            raise
        return getattr(module, attribute)

    namespace["__getattr__"] = run_body
    sys.modules[name] = module
    return module


def _spec(name, origin):
    return type(sys.implementation)(name=name, origin=origin)


def _handle_fromlist(module, fromlist, import_):
    """Loads the submodules among the names; what else they are is seen when they are fetched."""
    for name in fromlist:
        if name not in module.__dict__:
            full = f"{module.__name__}.{name}"
            if full in EXTENSIONS or _imp.is_frozen(full):
                _find_and_load(full, import_)
    return module


def _lock_unlock_module(name):
    """There is one thread, so no module is ever locked."""
