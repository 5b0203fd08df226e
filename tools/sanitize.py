"""Run the kernel tests on kernels built with AddressSanitizer, UBSan and their own assertions.

The build goes to build/sanitize, so the ordinary kernels stay as they are. Python and
OpenBLAS are not instrumented: the sanitizer's library is loaded before them, leaks
(Python's own) are not looked for, and Python allocates with malloc so that an overrun
of any array is seen. Arguments are passed on to pytest.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from kernel_extensions import find_compiler

ROOT = Path(__file__).resolve().parent.parent

FOLDER = ROOT / "build" / "sanitize"
SOURCE = FOLDER / "source"
SITE = FOLDER / "site"
PACKAGE = ("csrc", "tools", "vidya", "setup.py", "pyproject.toml", "README.md")
# Null pointers end in AddressSanitizer's report anyway, and pointers that overflow go out of
# bounds: UBSan's own checks for these two take more than half of the time to compile.
CFLAGS = (
    "-O1 -g -DVIDYA_ASSERT -fno-omit-frame-pointer -fsanitize=address,undefined "
    "-fno-sanitize=null,pointer-overflow -fno-sanitize-recover=all"
)
# gcc and clang name the library differently, and each only knows its own.
RUNTIMES = ("libasan.so", "libclang_rt.asan-x86_64.so", "libclang_rt.asan-aarch64.so")
TESTS = "tests/kernels"
CHECK = "from vidya.kernels import _float32; print(_float32.__file__)"


def copy_sources() -> None:
    """Lay out what the package is built from, without anything built."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    built = shutil.ignore_patterns("*.so", "__pycache__")
    for name in PACKAGE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, SOURCE / name, ignore=built)
        else:
            shutil.copy(ROOT / name, SOURCE / name)
    shutil.copytree(ROOT / "tests", SITE / "tests", ignore=built)
    shutil.copy(ROOT / "pyproject.toml", SITE)


def build(compiler: str, shared: list[str]) -> None:
    """Install the instrumented package into build/sanitize/site."""
    flags = [CFLAGS, *shared]
    if not has_avx512():  # what cannot run here need not be instrumented: minutes of compiling
        flags.append("-DVIDYA_NO_AVX512")
    environment = {"CC": compiler, "VIDYA_CFLAGS": " ".join(flags)}
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run(
        [*pip, "--upgrade", "--target", str(SITE), str(SOURCE)],
        check=True,
        env={**os.environ, **environment, "PIP_ROOT_USER_ACTION": "ignore"},
    )


def has_avx512() -> bool:
    """Whether this processor may run AVX-512 code; True where it does not say."""
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return True


def runtime(compiler: str) -> Path | None:
    """The sanitizer's shared library, which must be loaded before Python's own."""
    for name in RUNTIMES:
        done = subprocess.run(
            [*shlex.split(compiler), f"-print-file-name={name}"], capture_output=True, text=True
        )
        path = Path(done.stdout.strip())
        if path.is_absolute() and path.exists():
            return path
    return None


def test(library: Path, arguments: list[str]) -> int:
    """Run the kernel tests on the instrumented package; pytest's exit status."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(SITE),
    }
    tests = [str(SITE / TESTS)]
    where = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=SITE, env=environment, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    if Path(where).parents[2] != SITE or b"__asan_report" not in Path(where).read_bytes():
        print(f"error: the kernels under test are not the instrumented ones: {where}")
        return 1
    print(f"AddressSanitizer and UBSan: {Path(where).relative_to(ROOT)}", flush=True)
    # A report ends the process: pytest must not be holding it back, as it does by default.
    options = ["--capture=sys", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests, *arguments], cwd=SITE, env=environment
    ).returncode


def main() -> int:
    """Build, check that what is tested is instrumented, test."""
    compiler = find_compiler()
    library = runtime(compiler) if compiler else None
    if compiler is None or library is None:
        print("error: needs gcc or clang with its sanitizers' libraries", file=sys.stderr)
        return 2
    copy_sources()
    build(compiler, ["-shared-libasan"] if "clang_rt" in library.name else [])
    return test(library, sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
