"""The kernels for aarch64: cross-compiled on any Debian, and their tests run under qemu.

Everything is in build/aarch64 and nothing on the system is changed: Debian's Python for aarch64,
unpacked beside each other and not installed, the wheels that the tests need, and the kernels.
Arguments are passed on to pytest; files of tests among them are run instead of the chosen ones.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import kernel_extensions as extensions

if TYPE_CHECKING:
    from cffi import FFI

ROOT = extensions.ROOT
FOLDER = ROOT / "build" / "aarch64"
SYSTEM = FOLDER / "system"
WHEELS = FOLDER / "wheels"
SITE = FOLDER / "site"
PYTHON = FOLDER / "python"
COMPILER = "aarch64-linux-gnu-gcc"
EMULATOR = "qemu-aarch64"
PROCESSOR = "neoverse-n1"
NEEDS = {COMPILER: "gcc-aarch64-linux-gnu", EMULATOR: "qemu-user", "apt-get": "apt"}
DEBIAN = ("python3", "libpython3-dev", "libstdc++6")  # the last for NumPy
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
PACKAGES = ("cffi", "hypothesis", "numpy", "pytest", "pytest-xdist", "scipy-openblas32")
CHOSEN = (
    "bfloat16", "flat_buffers", "layers", "layers_attention", "layers_dropout", "logits",
    "products_linear_arguments",
)  # fmt: skip
TESTS = tuple(f"tests/kernels/test_{name}.py" for name in CHOSEN)
"""Those that take minutes under qemu. The others are run if they are named."""


def check_needs() -> None:
    """Stop where a program is missing that cannot be had without root."""
    missing = [NEEDS[program] for program in NEEDS if not shutil.which(program)]
    if missing:
        packages = " ".join(missing)
        raise SystemExit(f"error: tests for aarch64 need more: apt-get install {packages}")


def unpack_system() -> None:
    """Lay out Debian's Python for aarch64, its headers and libraries, from where apt is set to."""
    if SYSTEM.exists():
        return
    apt = FOLDER / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()  # nothing is installed: so all that Python needs is fetched
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # apt's own user may not write here
        "Acquire::Languages": "none",
        "Dir::State::lists": f"{apt}/lists",
        "Dir::State::status": f"{apt}/status",
        "Dir::Cache": f"{apt}/cache",
    }
    command = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    run("apt-get cannot read its lists for arm64", [*command, "update"])
    run(
        "apt-get cannot fetch Python for arm64",
        [*command, "install", "--yes", "--download-only", *DEBIAN],
    )
    unpacked = FOLDER / "system.part"
    shutil.rmtree(unpacked, ignore_errors=True)
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        run(f"dpkg-deb cannot unpack {package}", ["dpkg-deb", "-x", str(package), str(unpacked)])
    if not (unpacked / "lib" / "ld-linux-aarch64.so.1").exists():
        (unpacked / "lib").symlink_to("usr/lib")
    unpacked.rename(SYSTEM)


def run(what: str, command: list[str]) -> None:
    """Run a program; show what it said and stop if it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise SystemExit(f"error: {what}, see above")


def python_version() -> str:
    """The version of Debian's Python, '3.11'."""
    return (SYSTEM / "usr" / "bin" / "python3").readlink().name.removeprefix("python")


def write_python() -> None:
    """A program that runs that Python under qemu, and that it takes for itself.

    So a test that starts `sys.executable` starts it under qemu too.
    """
    home = SYSTEM / "usr"
    PYTHON.write_text(
        "#!/bin/sh\n"
        f"PYTHONHOME={shlex.quote(str(home))} PYTHONPATH={shlex.quote(f'{SITE}:{WHEELS}')} \\\n"
        f'exec {EMULATOR} -cpu {PROCESSOR} -L {shlex.quote(str(SYSTEM))} -0 "$0" '
        f'{shlex.quote(str(home / "bin" / "python"))}{python_version()} "$@"\n',
        encoding="utf-8",
    )
    PYTHON.chmod(0o755)


