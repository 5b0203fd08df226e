"""`make`'s work: install vidya, editable, into the Python that runs this file.

Looks first for what would make pip fail, and says it in one line; does nothing when
this Python has the package, its dependencies and kernels newer than their sources.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

from kernel_extensions import blas_choice, find_compiler, pkg_config

ROOT = Path(__file__).resolve().parent.parent

STAMP = ROOT / "build" / "settings.json"
SETTINGS = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "VIDYA_BLAS", "VIDYA_CFLAGS")
DECLARED_BY = ("pyproject.toml", "setup.py", "vidya/__init__.py", "tools/kernel_extensions.py")

# Run in a fresh process, as a command would be: what was built, and by what it is driven.
DESCRIBE = """
import platform, sys, vidya
from vidya import kernels
from vidya.kernels import _float32, _float64
print(_float32.__file__, _float64.__file__, sep="\\n")
blas = " ".join(kernels.openblas_config().split()[:2])
print(f"vidya {vidya.__version__}: {kernels.get_isa()} kernels, {blas}, "
      f"Python {platform.python_version()} in {sys.prefix}")
"""


def settings() -> dict[str, str]:
    """What the environment says about the build."""
    return {name: os.environ[name] for name in SETTINGS if os.environ.get(name)}


# ---- is there anything to do? ----------------------------------------------------------------


def built() -> str | None:
    """A line about the installation if nothing has changed since it was made, else None."""
    installed = _record()
    if installed is None or not _is_newer(installed, [ROOT / name for name in DECLARED_BY]):
        return None
    try:
        if json.loads(STAMP.read_text(encoding="utf-8")) != settings():
            return None
    except (OSError, ValueError):
        return None
    try:
        libraries, line = describe()
    except RuntimeError:
        return None
    sources = [
        *(ROOT / "csrc").iterdir(),
        ROOT / "setup.py",
        ROOT / "tools" / "kernel_extensions.py",
    ]
    for library in libraries:
        # A library newer than the stamp was built by somebody else, with settings of their own.
        if not (_is_newer(library, sources) and _is_newer(STAMP, [library])):
            return None
    return line


def describe() -> tuple[list[Path], str]:
    """The two libraries that a command would load, and a line about them.

    Raises RuntimeError with the reason if they do not load.
    """
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError((done.stderr.splitlines() or ["no message"])[-1])
    *libraries, line = done.stdout.splitlines()
    return [Path(library) for library in libraries], line


def _is_newer(path: Path, others: Iterable[Path]) -> bool:
    made = path.stat().st_mtime_ns
    return all(other.stat().st_mtime_ns <= made for other in others)


def _installation() -> importlib.metadata.Distribution | None:
    """The editable installation of this very folder in this Python, if there is one."""
    for distribution in importlib.metadata.distributions(name="vidya"):
        url = json.loads(distribution.read_text("direct_url.json") or "{}")
        if url.get("url") == ROOT.as_uri() and url.get("dir_info", {}).get("editable"):
            return distribution
    return None


def _record() -> Path | None:
    """The record of that installation: as old as the installation is."""
    distribution = _installation()
    record = distribution and distribution.locate_file(
        f"vidya-{distribution.version}.dist-info/direct_url.json"
    )
    return Path(str(record)) if record else None


def missing(extras: list[str]) -> list[str]:
    """The requirements that the installation declares, for `extras` too, and are not met.

    Raises ImportError if pip keeps the parser of requirements somewhere else.
    """
    from pip._vendor.packaging.requirements import Requirement

    installation = _installation()
    lacking = []
    for need in map(Requirement, (installation.requires if installation else None) or []):
        marker, need.marker = need.marker, None
        wanted = marker is None or any(marker.evaluate({"extra": e}) for e in ("", *extras))
        if wanted and not _is_met(need.name, need.specifier):
            lacking.append(str(need))
    return lacking


def _is_met(name: str, specifier: object) -> bool:
    try:
        return importlib.metadata.version(name) in specifier  # type: ignore[operator]
    except importlib.metadata.PackageNotFoundError:
        return False


# ---- would pip fail? ---------------------------------------------------------------------------


def check_managed() -> None:
    """Stop where the system keeps this Python for itself (PEP 668) and this is no environment."""
    marker = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    allowed = os.environ.get("PIP_BREAK_SYSTEM_PACKAGES", "0") not in ("", "0", "false")
    if sys.prefix == sys.base_prefix and marker.exists() and not allowed:
        raise SystemExit(
            f"error: {sys.executable} belongs to the system, which installs nothing into it: make "
            "a virtual environment, python3 -m venv .venv && . .venv/bin/activate, then make again"
        )


def check_pip() -> None:
    """Stop where pip is missing or too old for an editable installation (PEP 660)."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(
            f"error: {sys.executable} has no pip: {sys.executable} -m ensurepip --upgrade "
            "(Debian: apt-get install python3-pip python3-venv)"
        )
    version = done.stdout.split()[1]
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) < (21, 3):
        raise SystemExit(
            f"error: pip {version} is too old: {sys.executable} -m pip install --upgrade pip"
        )


