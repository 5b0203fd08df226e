"""The build: what stops it, when it is repeated, and what it makes."""

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import types
import venv
import zipfile
from pathlib import Path

import pytest

from vidya import kernels

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import kernel_extensions  # noqa: E402 - found through the line above

BUILT_FROM = (
    "MANIFEST.in", "Makefile", "README.md", "csrc", "pyproject.toml", "setup.py", "tools", "vidya",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    """A copy of everything the package is built from, without anything built."""
    copy = tmp_path / "tree"
    copy.mkdir()
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__")
            )
        else:
            shutil.copy(ROOT / name, copy)
    return copy


def environment(**changes):
    """os.environ without what an outer make or an earlier build put there, and `changes`."""
    names = ("MAKEFLAGS", "MAKELEVEL", "CC", "VIDYA_BLAS", "VIDYA_CFLAGS")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, **changes}


def run(*command, cwd, **changes):
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=environment(**changes), capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def script(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


# ---- what stops it ----------------------------------------------------------------------------


def install_under(tree, prelude, **changes):
    """Run tools/install.py after `prelude` has changed what it sees of this Python.

    Without a pyproject.toml, so that pip could do nothing if it were reached.
    """
    (tree / "pyproject.toml").unlink()
    (tree / "setup.py").unlink()
    code = (
        "import os, runpy, sys, sysconfig\n"
        "sys.argv = ['install.py']\n"
        "sys.path.insert(0, 'tools')\n"  # as where it is run as a program
        f"{prelude}\n"
        "runpy.run_path('tools/install.py', run_name='__main__')\n"
    )
    return run(sys.executable, "-c", code, cwd=tree, **changes)


def assert_refused(done, *words):
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def python_folder(tmp_path, kind):
    """Prelude: sysconfig says that Python's folder of this `kind` is tmp_path."""
    return (
        "get_path = sysconfig.get_path\n"
        "sysconfig.get_path = lambda name, *more, **named: "
        f"{str(tmp_path)!r} if name == {kind!r} else get_path(name, *more, **named)"
    )


def test_a_python_that_the_system_keeps_is_left_alone(tree, tmp_path):
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    prelude = "sys.prefix = sys.base_prefix\n" + python_folder(tmp_path, "stdlib")
    assert_refused(install_under(tree, prelude), sys.executable, "python3 -m venv")


def test_missing_headers_of_python(tree, tmp_path):
    done = install_under(tree, python_folder(tmp_path, "include"))
    assert_refused(done, f"{tmp_path}/Python.h", "python3-dev")


def test_no_compiler(tree, tmp_path):
    assert_refused(install_under(tree, "", PATH=str(tmp_path)), "install gcc or clang")


def test_a_compiler_that_does_not_work(tree, tmp_path):
    script(tmp_path / "bin" / "broken", "#!/bin/sh\necho 'fatal error: stdio.h' >&2\nexit 1\n")
    done = install_under(tree, "", CC=str(tmp_path / "bin" / "broken"))
    assert_refused(done, "broken", "fatal error: stdio.h")
    again = run(sys.executable, "tools/install.py", cwd=tree, CC="no-such-compiler")
    assert_refused(again, "'no-such-compiler' cannot compile")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("raise SystemExit('No module named pip')", ("has no pip", "ensurepip")),
        ("print('pip 21.2.4 from here (python 3.10)')", ("pip 21.2.4 is too old", "--upgrade pip")),
    ],
)
def test_pip_missing_or_too_old(tree, tmp_path, answer, words):
    (tmp_path / "shadow" / "pip").mkdir(parents=True)
    (tmp_path / "shadow" / "pip" / "__init__.py").touch()
    (tmp_path / "shadow" / "pip" / "__main__.py").write_text(answer, encoding="utf-8")
    done = install_under(tree, "", PYTHONPATH=str(tmp_path / "shadow"))
    assert_refused(done, *words)


