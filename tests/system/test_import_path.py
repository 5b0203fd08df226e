"""Whatever lies in the current folder, a command imports what it means."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import environment

import vidya
from vidya.system.import_path import forgotten_in_children

ROOT = Path(vidya.__file__).parents[1]
START = ROOT / "tools" / "vidya.pth"
# imported by Python on its way to a command, by vidya, and by the libraries
SHADOWING = (
    "collections", "dataclasses", "functools", "json", "numpy", "os", "pkgutil", "random", "rich",
    "runpy", "shlex", "signal", "tokenize", "types", "typing", "tyro",
)  # fmt: skip


@pytest.fixture
def installed(tmp_path):
    """A folder whose `sitecustomize` does at Python's start what an installation does."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        f"import site, sys\nsys.path.append({str(ROOT)!r})\n"
        f"site.addpackage({str(START.parent)!r}, {START.name!r}, None)\n"
    )
    others = [entry for entry in sys.path if entry and Path(entry).resolve() != ROOT]
    return os.pathsep.join([str(site), *others])


@pytest.fixture
def here(tmp_path):
    """A folder to run in."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def version(here, path, module="vidya", **more):
    return subprocess.run(
        [sys.executable, "-m", module, "--version" if module == "vidya" else "--help"],
        cwd=here, capture_output=True, text=True, timeout=60,
        env=environment(PYTHONPATH=path, **more),
    )  # fmt: skip


def folder(here):
    (here / "vidya").mkdir()


def clone(here):
    (here / "vidya/vidya").mkdir(parents=True)
    (here / "vidya/setup.py").touch()
    (here / "vidya/vidya/__init__.py").touch()


def module(here):
    (here / "vidya.py").write_text("raise SystemExit('the wrong vidya')")


def package(here):
    folder(here)
    (here / "vidya/__init__.py").write_text("raise SystemExit('the wrong vidya')")


def names(here):
    for name in SHADOWING:
        (here / f"{name}.py").write_text("raise SystemExit('of the current folder')")


@pytest.mark.parametrize("put", [folder, clone, module, package, names])
def test_what_lies_in_the_current_folder_does_not_matter(installed, here, put):
    put(here)
    done = version(here, installed)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"vidya {vidya.__version__}\n", "")
    done = version(here, installed, "vidya.rl")
    assert done.returncode == 0 and "--reward" in done.stdout, done.stderr


def test_nor_where_an_empty_entry_of_pythonpath_names_it(installed, here):
    """As `PYTHONPATH=$PYTHONPATH:folder` makes one where the variable was not set."""
    names(here)
    assert version(here, f"{installed}:").returncode == 0


def test_a_clone_is_taken_for_itself(installed, here):
    package(here)
    (here / "csrc").mkdir()
    (here / "csrc/vidya.h").touch()
    assert version(here, installed).stderr == "the wrong vidya\n"


CODE = "import sys; from vidya.system import import_path as p; {}; print(*sys.path, sep='\\n')"


def path_after(here, code, **env):
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(code)], cwd=here, capture_output=True, text=True,
        timeout=60, env=environment(**env),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_current_folder_stays_where_pythonpath_names_it(here):
    forget = "import runpy; p.forget_current_folder('elsewhere')"
    path = os.pathsep.join(filter(None, sys.path))
    for named in (".", str(here)):
        assert str(here) in path_after(here, forget, PYTHONPATH=f"{path}:{named}")
    assert str(here) not in path_after(here, forget, PYTHONPATH=f"{path}:")


def test_a_package_in_the_current_folder_is_found_by_other_processes(here):
    """One that is not installed at all."""
    forget = f"import runpy; sys.path[0] = {str(here)!r}; p.forget_current_folder({str(here)!r})"
    path = path_after(here, forget)
    assert path[0] != str(here) and path[-1] == str(here)


def test_a_current_folder_that_is_gone(here):
    forget = f"import os, runpy; os.rmdir({str(here)!r}); p.forget_current_folder('elsewhere')"
    assert "" not in path_after(here, forget)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has no such setting before 3.11")
def test_children_forget_it_too(here, monkeypatch):
    names(here)
    monkeypatch.chdir(here)
    code = [sys.executable, "-c", "import random"]
    assert subprocess.run(code, env=environment(), capture_output=True).returncode
    with forgotten_in_children():
        assert subprocess.run(code, env=environment()).returncode == 0
    assert "PYTHONSAFEPATH" not in os.environ