def check_compiler() -> None:
    """Stop where there is no C compiler, or none that can compile against Python."""
    compiler = find_compiler()
    if compiler is None:
        raise SystemExit("error: no C compiler: install gcc or clang (Debian: apt-get install gcc)")
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").exists():
        raise SystemExit(
            f"error: Python's headers are missing ({include}/Python.h): install them "
            "(Debian: apt-get install python3-dev, Fedora: dnf install python3-devel)"
        )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\n#include <pthread.h>\n", encoding="utf-8")
        try:
            done = subprocess.run(
                [*shlex.split(compiler), f"-I{include}", "-fsyntax-only", str(source)],
                capture_output=True,
                text=True,
            )
            said = "" if done.returncode == 0 else done.stderr or "it failed"
        except OSError as error:
            said = str(error)
    if said:
        reason = next((line for line in said.splitlines() if "error" in line), said.splitlines()[0])
        raise SystemExit(
            f"error: the C compiler '{compiler}' cannot compile an extension of Python: {reason}"
        )


# ---- doing it -----------------------------------------------------------------------------------


def pip_install(what: str, arguments: list[str], verbose: bool) -> None:
    """Run pip, quietly unless `verbose`; say before what it does, and stop if it fails."""
    print(f"Installing {what} into {sys.prefix} (this takes a while) ...", flush=True)
    environment = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--verbose" if verbose else "--quiet", *arguments],
        env={**os.environ, **environment},
    )
    if done.returncode:
        raise SystemExit(f"error: pip could not install {what}, see above (`make V=1` shows more)")


def install(extras: list[str], verbose: bool) -> str:
    """Build and install the package, and return a line about it."""
    check_managed()
    check_pip()
    check_compiler()
    if blas_choice() == "system":
        pkg_config("--libs")
    what = f"[{','.join(extras)}]" if extras else ""
    pip_install(f"vidya{what} and what it needs", ["--editable", f"{ROOT}{what}"], verbose)
    try:
        _, line = describe()
    except RuntimeError as error:
        raise SystemExit(f"error: vidya is installed but does not load: {error}") from error
    STAMP.parent.mkdir(exist_ok=True)
    STAMP.write_text(json.dumps(settings()), encoding="utf-8")
    return line


def bring_up_to_date(extras: list[str], verbose: bool) -> str:
    """Do as little as is needed, and return a line about the installation."""
    line = built()
    if line is None:
        return install(extras, verbose)
    try:
        needs = missing(extras)
    except ImportError:
        return install(extras, verbose)  # pip itself knows
    if needs:
        check_managed()
        pip_install(", ".join(needs), needs, verbose)
    return line


def main() -> int:
    """Install unless everything is there; 2 if this machine lacks something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extra", action="append", default=[], help="also install this extra")
    parser.add_argument("--verbose", action="store_true", help="show what pip and compiler do")
    arguments = parser.parse_args()
    try:
        print(bring_up_to_date(arguments.extra, arguments.verbose))
    except SystemExit as stop:
        print(stop, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