def test_a_python_that_is_too_old(tmp_path):
    # Runs `-c CODE` as Python 3.9 would: the Makefile asks before any file of ours is read.
    old = tmp_path / "bin" / "python"
    pretend = "import sys; sys.version_info = (3, 9, 18); sys.version = '3.9.18 (old)'"
    script(old, f"#!/bin/sh\nexec '{sys.executable}' -c \"{pretend}\n$2\"\n")
    done = run("make", f"PYTHON={old}", cwd=ROOT)
    assert done.returncode == 2
    ours, *makes = done.stderr.splitlines()
    assert ours.startswith("error: vidya needs Python 3.10 or newer") and "3.9.18" in ours
    assert len(makes) == 1 and makes[0].startswith("make")


def test_no_python_at_all(tmp_path):
    (tmp_path / "make").symlink_to(shutil.which("make"))
    (tmp_path / "sh").symlink_to(shutil.which("sh"))
    done = run(tmp_path / "make", cwd=ROOT, PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("error: no Python on PATH")


# ---- OpenBLAS ------------------------------------------------------------------------------------


def test_unknown_blas(tree):
    assert_refused(install_under(tree, "", VIDYA_BLAS="mkl"), "'wheel' or 'system', not 'mkl'")


def test_system_blas_without_its_files(tree, tmp_path):
    script(tmp_path / "bin" / "pkg-config", "#!/bin/sh\nexit 1\n")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    assert_refused(install_under(tree, "", VIDYA_BLAS="system", PATH=path), "libopenblas-dev")


def test_system_blas_is_what_pkg_config_says(tmp_path, monkeypatch):
    answers = (
        'case "$1" in --cflags) echo -I/opt/include;; --libs) echo -L/opt/lib -lopenblas;; esac'
    )
    script(tmp_path / "bin" / "pkg-config", f"#!/bin/sh\n{answers}\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("VIDYA_BLAS", "system")
    assert kernel_extensions.blas_flags() == (["-I/opt/include"], ["-L/opt/lib", "-lopenblas"])


def test_the_compiler_is_one_that_exists(tmp_path, monkeypatch):
    script(tmp_path / "bin" / "clang", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CC", raising=False)
    assert kernel_extensions.find_compiler() == "clang"
    monkeypatch.setenv("CC", "ccache gcc")
    assert kernel_extensions.find_compiler() == "ccache gcc"


# ---- when it is repeated -----------------------------------------------------------------------


@pytest.fixture
def installed(tree, tmp_path, monkeypatch):
    """tools/install.py of a tree that looks as if it had just been installed."""
    spec = importlib.util.spec_from_file_location("install", tree / "tools" / "install.py")
    install = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), str(tree / "tools"), *sys.path])
    spec.loader.exec_module(install)
    for name in install.SETTINGS:
        monkeypatch.delenv(name, raising=False)

    record = tmp_path / "site" / "vidya-0.1.0.dist-info"
    record.mkdir(parents=True)
    needs = "Requires-Dist: numpy>=1\nRequires-Dist: pytest>=1; extra == 'test'\n"
    needs += "Requires-Dist: no-such-package>=2; extra == 'other'\n"
    (record / "METADATA").write_text(f"Name: vidya\nVersion: 0.1.0\n{needs}", encoding="utf-8")
    url = {"url": tree.as_uri(), "dir_info": {"editable": True}}
    (record / "direct_url.json").write_text(json.dumps(url), encoding="utf-8")
    library = tree / "vidya" / "kernels" / "_float32.abi3.so"
    library.touch()
    monkeypatch.setattr(install, "describe", lambda: ([library], "all is well"))
    install.STAMP.parent.mkdir()
    install.STAMP.write_text(json.dumps(install.settings()), encoding="utf-8")
    assert install.built() == "all is well"
    return types.SimpleNamespace(install=install, tree=tree, record=record, library=library)


def make_newer(path):
    soon = time.time() + 3600
    os.utime(path, (soon, soon))


@pytest.mark.parametrize(
    "name",
    ["csrc/gelu.c", "csrc/micro.inc.h", "tools/kernel_extensions.py", "setup.py", "pyproject.toml"],
)
def test_a_changed_source_is_built(installed, name):
    make_newer(installed.tree / name)
    assert installed.install.built() is None


def test_a_changed_module_needs_nothing(installed):
    make_newer(installed.tree / "vidya" / "train.py")
    assert installed.install.built() == "all is well"


@pytest.mark.parametrize("name", ["VIDYA_BLAS", "VIDYA_CFLAGS", "CC"])
def test_other_settings_are_built(installed, monkeypatch, name):
    monkeypatch.setenv(name, "system")
    assert installed.install.built() is None


