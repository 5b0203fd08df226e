"""Preflight: every check passes on a run that is as it should be, and fails on one that is not."""

import dataclasses
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support.commands import run_command_process
from support.training_runs import write_corpus

from vidya import kernels, preflight
from vidya.model import backbone, presets
from vidya.model.adam import Adam
from vidya.model.presets import preset
from vidya.model.transformer import Model
from vidya.planning import preflight_checks, trial_run
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import CheckpointError
from vidya.system import process_memory
from vidya.terminal.command_frame import run_command
from vidya.text import tokenizer
from vidya.text.tokenizer_training import train_tokenizer
from vidya.training import training_run

pytestmark = [pytest.mark.auto_precision, pytest.mark.usefixtures("kernel_settings")]

GIVEN = (
    "--preset 25m --n-embd 64 --n-layer 2 --n-head 2 --context 32 --merges 60 --lr 3e-3 "
    "--tokens-per-step 128 --samples 1 --threads 1 --val-fraction 0.1 --data small.txt --steps 100"
).split()
NAMES = list(preflight_checks.CHECKS)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a corpus, to run the command in; a trial there is made in this process."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, 400)
    return tmp_path


@pytest.fixture
def fly(home, monkeypatch, capsys):
    """Make the checks; gives the exit status and a line a check, by name."""

    def run(*more, only=None):
        if only is not None:
            kept = {name: preflight_checks.CHECKS[name] for name in only}
            monkeypatch.setattr(preflight_checks, "CHECKS", kept)
        monkeypatch.setattr(sys, "argv", ["preflight", *GIVEN, *map(str, more)])
        status = run_command(preflight.main)
        lines = capsys.readouterr().out.splitlines()
        found = {
            name: line for line in lines for name in NAMES if line[6:].startswith(name.ljust(21))
        }
        return status, found, lines

    return run


def failed(found):
    return [name for name, line in found.items() if line.startswith("FAIL")]


# ---------------------------------------------------------------- a run that is as it should be


def test_all_checks_pass_and_nothing_is_left(home):
    before = sorted(os.listdir(home))
    done = run_command_process("preflight", *GIVEN, cwd=home, timeout=120)
    *lines, last = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert last == f"all {len(NAMES)} checks passed"
    assert [line[:27].rstrip() for line in lines] == [f"ok    {name}" for name in NAMES]
    assert sorted(os.listdir(home)) == before  # nor is there a run folder


def test_what_the_lines_say(fly):
    status, found, _ = fly(only=[name for name in NAMES if name != "memory of a step"])
    assert status == 0, found
    assert kernels.get_isa() in found["extension"] and "OpenBLAS" in found["extension"]
    count = preset("25m").model(319, 0.1)
    count = dataclasses.replace(count, n_embd=64, n_layer=2, n_head=2, context=32)
    assert f"{count.parameter_count():,} (" in found["parameters"]
    assert (
        "std of the embedding 0.08, of residual outputs 0.04, of others 0.08 (recipe plan)"
        in (found["initialisation"])
    )
    assert "microgpt_chat_25m_v5_20.bin" in found["resume"]
    assert "10m: n_embd is 256 there, 64 here" in found["another model refused"]
    assert "for 100 steps" in found["disk space"]


def test_a_tokenizer_to_compare_with(fly, home):
    status, found, _ = fly(only=["tokenizer"])
    assert status == 0 and "30 merges: 289" in found["tokenizer"]
    old = train_tokenizer(iter((home / "small.txt").read_text().splitlines()), 10)
    old.save(home / "old.json")
    status, found, _ = fly("--previous-tokenizer", "old.json", only=["tokenizer"])
    assert status == 0 and "old.json: 269" in found["tokenizer"]


@pytest.mark.parametrize(
    "bad",
    [("--preset", "26m"), ("--data", "absent.txt"), ("--lr", "-1"), ("--resume",),
     ("--previous-tokenizer", "absent.json"), ("--merges", "70000")],
)  # fmt: skip
def test_bad_options_are_an_error_not_a_failed_check(home, monkeypatch, capsys, bad):
    arguments = [*GIVEN]
    if bad[0] in GIVEN:
        arguments[GIVEN.index(bad[0]) + 1] = bad[1]
    else:
        arguments += bad
    monkeypatch.setattr(sys, "argv", ["preflight", *arguments])
    assert run_command(preflight.main) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.splitlines()[-1].startswith("error: ")


# ---------------------------------------------------------------- each check, broken once


def breaks(fly, name, says, needs=(), more=()):
    """Only this check fails, for this reason, and the exit status is 1."""
    status, found, lines = fly(*more, only=[*needs, name])
    assert status == 1 and failed(found) == [name], lines
    assert says in found[name]
    assert lines[-1] == f"1 of {len(needs) + 1} failed"


def test_extension_with_a_wrong_kernel(fly, monkeypatch):
    right = kernels.linear
    monkeypatch.setattr(kernels, "linear", lambda x, w: right(x, w) + 0.01)
    breaks(fly, "extension", "linear of the kernels is off by 0.01")


def test_tokenizer_that_is_saved_as_another(fly, monkeypatch):
    right = tokenizer.Tokenizer.save
    other = train_tokenizer(["hello hello"], 3)
    monkeypatch.setattr(tokenizer.Tokenizer, "save", lambda self, path: right(other, path))
    breaks(fly, "tokenizer", "the tokenizer that was read back is another one")


def test_tokenizer_that_gives_other_text_back(fly, monkeypatch):
    right = tokenizer.Tokenizer.decode
    monkeypatch.setattr(tokenizer.Tokenizer, "decode", lambda self, ids: right(self, ids)[:-1])
    breaks(fly, "tokenizer", "does not come back from its tokens")


