"""pyruntime: an OCI container runtime in Python, with a tiny native core.

Every verb imports this module, so it imports nothing. The few public names are looked up when they
are first used.
"""

__version__ = "0.1.0"

_HOMES = {
    "PyruntimeError": "pyruntime.errors",
    "BundleError": "pyruntime.errors",
    "SpecError": "pyruntime.errors",
    "ContainerError": "pyruntime.errors",
    "UnsupportedError": "pyruntime.errors",
    "StepError": "pyruntime.errors",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(home, None, None, (name,)), name)
