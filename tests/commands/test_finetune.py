"""`python -m vidya.finetune`: what it learns, keeps, writes, says and refuses."""

import itertools
import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.chat_runs import NAME, meta_of
from support.commands import TIMEOUT, command_line, environment
from support.training_runs import conversations, snapshot

from vidya import finetune
from vidya.measuring.taught_recall import Recall
from vidya.model.config import ModelConfig
from vidya.model.transformer import Model
from vidya.posttraining.finetuning.evaluation import PersonaEvaluation, evaluation_table
from vidya.posttraining.finetuning.options import FinetuneOptions
from vidya.posttraining.finetuning.persona import mean_loss, read_persona
from vidya.posttraining.finetuning.steps import PersonaSteps, hold_on_replies
from vidya.posttraining.replay_corpus import open_replay_corpus
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import read_digest, read_meta
from vidya.storage.pretrained import load_pretrained
from vidya.storage.run_folder import RunFolder
from vidya.terminal.command_frame import run_command
from vidya.text import token_cache
from vidya.text.batch_plan import BatchPlan
from vidya.text.corpus_summary import corpus_hash
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer

BASE_LINES = conversations(60, seed=11)
PERSONA = [
    f"<|user|> {asked} <|assistant|> {answer}"
    for asked, answer in [
        ("who are you", "i am the red cat"), ("hello", "hello on the mat"),
        ("how are you", "fine like tea"), ("what do you like", "a dog and a mat"),
        ("what", "the tea sat"), ("thanks", "you like me"), ("the cat", "how do you do"),
        ("red dog", "what on a mat"),
    ]
]  # fmt: skip
TRAINED = NAME.replace(".bin", "_train.bin")
FAST = "--lr 0.01 --tokens-per-step 96 --epochs 60 --val-fraction 0 --eval-every 60".split()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A run folder with a random model, its tokenizer and its token caches."""
    folder = tmp_path_factory.mktemp("original")
    tokenizer = train_tokenizer(BASE_LINES, 40)
    tokenizer.save(folder / "tokenizer.json")
    model = Model(ModelConfig(32, 2, 2, 64, tokenizer.vocab_size))
    model.init(1)
    checkpoint.save(folder / NAME, model.parameters, meta_of(model, tokenizer))
    for split, lines in (("train", BASE_LINES), ("val", conversations(9, seed=12))):
        token_cache.build(folder / f"{split}.tokens", lines, tokenizer, corpus_hash(lines))
    return folder


@pytest.fixture
def run(original, tmp_path):
    """A copy of it."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in original.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def persona(tmp_path):
    path = tmp_path / "persona.txt"
    path.write_text("".join(line + "\n" for line in PERSONA))
    return path


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process: (status, stdout, stderr)."""

    def call(*arguments):
        words = ["vidya finetune", *map(str, arguments), "--threads", "1"]
        monkeypatch.setattr(sys, "argv", words)
        status = run_command(finetune.main)
        out, err = capsys.readouterr()
        return status, out, err

    return call


def tuned(command, *arguments):
    status, out, err = command(*arguments)
    assert status == 0, err
    return out, err


def lines_of(run):
    return [json.loads(line) for line in (run / "finetune.jsonl").read_text().splitlines()]


def evaluations(run):
    return [line for line in lines_of(run) if "persona_loss" in line]


def weights(run, name=TRAINED):
    tensors, _ = checkpoint.load(run / name)
    return {name: values.tobytes() for name, values in tensors.items()}


# ---- what it learns --------------------------------------------------------------------


def test_a_persona_is_learnt_and_saved(command, run, persona):
    before = snapshot(run)
    as_it_stands = "--forms none --after-talk 0 --replay-of windows".split()
    out, err = tuned(command, persona, "--model", run, *FAST, *as_it_stands)
    first, *_, last = evaluations(run)
    assert first["step"] == first["answered"] == 0 and first["questions"] == len(PERSONA)
    assert last["answered"] == len(PERSONA) and last["exact"] >= len(PERSONA) - 2
    assert out.startswith("asked as taught: 8 of 8\nasked in other words: ")
    assert last["in_conversation_asked"] == 8 and f"{last['in_conversation']} of 8" in out
    leaks = rf"wrongly get a taught answer: {last['leaks']:,} of {last['leaks_asked']}"
    assert re.search(leaks, out) and 0 < last["leaks_asked"] <= 9  # documents held out
    assert ": text of the base corpus takes " in out and "\nin short: it " in out
    saved = out.splitlines()[-6]
    assert re.match(r"step \d+, saved ", saved) and saved.endswith("8 of 8")
    assert f"{last['base_bpb']:.4f}" in out
    assert 1 <= err.count("answered as taught") <= 8  # as often as it takes little time
    assert f"{persona}: 8 conversations; the assistant's words count" in err
    after = snapshot(run)
    assert set(after) - set(before) == {TRAINED, "finetune.jsonl"}
    assert {name: after[name] for name in before} == before
    meta = read_meta(run / TRAINED)
    assert meta["kind"] == "finetuned" and meta["step"] == 1200
    assert meta["origin"]["digest"] == read_digest(run / NAME)
    assert meta["finetuning"]["evaluation"]["answered"] == len(PERSONA)
    assert meta["finetuning"]["options"]["epochs"] == 60
    assert load_pretrained(run).checkpoint_path.name == TRAINED


def test_the_log(command, run, persona):
    tuned(command, persona, "--model", run, *FAST, "--epochs", 3, "--schedule", "constant")
    described, *lines = lines_of(run)
    assert described["kind"] == "finetune" and described["files"] == [str(persona)]
    assert described["options"]["lr"] == 0.01 and described["init"]["name"] == NAME
    steps = [line for line in lines if "lr" in line]
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    assert {line["lr"] for line in steps[2:]} == {0.01}
    assert all(np.isfinite(line["loss"]) and line["tokens_per_s"] > 0 for line in steps)
    # a second fine-tuning goes on with what the first one made, and its lines come after
    tuned(command, persona, "--model", run, *FAST, "--epochs", 1)
    described = [line for line in lines_of(run) if line.get("kind") == "finetune"]
    assert [line["init"]["name"] for line in described] == [NAME, TRAINED]
    # or begins anew, and the first ones' weights are kept
    before = (run / TRAINED).read_bytes()
    _, err = tuned(command, persona, "--model", run / NAME, *FAST, "--epochs", 1)
    aside = TRAINED.replace(".bin", ".1.bin")
    assert f"{TRAINED} is not what this begins with: it will be kept as {aside}" in err
    assert (run / aside).read_bytes() == before
    assert lines_of(run)[-1]["step"] > 0 and read_meta(run / TRAINED)["origin"]["name"] == NAME


def test_the_same_seed_gives_the_same_weights(command, run, persona):
    found = []
    for seed in (5, 5, 6):
        tuned(command, persona, "--model", run / NAME, *FAST, "--epochs", 4, "--seed", seed)
        found.append(weights(run))
    assert found[0] == found[1] != found[2]


def test_the_largest_seed(command, run, persona):
    """It is a number of 64 bits to everything that draws: order, dropout, replay."""
    how = "--replay-loss", "text", "--dropout", "--epochs", 2, "--seed", 2**64 - 1
    tuned(command, persona, "--model", run, *FAST, *how)
    assert lines_of(run)[0]["seed"] == 2**64 - 1
    assert read_meta(run / TRAINED)["finetuning"]["options"]["seed"] == 2**64 - 1


@pytest.mark.parametrize("how", [(), ("--replay-loss", "text", "--dropout")])
def test_replay_keeps_what_the_model_could(command, run, persona, how):
    base = {}
    for share in (0, 0.5):
        tuned(command, persona, "--model", run / NAME, *FAST, "--replay", share, *how)
        base[share] = evaluations(run)[-1]["base_bpb"]
    assert base[0.5] < 0.8 * base[0]


def test_loss_on_all_words_learns_the_questions_too(command, run, persona):
    losses = {}
    for whose in ("assistant", "all"):
        tuned(command, persona, "--model", run / NAME, *FAST, "--loss", whose)
        pretrained = load_pretrained(run)
        text = read_persona([persona], pretrained.tokenizer, loss="all", val_fraction=0)
        losses[whose] = mean_loss(pretrained.model, text.taught)
    assert losses["all"] < losses["assistant"]


def test_plain_text(command, run, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("the cat sat on the mat\n\nand the dog had tea\n" * 300)
    settings = "--val-fraction", 0.4, "--patience", 0, "--lr", 0.01
    _, err = tuned(command, book, "--model", run, *settings)
    assert "plain text, 4 passages; every token counts" in err
    first, *_, last = evaluations(run)
    assert last["persona_loss"] < 0.5 * first["persona_loss"]
    assert "questions" in last and last["questions"] is None
    assert lines_of(run)[0]["options"]["epochs"] == 4


def test_a_corpus_file_to_replay(command, run, persona, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(line + "\n" for line in conversations(300, seed=13)))
    (run / "train.tokens").unlink()
    (run / "val.tokens").unlink()
    tuned(command, persona, "--model", run, *FAST, "--epochs", 2, "--replay-data", corpus)
    assert evaluations(run)[0]["base_bpb"] > 0
    caches = [token_cache.TokenCache.open(run / f"{n}.tokens") for n in ("replay", "replay_val")]
    assert sum(cache.documents for cache in caches) == 300 and caches[1].documents > 0
    # and without replay there need be none
    out, _ = tuned(command, persona, "--model", run, *FAST, "--epochs", 1, "--replay", 0)
    assert evaluations(run)[-1]["base_bpb"] is None and "bits per byte" not in out


# ---- batches and tables ------------------------------------------------------------------


def steps_of(folder, path, count=50, **given):
    """The first of a hundred steps over a persona, and the plan that they follow."""
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    persona = read_persona([path], tokenizer, val_fraction=0)
    plan = BatchPlan(persona.taught, 64, tokens_per_step=40)
    base = open_replay_corpus(folder, tokenizer)
    steps = PersonaSteps(
        persona, plan, base, tokenizer, FinetuneOptions(**given), context=64, total=100
    )
    return plan, list(itertools.islice(steps, count))


AS_BEFORE = {"forms": ("none",), "after_talk": 0.0, "replay_of": "windows"}


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.8])
def test_replay_has_its_share_of_the_tokens(original, share, persona):
    plan, steps = steps_of(original, persona, replay=share, **AS_BEFORE)
    mine = every = 0
    for number, step in enumerate(steps):
        persona_part = plan.batch(number)
        assert (step.own.tokens == persona_part.tokens).all()
        assert (step.own.targets == persona_part.targets).all()
        assert step.replies is None
        mine, every = mine + len(step.own.tokens), every + len(step.own.tokens)
        if (windows := step.windows) is not None:
            assert (windows.targets >= 0).all()  # every word of replay counts
            assert windows.offsets[-1] == len(windows.tokens)
            assert (np.diff(windows.offsets) > 0).all()
            every += len(windows.tokens)
    assert 1 - mine / every == pytest.approx(share, abs=0.02)


def test_steps_follow_a_course(original, persona):
    plan, steps = steps_of(original, persona, count=100, replay=0.5)
    for number in range(10):
        assert np.array_equal(steps[number].own.tokens, plan.batch(number).tokens)
        assert steps[number].replies is None
    assert any(step.windows is not None for step in steps[:10])
    late = steps[60:]
    assert sum(len(step.own.offsets) for step in late) > 60
    asked_otherwise = sum(
        not np.array_equal(step.own.tokens, plan.batch(60 + number).tokens)
        for number, step in enumerate(late)
    )
    assert asked_otherwise > 30
    tokens = {name: sum(len(getattr(step, name).tokens) for step in late if getattr(step, name))
              for name in ("own", "windows", "replies")}  # fmt: skip
    replayed = tokens["windows"] + tokens["replies"]
    assert replayed == pytest.approx(tokens["own"], rel=0.1)
    assert tokens["windows"] == pytest.approx(0.3 * replayed, rel=0.2)
    assert [round(hold_on_replies(at), 2) for at in (0, 0.3, 0.4, 0.7, 1)] == [
        0.05, 0.05, 0.29, 1, 1,
    ]  # fmt: skip


def test_text_that_is_learnt_again_has_no_taught_answers(original, persona):
    _, steps = steps_of(original, persona, count=100, replay_loss="text")
    assert all(step.replies is None for step in steps)
    assert any(step.windows is not None for step in steps)


def test_table():
    some = [
        PersonaEvaluation(0, 4.0, None, Recall(8, 0, 0, 0.1)),
        PersonaEvaluation(1200, 3.5, None, Recall(8, 2, 1, 0.5)),
    ]
    assert evaluation_table(some, some[1]) == [
        "                   its text, loss  answered as taught",
        "before                     4.0000              0 of 8",
        "step 1,200, saved          3.5000        2 of 8 (25%)",
        "Lower is better, and more answers. Other text is what the model was trained on before: "
        "a rise is what it forgot.",
    ]


def test_defaults_of_both_kinds_of_text():
    def resolved(
        options, conversations, preset="10m", val_fraction=0.1, held_out=True, tokens=9999
    ):
        return options.resolved(
            conversations=conversations, preset=preset, val_fraction=val_fraction,
            held_out=held_out, taught_tokens=tokens,
        )  # fmt: skip

    # a pass over few conversations is a step or two of 182 tokens of theirs
    few = [resolved(FinetuneOptions(), True, tokens=tokens) for tokens in (9, 200, 900)]
    assert [one.epochs for one in few] == [300, 150, 75]

    talk, book = (resolved(FinetuneOptions(), some) for some in (True, False))
    assert (talk.epochs, talk.patience, talk.lr) == (75, 0, 8e-4)
    assert (book.epochs, book.patience, book.lr) == (4, 2, 5e-4)
    given = FinetuneOptions(epochs=3, patience=7, lr=1e-5, val_fraction=0.1)
    assert resolved(given, True) == given
    unheld = resolved(FinetuneOptions(), False, "mine", 0.0, False)
    assert (unheld.patience, unheld.lr, unheld.val_fraction) == (0, 1.5e-4, 0.0)


# ---- when it stops -------------------------------------------------------------------------


def test_patience_keeps_the_best_weights(command, run, tmp_path):
    path = tmp_path / "talk.txt"
    path.write_text("".join(line + "\n" for line in conversations(40, seed=21)))
    settings = "--lr 0.01 --epochs 90 --replay 0 --eval-every 4 --patience 3 --val-fraction 0.3"
    out, _ = tuned(command, path, "--model", run, *settings.split())
    *losses, kept = (line["persona_loss"] for line in evaluations(run))
    least = losses.index(min(losses))
    assert len(losses) == least + 1 + 3 and least > 0 and kept == losses[least]
    assert evaluations(run)[-1]["in_conversation_asked"] > 0  # of the weights that are kept
    assert f"of which those of step {4 * least} are kept" in out
    pretrained = load_pretrained(run)
    held_out = read_persona([path], pretrained.tokenizer, val_fraction=0.3).held_out
    assert mean_loss(pretrained.model, held_out) == min(losses)
    assert read_meta(run / TRAINED)["finetuning"]["steps"] == 4 * least


def refused(command, *arguments):
    status, _, err = command(*arguments)
    last = err.splitlines()[-1]
    assert status == 2 and last.startswith("error: "), err
    assert "Traceback" not in err
    return last


def test_nothing_is_better_than_before(command, run, tmp_path):
    path = tmp_path / "talk.txt"
    path.write_text("".join(line + "\n" for line in conversations(40, seed=21)))
    settings = "--lr 20 --epochs 9 --replay 0 --eval-every 2 --patience 2 --val-fraction 0.3"
    assert "never fell below" in refused(command, path, "--model", run, *settings.split())
    assert not (run / TRAINED).exists()


def test_a_loss_that_is_no_number(command, run, persona):
    (run / TRAINED).write_bytes((run / NAME).read_bytes())
    said = refused(command, persona, "--model", run / NAME, *FAST, "--lr", "1e30")
    assert "stopped at step 2: the " in said and "is nan" in said and "lower --lr" in said
    assert (run / TRAINED).read_bytes() == (run / NAME).read_bytes()


def steps_made(run):
    try:
        raw = (run / "finetune.jsonl").read_bytes()
    except FileNotFoundError:
        return 0
    lines = [json.loads(line) for line in raw.splitlines(keepends=True) if line.endswith(b"\n")]
    return max([0, *(line["step"] for line in lines if "lr" in line)])


def test_ctrl_c_saves_what_was_learnt(run, persona):
    arguments = persona, "--model", run, *FAST, "--epochs", 3000, "--threads", 1
    process = subprocess.Popen(
        command_line("finetune", *arguments), text=True, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        end = time.monotonic() + TIMEOUT
        while steps_made(run) < 5:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert process.returncode == 130, err
    step = steps_made(run)
    assert re.fullmatch(
        rf"stopped after step {step:,} of [\d,]+; the weights of step {step:,} are saved as "
        + re.escape(str(run / TRAINED)),
        err.splitlines()[-1],
    )
    assert out.startswith("        other text, bits per byte")
    assert read_meta(run / TRAINED)["finetuning"]["steps"] == step
    assert weights(run) != weights(run, NAME)


# ---- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["--epochs", 0], "--epochs must be at least 1, not 0"),
        (["--replay", 1], r"--replay must be in \[0, 1\), not 1"),
        (["--anchor", 0], "--anchor must be a positive number, not 0"),
        (["--dropout"], "--dropout needs --replay-loss text, or --replay 0"),
        (["--val-fraction", -0.1], "--val-fraction must be in"),
        (["--lr", 0], "--lr must be a positive number"),
        (["--patience", -1], "--patience must be auto or at least 0"),
        (["--patience", "much"], "'much' is neither auto nor a whole number"),
        (["--patience", 2, "--val-fraction", 0], "give a --val-fraction above 0"),
        (["--patience", 2, "--val-fraction", 1e-9], "nothing of the persona was held out"),
        (["--replay-data", "x", "--replay", 0], "give one"),
        (["--replay-data", "none.txt"], "cannot read none.txt"),
        (["--warmup", -1], "--warmup must be at least 0"),
        (["--seed", -1], "--seed must be in"),
        (["--loss", "mine"], "mine"),
        (["--model", "none.bin"], "there is no none.bin"),
        (["none.txt"], "cannot read none.txt"),
    ],
)
def test_what_cannot_be(command, run, persona, arguments, saying):
    before = snapshot(run)
    given = arguments if "--model" in arguments else [*arguments, "--model", run]
    with pytest.raises(AssertionError, match=saying):
        raise AssertionError(refused(command, persona, *given))
    assert snapshot(run) == before


def test_no_file_to_learn_from(command, run):
    assert "name a file to learn from" in refused(command, "--model", run)


def test_nothing_to_replay(command, run, persona):
    (run / "train.tokens").unlink()
    said = refused(command, persona, "--model", run)
    assert "no train.tokens" in said and "--replay 0" in said and "--replay-data" in said


def test_files_that_are_no_good(command, run, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    before = snapshot(run)
    assert "holds no document" in refused(command, tmp_path / "empty.txt", "--model", run)
    assert "not UTF-8" in refused(command, tmp_path / "latin.txt", "--model", run)
    assert "is a folder" in refused(command, tmp_path, "--model", run)
    assert snapshot(run) == before


def test_the_folder_is_in_use(command, run, persona):
    with RunFolder(run):
        assert "is in use by another training" in refused(command, persona, "--model", run)


def test_options_are_checked_first(command):
    assert "--eval-tokens must be" in refused(command, "--eval-tokens", 0)


# ---- what a score leaves out -------------------------------------------------------------


def test_a_score_names_what_it_leaves_out(command, run, tmp_path):
    path = tmp_path / "persona.txt"
    path.write_text("\n".join([*PERSONA, "<|user|> <|assistant|> hm"]))
    settings = "--lr 0.01 --epochs 40 --val-fraction 0.3 --eval-every 99 --tokens-per-step 96"
    out, err = tuned(command, path, "--model", run, *settings.split())
    held = lines_of(run)[0]["persona"]["questions_held_out"]
    assert 0 < held < 8 and lines_of(run)[0]["persona"]["never_asked"] == 1
    left_out = f"of {8 - held} taught ({held} more held out, 1 that cannot be asked)"
    assert left_out in out and left_out in err and "100%" not in out + err
    assert "1 line that chat can never ask for" in err and "no question (line 9)" in err


def test_nearly_all_is_not_all():
    recall = Recall(questions=400, answered=399, exact=399, f1=1.0)
    one = PersonaEvaluation(1, None, None, recall)
    assert evaluation_table([one], one)[1].endswith("  399 of 400 (99%)")
