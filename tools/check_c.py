"""Compile every C file with every compiler there is, warnings being errors.

gcc and clang for this machine, and gcc for aarch64 where it is installed; each file
in float and in double. Nothing is kept. Exit status 1 if a compiler complains.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kernel_extensions as extensions

COMPILERS = ("gcc", "clang", "aarch64-linux-gnu-gcc")
PRECISIONS = {"float": [], "double": extensions.DOUBLE}
WORKERS = 2


def complaint(compiler: str, precision: str, source: Path) -> str:
    """What the compiler says of one file: nothing, if all is well."""
    flags = [
        *extensions.FLAGS,
        *extensions.WARNINGS,
        *extensions.LIBRARY_FLAGS,
        *extensions.PREFIX,
        "-fPIC",
    ]
    done = subprocess.run(
        [compiler, *flags, *PRECISIONS[precision], "-c", str(source), "-o", "/dev/null"],
        capture_output=True,
        text=True,
    )
    return done.stderr if done.returncode else ""


def check(compiler: str) -> bool:
    """Whether `compiler` takes all files in both precisions; prints what it says."""
    work = list(itertools.product([compiler], PRECISIONS, sorted(extensions.CSRC.glob("*.c"))))
    with ThreadPoolExecutor(WORKERS) as pool:
        complaints = [text for text in pool.map(complaint, *zip(*work, strict=True)) if text]
    print("".join(complaints), end="")
    verdict = f"{len(complaints)} failed" if complaints else "no warnings"
    print(f"{compiler}: {len(work)} compilations, {verdict}")
    return not complaints


def main() -> int:
    """Check with the compilers that are on PATH; at least one must be."""
    found = [compiler for compiler in COMPILERS if shutil.which(compiler)]
    if not found:
        print(f"error: none of {', '.join(COMPILERS)} is installed", file=sys.stderr)
        return 2
    return 0 if all([check(compiler) for compiler in found]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
