"""Locales, terminals and environment variables: commands show and do the same in all of them."""

import os
import pty
import shutil
import subprocess
import sys

import pytest
from support.chat_runs import NAME, run_folder, tokenizer  # noqa: F401
from support.commands import TIMEOUT, command_line, environment
from support.run_logs import run_lines, write

from vidya.__main__ import COMMANDS

# One Python shows the help of all commands.
ALL_HELP = """
import importlib, sys
from vidya.__main__ import COMMANDS
from vidya.terminal.command_frame import run_command
for name in COMMANDS:
    print("====", name)
    sys.argv = [name, "--help"]
    try:
        run_command(importlib.import_module(f"vidya.{name}").main)
    except SystemExit as leaving:
        assert leaving.code == 0
for name, sub in ("data", "combine"), ("data", "text"), ("tokenizer", "train"):
    print("====", name, sub)
    sys.argv = [name, sub, "--help"]
    try:
        run_command(importlib.import_module(f"vidya.{name}").main)
    except SystemExit as leaving:
        assert leaving.code == 0
sys.stdout.flush()
"""


def python(code, **env):
    changes = environment(**{name: value for name, value in env.items() if value is not None})
    kept = {name: value for name, value in changes.items() if env.get(name, value) is not None}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, stdin=subprocess.DEVNULL,
        timeout=TIMEOUT, env=kept,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain_help():
    done = python(ALL_HELP, PYTHONUTF8="1", COLUMNS="100")
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("encoding", "variables"),
    [
        ("ascii", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": None}),
        ("latin-1", {"PYTHONIOENCODING": "latin-1", "PYTHONWARNINGS": "error", "TERM": "dumb"}),
        ("cp1252", {"PYTHONIOENCODING": "cp1252", "COLUMNS": "100", "PYTHONOPTIMIZE": "2"}),
        ("utf-16", {"PYTHONIOENCODING": "utf-16", "HOME": None, "JUPYTER_COLUMNS": "x"}),
    ],
)
def test_help_of_every_command(plain_help, encoding, variables):
    done = python(ALL_HELP, **{"COLUMNS": "100", **variables})
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode(encoding)
    assert "\x1b" not in shown
    # each option and what it does; only what an encoding lacks and boxes may differ
    words = {word for word in plain_help.split() if word.isascii() and word.isalnum()}
    if variables.get("PYTHONOPTIMIZE"):
        words -= set(documents_of_modules().split())
    assert words - set(shown.split()) == set()


def documents_of_modules():
    """What `python -OO` drops for good: the description that a command's module is."""
    code = "import importlib; from vidya.__main__ import COMMANDS\n"
    code += "for name in COMMANDS: print(importlib.import_module(f'vidya.{name}').__doc__)"
    return python(code, PYTHONUTF8="1").stdout.decode()


# ---------------------------------------------------------------- screens

STRICT = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def logged(tmp_path):
    """A run folder with a log."""
    (tmp_path / "runs/näme").mkdir(parents=True)
    write(tmp_path / "runs/näme/metrics.jsonl", run_lines(60))
    return tmp_path / "runs/näme"


def run(name, *arguments, terminal=False, **env):
    """A command in a new Python: its status, and what it wrote to stdout and stderr."""
    line, changes = command_line(name, *arguments), environment(**env)
    if not terminal:
        done = subprocess.run(
            line, capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT, env=changes
        )
        return done.returncode, done.stdout, done.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, env=changes) as child:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:  # how a terminal says that nobody is there any more
            pass
    os.close(ours)
    return child.returncode, shown, b""


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    "env", [STRICT, {"TERM": "dumb", "COLUMNS": "some", "LINES": "0", "PYTHONUTF8": "1"}]
)
def test_a_run_is_shown_anywhere(logged, env, terminal):
    """By the monitor, which draws most, also where no cursor can be moved."""
    once = () if env.get("TERM") == "dumb" else ("--once",)
    status, shown, errors = run("monitor", logged, *once, terminal=terminal, **env)
    assert (status, errors) == (0, b"") and b"loss" in shown
    if env is STRICT:
        # only the folder's name, byte for byte, is no ASCII
        assert shown.replace("näme".encode(), b"").isascii()
    else:
        assert b"\x1b" not in shown


def test_a_picture_is_drawn_whatever_is_set_for_other_programs(logged, tmp_path, monkeypatch):
    (tmp_path / "matplotlibrc").write_text("backend: nonsense\nfigure.dpi: 5\nsavefig.dpi: 5\n")
    monkeypatch.chdir(tmp_path)
    for out, variables in (
        ("plain.png", {}),
        ("set.png", {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    ):
        folder = tmp_path if variables else tmp_path.parent
        monkeypatch.chdir(folder)
        status, shown, _ = run("plot", logged, "--out", tmp_path / out, **variables)
        assert (status, shown) == (0, f"{tmp_path / out}\n".encode())
    assert (tmp_path / "set.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_a_prompt_in_a_locale_that_cannot_read_it(run_folder):  # noqa: F811
    """It comes as bytes, and is UTF-8."""
    ask = (
        "chat",
        run_folder / NAME,
        "--prompt",
        "é",
        "--max-tokens",
        "4",
        "--json",
        "--precision",
        "fp32",
    )
    _, shown, _ = run(*ask, PYTHONUTF8="1")
    status, strict, errors = run(*ask, **STRICT)
    assert (status, errors) == (0, b"") and b'"prompt": "\\u00e9"' in strict
    assert '"prompt": "é"'.encode() in shown


def test_names_that_are_no_text(tmp_path):
    missing = os.fsencode(tmp_path) + b"/caf\xe9"
    for env in ({}, STRICT):
        status, shown, errors = run("plot", missing, **env)
        assert (status, shown) == (2, b"") and errors.count(b"\n") == 1
        assert missing in errors


def test_a_picture_of_runs_of_any_name(logged, tmp_path):
    runs = []
    for name in (b"caf\xe9", b"_$a$b", "日本".encode()):
        other = tmp_path / os.fsdecode(name)
        runs.append(shutil.copytree(logged, other))
    out = tmp_path / os.fsdecode(b"\xe9.png")
    status, _, errors = run("plot", *runs, "--out", out, PYTHONWARNINGS="error")
    assert (status, errors) == (0, b"") and out.exists()


def test_a_current_folder_that_is_gone(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    line = command_line("train", "--data", "x.txt")
    code = 'cd "$0" && rmdir "$0" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", code, folder, *line], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith("(the current folder has been deleted: cd to another)\n")


def test_every_command_is_in_the_help(plain_help):
    assert plain_help.count("====") == len(COMMANDS) + 3
