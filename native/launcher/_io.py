"""All that cffi wants of `_io`: the class by which it tells that an argument is a Python file.

It asks for it when it is loaded, to serve C functions that take a FILE *. We have none, and in the
launcher nothing can make a Python file either; the real module costs a tenth of the whole start.
"""


class _IOBase:
    __slots__ = ()
