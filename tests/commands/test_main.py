"""The console script, and what importing vidya and asking for help may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import in_terminal

import vidya
from vidya import train
from vidya.__main__ import COMMANDS
from vidya.storage import checkpoint
from vidya.terminal.common_options import flag, option_names
from vidya.training.options import TrainOptions

PACKAGE = Path(vidya.__file__).parent
# Each takes longer to import than `--help` may take, or pulls in something that does.
HEAVY = {
    "chitchat_dataset", "huggingface_hub", "matplotlib", "pyarrow", "safetensors", "starlette",
    "tensorboardX", "tokenizers", "torch", "uvicorn", "vidya.kernels",
}  # fmt: skip


def vidya_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "vidya", *arguments], capture_output=True, text=True, timeout=60
    )


def modules_after(code, *arguments):
    """Names in sys.modules after `code` ran, in a fresh interpreter."""
    report = "import atexit, sys; atexit.register(lambda: print('MODULES', *sys.modules))\n"
    done = subprocess.run(
        [sys.executable, "-c", report + code, *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("MODULES ").split()), done.stdout


def is_command(path):
    """Whether a module runs as `python -m vidya.NAME`: it has a main and calls it."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    has_main = any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in body)
    return has_main and any(
        isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in body
    )


def test_every_command_is_listed_and_every_listed_one_exists():
    found = {path.stem for path in PACKAGE.glob("*.py") if is_command(path)} - {"__main__"}
    assert set(COMMANDS) == found


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_the_commands(arguments):
    done = vidya_command(*arguments)
    assert done.returncode == 0 and done.stderr == ""
    for name, what in COMMANDS.items():
        assert any(line.split()[:1] == [name] and what in line for line in done.stdout.splitlines())


def test_help_of_a_command():
    done = vidya_command("help", "list")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m vidya list [OPTIONS] [FOLDER]\n")


@pytest.mark.parametrize("columns", [40, 100])
def test_a_slip_is_told_in_plain_lines_in_a_terminal(columns):
    child = in_terminal("train", "--precision", "fp61", columns=columns)
    shown = child.read()
    assert " ".join(shown.split()) == (
        "error: --precision cannot be 'fp61': choose auto, fp32 or bf16 "
        "(python -m vidya.train --help lists all)"
    )


def test_help_of_train_is_a_page(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", ["vidya train", "--preset", "25m", "--help"])
    with pytest.raises(SystemExit):
        train.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 100
    named = {word for line in lines for word in line.split() if word.startswith("--")}
    assert {flag(name) for name in option_names(TrainOptions)} <= named  # each of them is there
    assert any("--lr NUMBER" in line and "that of plan: 0.0003" in line for line in lines)


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(option):
    done = vidya_command(option)
    assert (done.returncode, done.stdout) == (0, f"vidya {vidya.__version__}\n")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("trian", "did you mean 'train'?"), ("wizardry", "choose one of train, "), ("", "choose")],
)
def test_unknown_command(name, advice):
    done = vidya_command(name)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"error: unknown command '{name}': {advice}")
    assert len(done.stderr.splitlines()) == 1


def test_a_command_gets_its_arguments_and_its_exit_status_comes_back(tmp_path):
    missing = tmp_path / "no such run"
    done = vidya_command("plot", str(missing))
    assert done.returncode == 2 and str(missing) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_loads_nothing_heavy(name):
    code = "import sys; from vidya.__main__ import main; sys.exit(main())"
    modules, output = modules_after(code, name, "--help")
    assert f"vidya.{name}" in modules and "usage: " in output
    assert not modules & HEAVY
    assert not {f"vidya.{other}" for other in COMMANDS if other != name} & modules


def test_help_of_train_as_a_module_loads_nothing_heavy():
    code = "import runpy; runpy.run_module('vidya.train', run_name='__main__', alter_sys=True)"
    modules, output = modules_after(code, "--help")
    assert "--steps" in output
    assert not modules & (HEAVY | {"numpy", "vidya.training.trainer", "vidya.model.transformer"})


def test_import_vidya_loads_only_the_package_itself():
    before, _ = modules_after("")
    after, _ = modules_after("import vidya")
    assert after - before == {"vidya"}
    errors, _ = modules_after("import vidya.errors, vidya.model.config, vidya.training.options")
    assert not {"numpy", "tyro", "rich"} & errors


def test_chat_opens_its_model_before_numpy_is_imported(tmp_path):
    """Verifying the model takes as long as that import: they happen beside each other."""
    checkpoint.save(tmp_path / "m.bin", {}, {"kind": "model"})
    (tmp_path / "tokenizer.json").touch()
    code = (
        "import sys, vidya.chat, vidya.storage.checkpoint_format as file\n"
        "file.CheckpointFile.__init__ = lambda self, path: sys.exit(0)\n"
        "vidya.chat.main()\n"
    )
    modules, _ = modules_after(code, str(tmp_path / "m.bin"), "--prompt", "hi")
    assert "vidya.storage.pretrained" in modules and "numpy" not in modules
