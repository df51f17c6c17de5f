"""`make bare`: the README's commands on a Debian that has nothing installed but git, make, python3 and certificates."""
