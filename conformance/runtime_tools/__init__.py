"""Runs the validation programs of OCI runtime-tools, built by the user elsewhere, on any runtime.

Nothing of that suite is part of this project: DIR is a checkout in which its own Makefile made `runtimetest` and
`validation/*/*.t`. `command` is the command line, `programs` runs one program in surroundings of its own, `tap` reads
what it says, `leftovers` removes what it leaves, `known` compares with known-tools.toml, `table` prints.
"""
