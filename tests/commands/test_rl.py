"""`vidya.rl` as a command: what it leaves in the run folder, and what it refuses."""

import json
import shutil
import sys

import numpy as np
import pytest
from support.chat_runs import NAME, babbling_model, meta_of, save_run, small_tokenizer
from support.training_runs import snapshot

from vidya import plot, rl
from vidya.model.adam import Adam
from vidya.reporting.rl_curve import draw_rl, read_rl
from vidya.storage import checkpoint
from vidya.storage.find_model import resolve_model
from vidya.storage.metrics_log import read_metrics
from vidya.storage.run_folder import RunFolder
from vidya.terminal.command_frame import run_command
from vidya.text import token_cache

pytestmark = pytest.mark.usefixtures("kernel_settings")
TRAINED = NAME.replace(".bin", "_train.bin")
DOCUMENTS = [
    "<|user|> hello there <|assistant|> i am fine",
    "<|user|> how are you <|assistant|> fine thank you <|user|> and then",
    "a line of another kind",
] * 4
WORDS = ["target=5", "unit=words"]
QUICK = (
    "--steps 3 --prompts-per-step 2 --group 4 --max-tokens 12 --threads 1 --lr 1e-3 --eval-every 2"
).split()
SIGNAL = """
import os, signal
calls = 0
def f(turns, reply):
    global calls
    calls += 1
    if calls == {at}:
        {action}
    return len(reply)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder whose model has not learnt much."""
    folder = tmp_path_factory.mktemp("rl") / "run"
    tokenizer = small_tokenizer()
    model = babbling_model(tokenizer)
    model.parameters["final_norm"][:] = 0.3
    save_run(folder, tokenizer, model)
    for split in ("train", "val"):
        token_cache.build(folder / f"{split}.tokens", DOCUMENTS, tokenizer, "corpus")
    return folder


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def command(run, monkeypatch, capsys):
    """Run the command in this process on the run: (status, stdout, stderr)."""

    def call(*arguments, reward="vidya.rewards:length", model=run):
        given = ["vidya rl", "--reward", reward, "--model", str(model), *QUICK]
        monkeypatch.setattr(sys, "argv", [*given, *map(str, arguments)])
        status = run_command(rl.main)
        out, err = capsys.readouterr()
        return status, out, err

    return call


def judge(folder, name, at=0, action="pass"):
    (folder / f"{name}.py").write_text(SIGNAL.format(at=at, action=action))
    return f"{name}:f"


def weights(path):
    tensors, meta = checkpoint.load(path)
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)]), meta


def test_what_a_run_leaves(command, run):
    before = snapshot(run)
    status, out, err = command("--settings", *WORDS)
    assert status == 0, err
    assert (
        f"{NAME} learns from vidya.rewards:length target=5 unit=words: 3 steps of 2 prompts, 4"
        in err
    )
    assert "step 3 of 3" in err and "unseen text" in err
    assert "after step 3" in out and "--what rl" in out and "replies: reward " in out
    after = snapshot(run)
    assert after.keys() - before.keys() == {TRAINED, "rl.jsonl"}
    assert {name: after[name] for name in before} == before
    learnt, meta = weights(run / TRAINED)
    assert not np.array_equal(learnt, weights(run / NAME)[0][: len(learnt)])
    assert (meta["kind"], meta["origin"]["name"], meta["rl"]["steps"]) == ("rl", NAME, 3)
    assert meta["rl"]["reward"] == "vidya.rewards:length" and meta["rl"]["settings"] == WORDS
    assert resolve_model(run)[0].name == TRAINED

    about, *lines = read_metrics(run / "rl.jsonl")
    assert (about["kind"], about["options"]["group"]) == ("rl", 4)
    steps = [line for line in lines if "reward" in line]
    assert [line["step"] for line in steps] == [1, 2, 3]
    assert [line["step"] for line in lines if "val_loss" in line] == [0, 2, 3]
    assert steps[0]["kl"] == 0 and steps[2]["kl"] > 0
    for line in steps:
        assert line["reward"] <= 1 and 0 <= line["reply_tokens"] <= 12 and line["seconds"] > 0


def test_the_same_seed_gives_the_same_model(command, run):
    found = []
    for seed in (0, 0, 1):
        assert command("--seed", seed)[0] == 0
        found.append(weights(run / TRAINED)[0].tobytes())
        (run / TRAINED).unlink()
    assert found[0] == found[1] != found[2]


def test_it_goes_on_from_what_it_made(command, run):
    assert command("--steps", 1)[0] == 0
    assert command("--steps", 1)[0] == 0
    _, meta = weights(run / TRAINED)
    assert (meta["origin"]["name"], meta["origin"]["kind"]) == (TRAINED, "rl")
    assert [line.get("kind") for line in read_metrics(run / "rl.jsonl")].count("rl") == 2
    assert read_rl(run).steps.tolist() == [1]


