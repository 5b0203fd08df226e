"""Declares the cffi extensions; pyproject.toml carries the rest."""

import os

from setuptools import setup
from setuptools.command.build_ext import build_ext


class BuildExt(build_ext):
    """Gives each extension its own folder of object files.

    The two are built from the same sources with different macros.
    """

    def build_extension(self, ext):
        temp = self.build_temp
        self.build_temp = os.path.join(temp, ext.name)
        try:
            super().build_extension(ext)
        finally:
            self.build_temp = temp


setup(
    cffi_modules=["vidya/_build.py:float_builder", "vidya/_build.py:double_builder"],
    cmdclass={"build_ext": BuildExt},
)
