"""Cgroup drivers: where a container's groups stand, what limits they carry, and how they go away.

Knows resources (linux.resources and linux.cgroupsPath of the runtime-spec), not containers. `driver` is the
one face of the package; what it calls is imported when it is called, so that `state` and `kill` never load
what only `create` needs. Directories are reached component by component beneath the descriptor of a
hierarchy's mount, never through a link and never by a path that a record or a config may have bent.
"""
