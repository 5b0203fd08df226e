"""Declares the cffi extensions; pyproject.toml carries the rest."""

import os
import sysconfig
from concurrent.futures import ThreadPoolExecutor

from setuptools import setup
from setuptools.command.build_ext import build_ext

START = "tools/vidya.pth"


class BuildExt(build_ext):
    """Compiles our own files with warnings as errors, and always all of them.

    Generated code and Python.h are not ours: a warning there must not stop anybody.
    The two extensions share their sources but not their macros, so each has a
    folder of object files of its own.

    setuptools compiles one file after the other; here every core compiles one.

    The folder of the Python that builds is left out of the libraries, although that Python may ask
    for it: they need nothing of it, and they may be installed on another machine.

    Beside the package goes a file that Python reads when it starts (tools/vidya.pth).
    """

    def run(self):
        """Build, and put that file where the installation takes it from."""
        super().run()
        if self.editable_mode:
            self.copy_file(START, self.get_finalized_command("install").install_lib)
        elif not self.inplace:
            self.mkpath(self.build_lib)
            self.copy_file(START, self.build_lib)

    def build_extensions(self):
        """Build all, with the compiler's per-file step wrapped."""
        compile_file = self.compiler._compile

        def compile_leniently(obj, src, ext, cc_args, flags, pp_opts):
            if not src.startswith("csrc"):
                flags = [flag for flag in flags if not flag.startswith("-W")]
            compile_file(obj, src, ext, cc_args, flags, pp_opts)

        def compile_all(
            sources, output_dir=None, macros=None, include_dirs=None, debug=0,
            extra_preargs=None, extra_postargs=None, depends=None,
        ):  # fmt: skip
            # what the compiler's own method does, but several files at a time
            _, objects, flags, options, files = self.compiler._setup_compile(
                output_dir, macros, include_dirs, sources, depends, extra_postargs
            )
            cc_args = self.compiler._get_cc_args(options, debug, extra_preargs)

            def compile_object(obj):
                source, ext = files[obj]
                self.compiler._compile(obj, source, ext, cc_args, flags, options)

            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                list(pool.map(compile_object, files))
            return objects

        pythons = {
            word
            for word in (sysconfig.get_config_var("LDSHARED") or "").split()
            if word.startswith("-Wl,-rpath")
        }
        self.compiler.linker_so = [w for w in self.compiler.linker_so if w not in pythons]
        self.compiler._compile = compile_leniently
        self.compiler.compile = compile_all
        self.force = True  # a changed flag or compiler leaves no trace in the time stamps
        super().build_extensions()

    def build_extension(self, ext):
        """Build one, its object files apart."""
        shared = self.build_temp
        self.build_temp = os.path.join(shared, ext.name)
        try:
            super().build_extension(ext)
        finally:
            self.build_temp = shared


# cffi keeps to Python's stable interface, except where Python runs without its lock.
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

setup(
    cffi_modules=[
        "tools/kernel_extensions.py:float_builder",
        "tools/kernel_extensions.py:double_builder",
    ],
    cmdclass={"build_ext": BuildExt},
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp310"}},
)
