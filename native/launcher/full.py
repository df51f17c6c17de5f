"""The same command in the full interpreter: what the launcher hands slow verbs over to.

Started as `python3.X -I -S -B -X utf8 PREFIX/lib/pyruntime/full.py ARGUMENTS`. Only the standard
library and this directory are on the module path, so neither the caller's environment nor packages
of the host can change what runs.
"""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from pyruntime.__main__ import main

if __name__ == "__main__":
    main()
