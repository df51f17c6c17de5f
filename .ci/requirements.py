"""Prints what .venv needs, from setup.cfg: `requirements.py setup.cfg`."""

from __future__ import annotations

import configparser
import sys


def main() -> None:
    config = configparser.ConfigParser()
    config.read(sys.argv[1], encoding="utf-8")
    print(config["options"]["install_requires"].strip())
    for lines in config["options.extras_require"].values():
        print(lines.strip())


if __name__ == "__main__":
    main()