def test_prompts_of_a_file(command, run, tmp_path):
    reward = judge(tmp_path, "listener", 1, "pass")
    source = (tmp_path / "listener.py").read_text()
    source = source.replace("return", "print(turns, file=open('heard', 'a'))\n    return")
    (tmp_path / "listener.py").write_text(source)
    (tmp_path / "prompts.txt").write_text(
        "hello\n\n  \n<|user|> a <|assistant|> b <|user|> c <|assistant|> d\n"
    )
    (run / "train.tokens").unlink()
    (run / "val.tokens").unlink()
    status, _, err = command("--prompts", "prompts.txt", reward=reward)
    assert status == 0 and "what is forgotten is not measured" in err
    heard = (tmp_path / "heard").read_text().splitlines()
    assert sorted(set(heard)) == ["['a', 'b', 'c']", "['hello']"]
    assert len(heard) == 3 * 2 * 4 and heard[:4] == heard[:1] * 4 and heard.count(heard[0]) == 12
    assert (run / TRAINED).exists()


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_ctrl_c_saves_what_was_learnt(command, run, tmp_path, steps):
    name = f"stopper{steps}"
    # the signal comes while replies are judged: that step is finished
    action = "os.kill(os.getpid(), signal.SIGINT)"
    if steps == 0:
        source = f"import os, signal\n{action}\ndef f(turns, reply): return 1"
        (tmp_path / f"{name}.py").write_text(source)
        status, out, err = command(reward=f"{name}:f")
        assert status == 130 and not (run / TRAINED).exists()
        return
    status, out, err = command(reward=judge(tmp_path, name, 8 * steps - 3, action))
    assert status == 130, err
    # in the last step, too, if its evaluation is cut short
    assert f"stopped after step {steps} of 3: saved as " in err and f"after step {steps}" in out
    assert weights(run / TRAINED)[1]["rl"]["steps"] == steps


def test_ctrl_c_in_the_last_step_where_nothing_is_measured(command, run, tmp_path):
    (run / "val.tokens").unlink()
    reward = judge(tmp_path, "late", 8 * 3 - 3, "os.kill(os.getpid(), signal.SIGINT)")
    status, out, err = command(reward=reward)
    assert status == 0 and "stopped" not in err and "after step 3" in out
    assert weights(run / TRAINED)[1]["rl"]["steps"] == 3


@pytest.mark.parametrize("step", [1, 2])
def test_a_reward_that_fails_loses_nothing(command, run, tmp_path, step):
    before = snapshot(run)
    reward = judge(tmp_path, f"failing{step}", 8 * step - 3, "raise KeyError('x')")
    status, out, err = command(reward=reward)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"error: the reward {reward} failed: KeyError: 'x'")
    if step == 1:
        assert {**snapshot(run), "rl.jsonl": b""} == {**before, "rl.jsonl": b""}
    else:
        assert err.endswith(f"(the weights of step 1 are saved as {TRAINED})\n")
        assert weights(run / TRAINED)[1]["rl"]["steps"] == 1


def test_gradients_that_are_not_finite(command, run, monkeypatch):
    """The step that cannot be made is told, the ones before are kept."""
    norm = Adam.gradient_norm
    monkeypatch.setattr(
        Adam, "gradient_norm", lambda self: norm(self) if self.steps < 2 else float("nan")
    )
    status, _, err = command()
    assert status == 2
    assert (
        "stopped at step 3: the gradient norm is nan; the weights of step 2 are saved as "
        f"{TRAINED}: give a lower --lr, or more --kl"
    ) in err
    assert weights(run / TRAINED)[1]["rl"]["steps"] == 2


def test_weights_that_overflow_are_not_saved(command, run):
    status, _, err = command("--lr", "1e38", "--eval-every", 1, "--settings", *WORDS)
    assert status == 2 and "lower --lr" in err.splitlines()[-1]
    assert not (run / TRAINED).exists()


@pytest.mark.parametrize(("lr", "kept"), [(0.3, True), (3.0, False)])
def test_what_forgets_too_much_is_taken_back(command, run, lr, kept):
    status, out, err = command(
        "--lr", lr, "--steps", 9, "--eval-every", 1, "--kl", 0, "--settings", *WORDS
    )
    assert status == 0
    losses = [line["val_loss"] for line in read_metrics(run / "rl.jsonl") if "val_loss" in line]
    assert losses[-1] > 1.05 * losses[0] and max(losses[:-1]) <= 1.05 * losses[0]
    steps = len(losses) - 2
    assert "the held-out loss has risen by" in err and f"back to the weights of step {steps}" in err
    assert (steps > 0) == kept
    if kept:
        assert weights(run / TRAINED)[1]["rl"]["steps"] == steps
        change = losses[-2] / losses[0] - 1
        assert f"({change:+.1%}; " in out
    else:
        assert not (run / TRAINED).exists() and "nothing was saved" in out


