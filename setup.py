"""What setup.cfg cannot say: the shim (cffi), and the tables generated from the schema."""

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildPackage(build_py):
    """Generates pyruntime/spec/_tables.py before the package is copied."""

    def run(self) -> None:
        subprocess.run([sys.executable, str(ROOT / "schema" / "generate.py")], check=True)
        super().run()


# native/shim/build.py also compiles the init, which the shim embeds.
setup(cffi_modules=["native/shim/build.py:ffibuilder"], cmdclass={"build_py": BuildPackage})
