"""The launcher's `_frozen_importlib`: imports from the three places it has, and no other.

Built-in C modules, modules frozen into the executable, and the few extension modules that
`make install` puts beside it. CPython calls `_install`, `_find_and_load`, `_handle_fromlist` and
`_lock_unlock_module` by these names; everything else of importlib (finders, loaders, specs, locks,
bytecode files) would only be start-up time here.

No module but `sys` and `_imp` may be imported at the top: this *is* the import system.
"""


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
        # The parent may have imported us meanwhile.
        module = sys.modules.get(name)
        if module is not None:
            return module
    module = _load(name, import_)
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


def _load(name, import_):
    if _imp.is_builtin(name):
        module = _imp.create_builtin(_spec(name, None))
        sys.modules[name] = module
        _imp.exec_builtin(module)
        return module
    if _imp.is_frozen(name):
        return _load_frozen(name)
    path = _extension(name, import_)
    if path is None:
        raise ModuleNotFoundError(f"no module named {name!r} in the launcher", name=name)
    module = _imp.create_dynamic(_spec(name, path))
    sys.modules[name] = module
    _imp.exec_dynamic(module)
    return module


def _load_frozen(name):
    module = type(sys)(name)
    if _imp.is_frozen_package(name):
        # The C code asks us for submodules named in `from x import y` only if this exists.
        module.__path__ = []
    sys.modules[name] = module
    try:
        exec(_imp.get_frozen_object(name), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    # A module may replace itself in sys.modules, as importlib allows.
    return sys.modules[name]


def _spec(name, origin):
    return type(sys.implementation)(name=name, origin=origin)


def _extension(name, import_):
    """The path of an extension module that was installed beside the executable, if `name` is one."""
    if not _imp.is_frozen("_launcher"):
        return None
    launcher = _find_and_load("_launcher", import_)
    file = launcher.EXTENSIONS.get(name)
    return None if file is None else f"{launcher.library()}/{file}"


def _handle_fromlist(module, fromlist, import_):
    for name in fromlist:
        if name != "*" and not hasattr(module, name):
            full = f"{module.__name__}.{name}"
            if _imp.is_frozen(full) or _extension(full, import_):
                _find_and_load(full, import_)
    return module


def _lock_unlock_module(name):
    """There is one thread, so no module is ever locked."""
