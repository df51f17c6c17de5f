"""The native module: `lib` (system calls of the shim and the kernel's numbers from its headers) and `ffi`."""

from __future__ import annotations

from pyruntime.kernel import _native

ffi = _native.ffi
lib = _native.lib