def test_tokenizer_that_has_learned_less_than_the_one_before(fly, monkeypatch):
    monkeypatch.setattr(
        preflight_checks, "_characters_per_token", lambda made, _: 3000 / made.vocab_size
    )
    breaks(fly, "tokenizer", "characters per token, the 289 of 30 merges")


def test_parameters_of_a_model_that_lacks_a_matrix(fly, monkeypatch):
    right = backbone.parameter_shapes

    def without(config):
        shapes = right(config)
        shapes["layers.1.ffn_up"] = (1, 1)
        return shapes

    monkeypatch.setattr(backbone, "parameter_shapes", without)
    breaks(fly, "parameters", "of them named; the arithmetic says")


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [("layers.1.attn_out", lambda w: w * 2, "layers.1.attn_out has std 0.07"),
     ("wte", lambda w: w + 0.01, "wte has std 0.0"),
     ("final_norm", lambda w: w * 0.99, "final_norm is not 1 everywhere")],
)  # fmt: skip
def test_initialisation_that_is_another(fly, monkeypatch, name, change, says):
    right = Model.init

    def init(self, *arguments):
        right(self, *arguments)
        self.parameters[name][...] = change(self.parameters[name])

    monkeypatch.setattr(Model, "init", init)
    breaks(fly, "initialisation", says)


def test_threads_that_change_the_numbers(fly, monkeypatch):
    right = Model.loss_and_gradients
    monkeypatch.setattr(kernels, "usable_cores", lambda: 2)

    def shifted(self, *args, **named):
        return right(self, *args, **named) + 1e-9 * kernels.get_num_threads()

    monkeypatch.setattr(Model, "loss_and_gradients", shifted)
    breaks(fly, "threads", "the loss depends on the number of threads")


def killed(options, folder, seconds):
    """A trial that the system kills."""
    os.kill(os.getpid(), 9)


def test_memory_that_kills_the_step(fly, monkeypatch):
    monkeypatch.setattr(trial_run, "rehearse", killed)
    breaks(fly, "memory of a step", "the trial step was killed or found no memory")


def test_memory_that_the_machine_has_not(fly, monkeypatch):
    monkeypatch.setattr(process_memory, "available_bytes", lambda: 1_000_000)
    breaks(fly, "memory of a step", "and this machine has only 1 MB left", more=["--n-embd", 128])


def wasteful(options, folder, seconds):
    """A trial whose step takes 200 MB that nothing planned."""
    right = training_run.TrainingRun.__init__

    def init(self, *args):
        right(self, *args)
        self.waste = np.ones(200_000_000, np.uint8)

    training_run.TrainingRun.__init__ = init
    return _rehearse(options, folder, seconds)


_rehearse = trial_run.rehearse


def test_memory_beyond_the_estimate(fly, monkeypatch):
    monkeypatch.setattr(trial_run, "rehearse", wasteful)
    breaks(fly, "memory of a step", " estimated")


def test_loss_at_step_0_of_a_wrong_scale(fly, monkeypatch):
    right = Model.init

    def init(self, *arguments):
        right(self, *arguments)
        self.parameters["wte"][...] *= 12

    monkeypatch.setattr(Model, "init", init)
    breaks(fly, "loss at step 0", "and this initialisation puts it near")


def test_loss_at_step_0_that_is_no_number(fly, monkeypatch):
    monkeypatch.setattr(Model, "loss_and_gradients", lambda *_, **__: float("nan"))
    breaks(fly, "loss at step 0", "the loss is nan")


def test_loss_that_does_not_fall(fly, monkeypatch):
    right = Adam.update
    monkeypatch.setattr(Adam, "update", lambda self, lr, norm: right(self, -lr, norm))
    breaks(fly, "loss falls", "after 20 steps")


def test_resume_that_forgets_a_moment(fly, monkeypatch):
    right = training_run.TrainingRun.restore

    def forgets(self, *args):
        right(self, *args)
        self.optimizer.v[:3] *= 1.001

    monkeypatch.setattr(training_run.TrainingRun, "restore", forgets)
    breaks(fly, "resume", "differ from those of the run that went on", needs=["loss falls"])


def test_resume_under_a_wrong_name(fly, monkeypatch):
    def another(name):
        return f"microgpt_chat_{name}_v4"

    monkeypatch.setattr(
        training_run, "presets", SimpleNamespace(**{**vars(presets), "checkpoint_base": another})
    )
    breaks(fly, "resume", "no microgpt_chat_25m_v5_0.bin was written")


def test_a_10m_checkpoint_that_is_not_refused(fly, monkeypatch):
    monkeypatch.setattr(training_run.TrainingRun, "restore", lambda *_: None)
    breaks(fly, "another model refused", "a checkpoint of 10m was taken for one of 25m")


def test_a_refusal_that_does_not_say_why(fly, monkeypatch):
    def refuse(*_, **__):
        raise CheckpointError("n_embd is 256 there, 64 here")

    monkeypatch.setattr(checkpoint, "require_same", refuse)
    breaks(fly, "another model refused", "does not say that n_layer is 12 there, 2 here")


def test_disk_that_is_full(fly, monkeypatch):
    monkeypatch.setattr(
        preflight_checks.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000_000})
    )
    breaks(fly, "disk space", "are needed and 1 MB are free in ")


def test_every_check_is_broken_above():
    source = open(__file__, encoding="utf-8").read()
    for name in NAMES:
        assert f'breaks(fly, "{name}"' in source.replace("breaks(\n        fly, ", "breaks(fly, ")