def fetch_wheels() -> None:
    """Put the packages that the tests import into build/aarch64/wheels."""
    if WHEELS.exists():
        return
    fetched = FOLDER / "wheels.part"
    shutil.rmtree(fetched, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
    platform = [f"--platform={name}" for name in PLATFORMS]
    where = [f"--python-version={python_version()}", f"--target={fetched}"]
    run("pip cannot fetch wheels for aarch64", [*pip, *platform, *where, *PACKAGES])
    fetched.rename(WHEELS)


def copy_package() -> None:
    """Lay out vidya and its tests, without anything built."""
    shutil.rmtree(SITE, ignore_errors=True)
    built = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("vidya", "tests"):
        shutil.copytree(ROOT / name, SITE / name, ignore=built)
    for name in ("csrc", "pyproject.toml", "tools"):  # which tests read
        (SITE / name).symlink_to(ROOT / name)


def build(builder: FFI, defines: list[str]) -> None:
    """Compile and link one of the two extensions into build/aarch64/site/vidya/kernels."""
    name = builder._assigned_source[0].rpartition(".")[2]  # type: ignore[attr-defined]
    objects = FOLDER / name
    objects.mkdir(exist_ok=True)
    builder.emit_c_code(str(objects / f"{name}.c"))
    include = SYSTEM / "usr" / "include"
    flags = [
        *extensions.FLAGS, *extensions.LIBRARY_FLAGS, *extensions.PREFIX, *defines, "-fPIC",
        f"-I{extensions.CSRC}", f"-I{include}", f"-I{include}/python{python_version()}",
    ]  # fmt: skip

    def compile_file(source: Path) -> str:
        target = objects / f"{source.stem}.o"
        warnings = extensions.WARNINGS if source.parent == extensions.CSRC else []
        command = [COMPILER, *flags, *warnings, "-c", str(source), "-o", str(target)]
        run(f"{source.name} does not compile for aarch64", command)
        return str(target)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        compiled = list(
            pool.map(compile_file, [*extensions.CSRC.glob("*.c"), objects / f"{name}.c"])
        )
    library = SITE / "vidya" / "kernels" / f"{name}.abi3.so"
    blas = [f"-L{WHEELS / 'scipy_openblas32' / 'lib'}", "-lscipy_openblas"]
    loose = "-Wl,--allow-shlib-undefined"  # OpenBLAS's own needs: qemu finds them
    command = [COMPILER, "-shared", *compiled, "-o", str(library), *blas, "-lm", "-lpthread", loose]
    run(f"{library.name} does not link for aarch64", command)


def test(arguments: list[str]) -> int:
    """Run the kernel tests; pytest's exit status."""
    describe = (
        "import platform; from vidya import kernels; print(platform.machine(), kernels.get_isa(), "
        "'kernels,', *kernels.openblas_config().split()[:2], 'Python', platform.python_version())"
    )
    done = subprocess.run([PYTHON, "-c", describe], cwd=SITE, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    if done.returncode or not done.stdout.startswith("aarch64 "):
        return 1
    options = ["-p", "no:cacheprovider", "-q"]
    named = any(argument.startswith("tests/") for argument in arguments)
    tests = arguments if named else [*TESTS, *arguments]
    return subprocess.run([PYTHON, "-m", "pytest", *options, *tests], cwd=SITE).returncode


def main() -> int:
    """Fetch, build, test; 2 if this machine lacks something."""
    try:
        check_needs()
        FOLDER.mkdir(parents=True, exist_ok=True)
        print("Building for aarch64 (the first time fetches 90 MB) ...", flush=True)
        unpack_system()
        write_python()
        fetch_wheels()
        copy_package()
        build(extensions.float_builder(), [])
        build(extensions.double_builder(), extensions.DOUBLE)
    except SystemExit as stop:
        print(stop, file=sys.stderr)
        return 2
    return test(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
