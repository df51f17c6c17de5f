"""seccomp profiles become filter programs, without libseccomp.

`compile.compile_filter` is the door. words.py holds the specification's words and their kernel values,
tables/ the system call numbers of each architecture, conditions.py what happens when several rules speak of
one system call, program.py the instructions. The specification is config-linux.md, section Seccomp; what the
decisions mean in detail is libseccomp's way, because that is what profiles were written and tested with, and
tests/unit/seccomp compares both.
"""
