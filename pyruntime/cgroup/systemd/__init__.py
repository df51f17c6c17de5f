"""The systemd driver: the container's group is that of a scope which systemd makes, watches and takes away.

systemd moves the init into the scope and is told the limits as properties, so that a reload of its own does not undo
them; then the same files are written as without systemd, which say more than properties can. Everything else (exec,
kill, pause, ps) works on the groups alone. `names`, `properties` and `variants` know no bus; `bus` is the only module
that needs jeepney and the full interpreter, and is imported after a hand-over only (`presence`).
"""