def test_the_picture(command, run, monkeypatch, capsys):
    assert command("--settings", "target=5")[0] == 0
    monkeypatch.setattr(sys, "argv", ["vidya plot", str(run), "--what", "rl"])
    assert run_command(plot.main) == 0
    assert capsys.readouterr().out.strip() == str(run / "rl.png")
    assert (run / "rl.png").read_bytes().startswith(b"\x89PNG")
    curve = read_rl(run / "rl.jsonl")
    assert curve.steps.tolist() == [1, 2, 3] and curve.evaluated.tolist() == [0, 2, 3]
    assert (curve.target, curve.most_forgetting) == (5, 0.05)
    length, _, _, forgetting = draw_rl(curve).axes
    assert length.lines[0].get_ydata().tolist() == curve.tokens.tolist()
    assert set(length.lines[2].get_ydata()) == {5}
    assert forgetting.lines[0].get_ydata()[0] == 0


def test_a_picture_of_nothing(run, tmp_path, monkeypatch, capsys):
    for arguments, saying in (
        ([run], "no reinforcement learning at"),
        ([run, run], "--what rl draws one run"),
    ):
        monkeypatch.setattr(sys, "argv", ["vidya plot", *map(str, arguments), "--what", "rl"])
        assert run_command(plot.main) == 2
        assert saying in capsys.readouterr().err
    (tmp_path / "rl.jsonl").write_text(json.dumps({"kind": "rl"}) + "\n")
    monkeypatch.setattr(sys, "argv", ["vidya plot", str(tmp_path / "rl.jsonl"), "--what", "rl"])
    assert run_command(plot.main) == 2 and "nothing to draw yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["--steps", 0], "--steps must be at least 1, not 0"),
        (["--prompts-per-step", 0], "--prompts-per-step must be at least 1"),
        (["--group", 1], "--group must be at least 2, not 1"),
        (["--group", 9999], "--prompts-per-step times --group must be at most 4096, not 19998"),
        (["--max-tokens", 0], "--max-tokens must be at least 1"),
        (["--max-tokens", 33], "--max-tokens must be at most 32, half the model's context"),
        (["--inner-steps", 0], "--inner-steps must be at least 1"),
        (["--eval-every", 0], "--eval-every must be at least 1"),
        (["--eval-tokens", 0], "--eval-tokens must be at least 1"),
        (["--lr", 0], "--lr must be a positive number, not 0"),
        (["--lr", "nan"], "--lr must be a positive number, not nan"),
        (["--clip", "inf"], "--clip must be a positive number, not inf"),
        (["--kl", -1], "--kl must be 0 or more, not -1"),
        (["--most-forgetting", "nan"], "--most-forgetting must be 0 or more"),
        (["--seed", -1], "--seed must be in [0, 2**64)"),
        (["--threads", 0], "--threads must be"),
        (["--settings", "target"], "--settings takes NAME=VALUE"),
        (["--settings", "goal=3"], "has no setting goal: its settings are"),
        (["--settings", "target=-1"], "the target length must be above 0, not -1"),
        (["--reward", "nowhere:f"], "there is no module nowhere"),
        (["--prompts", "none.txt"], "cannot read none.txt"),
        (["--prompts", "empty.txt"], "empty.txt holds no prompt"),
        (["--model", "nowhere"], "there is no nowhere"),
    ],
)
def test_what_cannot_be(command, run, tmp_path, arguments, saying):
    (tmp_path / "empty.txt").write_text("\n \n")
    (run / TRAINED).write_bytes((run / NAME).read_bytes())
    before = snapshot(run)
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: ") and saying in err and "Traceback" not in err
    after = snapshot(run)
    after.pop("rl.jsonl", None)
    assert after == before


def test_a_folder_without_prompts_or_in_use(command, run):
    with RunFolder(run):
        status, _, err = command()
        assert status == 2 and "is in use by another training" in err
    (run / "train.tokens").unlink()
    status, _, err = command()
    assert status == 2 and "has no train.tokens to take prompts from: give --prompts FILE" in err
    tokenizer = small_tokenizer()
    token_cache.build(run / "train.tokens", ["no talk", "at all"], tokenizer, "corpus")
    status, _, err = command()
    assert status == 2 and "no document of the training corpus is a conversation" in err
    assert not (run / TRAINED).exists()


def test_a_model_that_is_no_good(command, run):
    tokenizer = small_tokenizer()
    model = babbling_model(tokenizer)
    model.flat[...] = np.nan
    checkpoint.save(run / TRAINED, model.parameters, meta_of(model, tokenizer))
    before = snapshot(run)
    status, out, err = command()
    assert (status, out) == (2, "") and "error: " in err.splitlines()[-1]
    assert snapshot(run)[TRAINED] == before[TRAINED]