def test_a_library_that_somebody_else_built_is_built_again(installed):
    make_newer(installed.library)
    assert installed.install.built() is None


def test_a_library_that_does_not_load_is_built_again(installed, monkeypatch):
    def fail():
        raise RuntimeError("no kernels")

    monkeypatch.setattr(installed.install, "describe", fail)
    assert installed.install.built() is None


def test_a_python_without_the_installation_gets_it(installed):
    shutil.rmtree(installed.record)
    assert installed.install.built() is None


@pytest.mark.parametrize(
    ("extras", "needs"),
    [([], []), (["test"], []), (["other"], ["no-such-package>=2"]), (["test", "other"], None)],
)
def test_only_what_an_extra_lacks_is_installed(installed, monkeypatch, extras, needs):
    calls = []
    monkeypatch.setattr(installed.install, "pip_install", lambda *call: calls.append(call))
    monkeypatch.setattr(installed.install, "check_managed", lambda: None)
    assert installed.install.bring_up_to_date(extras, False) == "all is well"
    wanted = ["no-such-package>=2"] if needs is None else needs
    assert calls == ([(", ".join(wanted), wanted, False)] if wanted else [])


def test_a_dependency_that_is_too_old_is_installed(installed):
    metadata = installed.record / "METADATA"
    metadata.write_text(metadata.read_text().replace("numpy>=1", "numpy>=1000"))
    assert installed.install.missing([]) == ["numpy>=1000"]


# ---- what it makes --------------------------------------------------------------------------


def test_every_function_of_the_header_is_there_in_both_precisions():
    header = (kernel_extensions.CSRC / "vidya.h").read_text(encoding="utf-8")
    names = re.findall(r"^\w[\w *]*?\b(vidya_\w+)\(", header, re.MULTILINE)
    assert len(names) > 20
    for dtype in ("float32", "float64"):
        assert [name for name in names if not hasattr(kernels.library(dtype), name)] == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="about x86-64's instruction sets")
def test_only_the_micro_kernels_of_an_instruction_set_use_it(tmp_path):
    wide = {}
    # These are written in vectors, whose registers are seen without optimising, ten times as quick.
    in_vectors = {path.name for path in kernel_extensions.CSRC.glob("micro_*.c")}
    for source in sorted(kernel_extensions.CSRC.glob("*.c")):
        listing = tmp_path / f"{source.stem}.s"
        command = [
            *kernel_extensions.find_compiler().split(),
            *kernel_extensions.FLAGS,
            *kernel_extensions.PREFIX,
            "-fPIC",
            *(["-O0"] if source.name in in_vectors else []),
        ]
        subprocess.run([*command, "-S", str(source), "-o", str(listing)], check=True)
        wide[source.name] = sorted(set(re.findall(r"%([yz]mm)\d", listing.read_text())))
    assert wide.pop("micro_avx2.c") == ["ymm"]
    assert "zmm" in wide.pop("micro_avx512.c")
    assert "zmm" in wide.pop("micro_avx512_bf16.c")
    assert wide and not any(wide.values()), wide


@pytest.mark.parametrize("library", [kernels._float32, kernels._float64])
def test_a_library_shows_python_its_entry_and_nothing_else(library):
    name = library.__name__.rpartition(".")[2]
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", library.__file__], check=True, capture_output=True, text=True
    )
    assert [line.split()[-1] for line in symbols.stdout.splitlines()] == [f"PyInit_{name}"]


def test_a_warning_in_our_own_code_stops_the_build(tree):
    (tree / "csrc" / "gelu.c").write_text("int vd_unused(void) { int unused; return 0; }\n")
    done = run(
        sys.executable, "setup.py", "build_ext", "--inplace", cwd=tree, VIDYA_CFLAGS="-O0"
    )  # fmt: skip
    assert done.returncode != 0 and "unused" in done.stderr
    assert not list((tree / "vidya").glob("*.so"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The source distribution of the tree."""
    folder = tmp_path_factory.mktemp("sdist")
    source = folder / "tree"
    ignored = shutil.ignore_patterns(
        "*.so", "__pycache__", ".*", "build", "dist", "runs", "*.egg-info"
    )
    shutil.copytree(ROOT, source, ignore=ignored)
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    done = run(sys.executable, "-c", code, cwd=source)
    assert done.returncode == 0, done.stderr
    (archive,) = folder.glob("vidya-*.tar.gz")
    return archive


def test_the_source_distribution_holds_all_that_is_compiled(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = [path for name in BUILT_FROM for path in [ROOT / name, *(ROOT / name).rglob("*")]]
    wanted = {
        str(path.relative_to(ROOT))
        for path in tracked
        if path.is_file() and path.suffix != ".so" and "__pycache__" not in path.parts
    }
    assert wanted - names == set()
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


def test_no_wheel_with_a_library_that_only_this_machine_has():
    assert_refused(run(sys.executable, "tools/wheel.py", cwd=ROOT, VIDYA_BLAS="system"), "OpenBLAS")


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel that `make wheel` makes of the source distribution, compiled in a hurry."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    (source,) = folder.iterdir()
    command = [sys.executable, "tools/wheel.py", "--no-build-isolation"]
    done = run(*command, cwd=source, VIDYA_CFLAGS="-O0")
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = (source / "dist").glob("*.whl")
    return made


@pytest.mark.extras
def test_the_wheel_is_for_every_python_and_any_linux_but_an_old_one(wheel):
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python has no stable interface")
    assert re.fullmatch(r"vidya-0\.1\.0-cp310-abi3-manylinux_2_\d+_\w+\.whl", wheel.name)
    report = run(sys.executable, "-m", "abi3audit", "--strict", "--report", wheel, cwd=ROOT)
    (scanned,) = json.loads(report.stdout)["specs"].values()
    results = [result["result"] for result in scanned["wheel"]]
    assert len(results) == 2 and all(result["is_abi3"] for result in results), results
    assert all(result["is_abi3_baseline_compatible"] for result in results), results


@pytest.mark.extras
def test_the_wheel_holds_the_package_whole_and_no_openblas(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        metadata = archive.read("vidya-0.1.0.dist-info/METADATA").decode()
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "vidya").rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".so")
    }
    libraries = {f"vidya/kernels/_float{bits}.abi3.so" for bits in (32, 64)}
    beside = {name for name in names if not name.startswith("vidya-0.1.0.dist-info/")}
    assert beside == {*sources, *libraries, "vidya.pth"}
    assert "Requires-Dist: scipy-openblas32" in metadata


@pytest.mark.extras
@pytest.mark.either_precision
def test_the_wheel_works_elsewhere_without_a_compiler(wheel, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    site = sysconfig.get_path("purelib", vars={"base": str(home)})
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    done = run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    assert shutil.which("gcc", path=str(home / "bin")) is None
    text = tmp_path / "text.txt"
    text.write_text("<|user|> hi <|assistant|> hello, you!\n" * 200, encoding="utf-8")
    elsewhere = {"cwd": tmp_path, "PATH": str(home / "bin"), "PYTHONPATH": ""}
    code = "import vidya; print(vidya.__file__)"
    assert run(python, "-c", code, **elsewhere).stdout == f"{site}/vidya/__init__.py\n"
    assert run(home / "bin" / "vidya", "--version", **elsewhere).stdout == "vidya 0.1.0\n"
    size = ["--preset", "nano", "--n-layer", "1", "--merges", "20", "--tokens-per-step", "512"]
    train = [python, "-m", "vidya.train", "--data", text, *size, "--steps", "2", "--out", "run"]
    done = run(*train, **elsewhere)
    assert done.returncode == 0, done.stderr
    done = run(python, "-m", "vidya.chat", "run", "--prompt", "hi", **elsewhere)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def test_an_editable_installation_is_an_entry_of_the_path(tmp_path):
    """A finder would be asked after a folder `vidya` in the current one."""
    code = (
        "from setuptools import Distribution\n"
        "distribution = Distribution()\n"
        "distribution.parse_config_files(['pyproject.toml'])\n"
        "command = distribution.get_command_obj('editable_wheel')\n"
        "command.ensure_finalized()\n"
        f"print(*command._select_strategy('vidya', 'any', {str(tmp_path)!r}).path_entries)"
    )
    done = run(sys.executable, "-c", code, cwd=ROOT)
    assert done.stdout == ".\n", done.stderr
