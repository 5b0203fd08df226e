"""Trainings from the outside: what they write, and that the same run gives the same numbers."""

import itertools
import math
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tokenizers
from support.commands import TIMEOUT, command_line, environment, hang_up, in_terminal
from support.training_runs import (
    BASE,
    TINY,
    WORDS,
    checkpoints,
    curve,
    evaluation_lines,
    last_step,
    lines_of,
    running,
    train,
    training_lines,
    wait_for_step,
    weights,
    write_corpus,
)  # fmt: skip

import vidya
from vidya.model import config
from vidya.model.precision import resolve_precision
from vidya.storage import checkpoint
from vidya.text.conversation_format import MARKERS
from vidya.text.held_out_split import is_held_out
from vidya.text.tokenizer import Tokenizer

pytestmark = pytest.mark.auto_precision

LONG = [*TINY, "--data", "small.txt", "--steps", 400, "--checkpoint-every", 7, "--eval-every", 20]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with small.txt, `run` (six steps) and `long` (400 steps), never stopped."""
    folder = tmp_path_factory.mktemp("home")
    write_corpus(folder)
    given = [*TINY, "--data", "small.txt", "--out", "run", "--steps", 6, "--verbose"]
    done = train(*given, cwd=folder, fresh=True)
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    train(*LONG, "--out", "long", cwd=folder)
    return folder


def six_steps(home, out, *more):
    """The run of six steps again, with more options; its folder."""
    train(*TINY, "--data", home / "small.txt", "--out", out, "--steps", 6, *more, cwd=home)
    return out


# ---------------------------------------------------------------- what is written


def test_first_line_describes_the_run(home):
    first, *others = lines_of(home / "run")
    tokenizer = Tokenizer.load(home / "run/tokenizer.json")
    assert first["kind"] == "run"
    assert first["config"] == {
        "n_embd": 32, "n_layer": 1, "n_head": 1, "context": 32,
        "vocab_size": tokenizer.vocab_size, "dropout": 0.1,
    }  # fmt: skip
    assert first["seed"] == 0
    assert first["options"]["steps"] == 6 and first["options"]["data"] == ["small.txt"]
    assert first["versions"]["vidya"] == vidya.__version__
    assert first["versions"]["numpy"] == np.__version__
    assert first["versions"]["python"] == sys.version.split()[0]
    assert "OpenBLAS" in first["versions"]["openblas"]
    assert first["processor"] and first["threads"] == 1
    assert first["precision"] == resolve_precision("auto")
    assert first["tokenizer_hash"] == tokenizer.hash
    assert re.fullmatch(r"[0-9a-f]{32}", first["corpus_hash"])
    assert all("kind" not in line for line in others)


def test_training_and_evaluation_lines(home):
    trained, evaluated = training_lines(home / "run"), evaluation_lines(home / "run")
    assert [line["step"] for line in trained] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in evaluated] == [0, 1, 2, 3, 4, 5, 6]
    for line in trained:
        after_a_save = ["checkpoint_stall_ms"] if line["step"] > 1 else []
        assert list(line) == [
            "step", "tokens", "loss", "lr", "grad_norm", "tokens_per_s", "time_s", "rss_bytes",
            *after_a_save,
        ]  # fmt: skip
        assert line["rss_bytes"] > 10_000_000 and line["grad_norm"] > 0
    for line in evaluated:
        assert list(line) == ["step", "tokens", "time_s", "val_loss", "val_bpb"]
    tokens = [0, *(line["tokens"] for line in trained)]
    times = [0, *(line["time_s"] for line in trained)]
    for step, line in enumerate(trained):
        assert 0 < tokens[step + 1] - tokens[step] <= 64
        seconds = (tokens[step + 1] - tokens[step]) / line["tokens_per_s"]
        assert times[step] + seconds <= times[step + 1] + 1e-9
        # the cosine from the preset's peak; runs under ten steps have no warm-up
        assert line["lr"] == pytest.approx(1e-3 * (1 + math.cos(math.pi * step / 6)) / 2)
    assert [line["tokens"] for line in evaluated] == tokens
    assert evaluated[6]["val_loss"] < evaluated[0]["val_loss"]
    assert evaluated[0]["val_loss"] == pytest.approx(math.log(279), abs=0.5)


def test_bits_per_byte_by_hand(home):
    """Nats over all predictions of the held-out documents, in bits, over their text's bytes."""
    library = tokenizers.Tokenizer.from_file(str(home / "run/tokenizer.json"))
    held_out = [
        text for text in (home / "small.txt").read_text().splitlines() if is_held_out(text, 0.1)
    ]
    assert len(held_out) > 3
    # between two bos: every token of the text and the closing bos are predicted
    predictions = sum(len(library.encode(text).ids) + 1 for text in held_out)
    text_bytes = sum(len(re.sub("|".join(map(re.escape, MARKERS)), "", t)) for t in held_out)
    for line in evaluation_lines(home / "run"):
        bits = line["val_loss"] * predictions / math.log(2)
        assert line["val_bpb"] == pytest.approx(bits / text_bytes, rel=1e-12)


def test_names_and_contents_of_checkpoints(home):
    """The newest three by default, and the weights alone."""
    run = home / "run"
    assert checkpoints(run) == {f"{BASE}{x}.bin" for x in ("", "_4", "_5", "_6")}
    tensors, meta = checkpoint.load(run / f"{BASE}_5.bin")
    assert meta["kind"] == "training" and meta["step"] == 5 and meta["preset"] == "10m"
    assert meta["config"] == lines_of(run)[0]["config"]
    assert meta["tokens"] == training_lines(run)[4]["tokens"]
    assert meta["tokenizer_hash"] == Tokenizer.load(run / "tokenizer.json").hash
    assert meta["corpus_hash"] == lines_of(run)[0]["corpus_hash"]
    assert meta["data_position"] == {"epoch": 0, "index": 5} and meta["seed"] == 0
    assert {"adam_m", "adam_v", "wte", "layers.0.attn_qkv"} <= tensors.keys()
    final, final_meta = checkpoint.load(run / f"{BASE}.bin")
    assert final_meta["kind"] == "final" and final_meta["step"] == 6
    assert final.keys() == {name for name in tensors if not name.startswith("adam_")}
    assert (
        sum(values.size for values in final.values())
        == config.ModelConfig(**final_meta["config"]).parameter_count()
    )
    last = weights(run, 6)
    assert weights(run) == {name: last[name] for name in final}


def test_keep_and_checkpoint_every(home):
    run = six_steps(home, home / "kept", "--keep", 1, "--checkpoint-every", 4)
    assert checkpoints(run) == {f"{BASE}.bin", f"{BASE}_6.bin"}
    run = six_steps(home, home / "kept", "--overwrite", "--keep", 9, "--checkpoint-every", 4)
    assert checkpoints(run) == {f"{BASE}.bin", f"{BASE}_4.bin", f"{BASE}_6.bin"}
    assert curve(run) == curve(home / "run")


def test_thousands_are_written_with_k(home):
    given = [*TINY, "--data", "small.txt", "--out", "thousand", "--steps", 1000]
    sparse = ["--checkpoint-every", 500, "--eval-every", 500, "--samples", 0]
    train(*given, *sparse, "--docs-per-step", 1, cwd=home)
    assert checkpoints(home / "thousand") == {f"{BASE}{x}.bin" for x in ("", "_500", "_1k")}
    assert not (home / "thousand/samples.txt").exists()


def test_samples(home):
    text = (home / "long/samples.txt").read_text()
    blocks = re.findall(r"step (\d+)\n  'hello' → ('.*'|\".*\")\n\n", text)
    assert [int(step) for step, _ in blocks] == list(range(20, 401, 20))
    assert re.sub(r"step (\d+)\n  'hello' → ('.*'|\".*\")\n\n", "", text) == ""


def test_tensorboard(home):
    run = six_steps(home, home / "board", "--tensorboard")
    (event,) = (run / "tensorboard").glob("events.out.tfevents.*")
    raw = event.read_bytes()
    for name in (b"train/loss", b"train/lr", b"train/grad_norm", b"held_out/val_bpb"):
        assert name in raw
    assert curve(run) == curve(home / "run")


# ---------------------------------------------------------------- what is said


def test_the_last_words(home):
    """Every command that is named is one that works on this run."""
    text = (home / "stdout").read_text()
    final = evaluation_lines(home / "run")[-1]
    assert f"{final['val_bpb']:.4f} bits per byte (loss {final['val_loss']:.4f}, " in text
    assert f"run/{BASE}.bin" in text
    assert "python -m vidya.chat run\n" in text
    assert "python -m vidya.train --resume --out run --steps 12\n" in text
    assert "python -m vidya.plot run\n" in text
    assert "python -m vidya.train --preset 25m --data small.txt\n" in text
    shutil.copytree(home / "run", home / "my run")
    more = train("--resume", "--out", "my run", "--steps", 12, cwd=home)
    assert "python -m vidya.train --resume --out 'my run' --steps 24\n" in more.stdout
    assert last_step(home / "my run") == 12


def test_how_long_checkpoints_kept_training_waiting(home):
    stalls = [line.get("checkpoint_stall_ms") for line in training_lines(home / "run")]
    assert stalls[0] is None and all(0 <= stall < 1000 for stall in stalls[1:])
    assert (
        "5 checkpoints written beside training; none kept it waiting for more than "
        f"{max(stalls[1:]):.1f} ms\n" in (home / "stderr").read_text()
    )


def test_plain_lines_without_a_terminal(home):
    lines = (home / "stderr").read_text().splitlines()
    assert "\x1b" not in "".join(lines) and "\r" not in "".join(lines)
    assert lines[0] == "training a tokenizer with 20 merges"
    assert re.fullmatch(
        r"corpus small.txt: \d+ documents, [\d,]+ tokens; vocabulary 279, \d\.\d\d characters per "
        r"token; \d+ held out",
        lines[1],
    )
    assert lines[2].startswith("model 10m: 0.0 M parameters (32 wide, 1 layer, 1 head, context 32,")
    assert re.match(r"memory: \d+ MB planned for the longest step, in MB: parameters ", lines[3])
    opening = [line.split(":")[0] for line in lines[4:7]]
    assert opening == ["model", "length", "folder"] and "6 steps, " in lines[5]
    first = evaluation_lines(home / "run")[0]
    assert lines[7].startswith(
        f"step 0: unseen text {first['val_bpb']:.4f} bits per byte (loss {first['val_loss']:.4f}, "
    )
    assert re.search(
        r"^step 6 of 6  loss \d\.\d{4}  [\d,]+ tokens/s  0s left  \d+ MB$", "\n".join(lines),
        re.MULTILINE,
    )  # fmt: skip


@pytest.mark.parametrize("columns", [40, 120])
def test_a_bar_in_a_terminal(home, columns):
    out = f"terminal{columns}"
    given = [*TINY, "--data", "small.txt", "--out", out, "--steps", 6]
    terminal = in_terminal("train", *given, columns=columns, cwd=home)
    shown = terminal.read()
    terminal.close()
    assert terminal.exitstatus == 0, shown
    assert "\x1b[" in shown and "Traceback" not in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"step 3: unseen text \d\.\d{4} bits\s+per\s+byte", plain)
    assert "  hello → " in plain and "talk to it:" in plain
    lines = plain.splitlines()
    assert ["model:", "length:", "folder:"] == [
        line.split()[0] for line in lines if re.match(r"(model|length|folder): ", line)
    ][:3]
    bar = "━" * (20 if columns == 120 else 10)
    more = r" · unseen \d\.\d{3} bits/byte · [\d,]+ tokens/s · \d+ MB" if columns == 120 else ""
    assert re.search(rf"{bar} 6 of 6 loss \d\.\d{{3}} · 0s left{more} *\r\n", plain), plain
    assert curve(home / out) == curve(home / "run")


# ---------------------------------------------------------------- corpora


def test_a_book_trains(tmp_path):
    """Plain prose, a paragraph a line, blank lines and CRLF and all."""
    draw = random.Random(3)
    sentences = [" ".join(draw.choices(WORDS, k=9)).capitalize() + "." for _ in range(200)]
    book = ["CHAPTER I.", "", "“Curiouser!” cried Zoë — naïve, 東京 🎈.", "", *sentences, "", ""]
    (tmp_path / "book.txt").write_bytes("\r\n".join(book).encode("utf-8-sig"))
    given = [*TINY, "--data", "book.txt", "--out", "run", "--steps", 40, "--lr", 0.01]
    done = train(*given, cwd=tmp_path)
    assert re.search(r"learns from 1[78]\d documents of book.txt", done.stderr)
    lines = training_lines(tmp_path / "run")
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5
    held_out = evaluation_lines(tmp_path / "run")
    assert held_out[-1]["val_bpb"] < held_out[0]["val_bpb"] - 0.3


def test_a_long_document_is_fully_used(tmp_path):
    """Seven contexts in one line: an epoch predicts each of its tokens once."""
    (tmp_path / "long.txt").write_text("ab" * 100)
    given = [*TINY, "--data", "long.txt", "--val-fraction", 0, "--merges", 0, "--out", "run"]
    train(*given, "--docs-per-step", 1, "--steps", 14, cwd=tmp_path)
    tokens = [0, *(line["tokens"] for line in training_lines(tmp_path / "run"))]
    for epoch in (tokens[:8], tokens[7:]):
        sizes = sorted(after - before for before, after in itertools.pairwise(epoch))
        assert sizes == [9, 32, 32, 32, 32, 32, 32]  # 201 = 200 bytes and the closing bos


def test_one_document_a_step(home):
    """The plan's batches: each document of the epoch once, whole if the context allows it."""
    documents = [
        text for text in (home / "small.txt").read_text().splitlines() if not is_held_out(text, 0.1)
    ]
    tokenizer = Tokenizer.load(home / "run/tokenizer.json")
    # a context that the longest document fits in
    given = [*TINY, "--context", 200, "--data", "small.txt", "--out", "docs", "--samples", 0]
    sparse = ["--eval-every", 1000, "--checkpoint-every", 1000]
    train(*given, *sparse, "--docs-per-step", 1, "--steps", len(documents), cwd=home)
    tokens = [0, *(line["tokens"] for line in training_lines(home / "docs"))]
    sizes = [after - before for before, after in itertools.pairwise(tokens)]
    assert sorted(sizes) == sorted(len(tokenizer.encode_document(t)) - 1 for t in documents)


def test_several_files_are_one_corpus(home):
    lines = (home / "small.txt").read_text().splitlines(keepends=True)
    (home / "a.txt").write_text("".join(lines[:50]))
    (home / "b.txt").write_text("".join(lines[50:]))
    given = ["--data", "a.txt", "b.txt", "--out", "two", "--steps", 6]
    train(*TINY, *given, cwd=home)
    assert curve(home / "two") == curve(home / "run")


# ---------------------------------------------------------------- the same numbers


def test_same_seed_same_numbers_other_seed_other_numbers(home):
    again = six_steps(home, home / "again")
    assert curve(again) == curve(home / "run")
    assert weights(again) == weights(home / "run")
    other = six_steps(home, home / "other", "--seed", 1)
    assert training_lines(other)[0]["loss"] != training_lines(home / "run")[0]["loss"]


def test_two_threads_give_the_same_numbers(home):
    two = six_steps(home, home / "threads", "--threads", 2)
    assert lines_of(two)[0]["threads"] == 2
    assert curve(two) == curve(home / "run")
    assert weights(two) == weights(home / "run")


def wait_for_checkpoint(process, run):
    """Return as soon as there is one to go on from; it is written beside the steps."""
    while not list(run.glob("microgpt_chat_*_v5_*.bin")):
        assert process.poll() is None, "ended before it had saved anything"
        time.sleep(0.001)


def test_killed_three_times_and_resumed(home):
    """SIGKILL wherever it hits: each step is there once, as in the run never stopped."""
    killed, arguments = home / "killed", [*LONG, "--out", "killed"]
    for _ in range(3):
        target = max(0, last_step(killed)) + random.randint(12, 45)
        print(f"killed once step {target} is there")
        with running(*arguments, cwd=home) as process:
            wait_for_step(process, killed, target)
            wait_for_checkpoint(process, killed)
            process.kill()
            assert process.wait() == -signal.SIGKILL
        arguments = ["--resume", "--out", "killed"]
    done = train(*arguments, cwd=home)
    assert re.search(r"going on from killed/\S+, step \d+ of 400", done.stderr)
    assert [line["step"] for line in training_lines(killed)] == list(range(1, 401))
    assert curve(killed) == curve(home / "long")
    assert weights(killed) == weights(home / "long")
    assert weights(killed, 400) == weights(home / "long", 400)
    assert (killed / "samples.txt").read_bytes() == (home / "long/samples.txt").read_bytes()
    assert not list(killed.glob(".*tmp*"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_first(home, number, status):
    out = f"signal{status}"
    with running(*LONG, "--out", out, cwd=home) as process:
        wait_for_step(process, home / out, 30)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == status
    assert stdout == "" and "Traceback" not in stderr
    step = training_lines(home / out)[-1]["step"]
    assert 30 <= step < 400
    assert stderr.splitlines()[-2:] == [
        f"stopped at step {step} of 400; saved as {out}/{BASE}_{step}.bin",
        f"go on:  python -m vidya.train --resume --out {out}",
    ]
    weights(home / out, step)  # whole
    train("--resume", "--out", out, cwd=home)
    assert curve(home / out) == curve(home / "long")
    assert weights(home / out) == weights(home / "long")
    assert (home / out / "samples.txt").read_bytes() == (home / "long/samples.txt").read_bytes()


def test_a_terminal_that_is_closed_saves_first(home):
    child = in_terminal("train", *LONG, "--steps", 4000, "--out", "closed", cwd=home)
    child.expect("unseen text")
    while last_step(home / "closed") < 1:
        assert child.isalive()
        time.sleep(0.01)
    assert hang_up(child) == 128 + signal.SIGHUP
    step = training_lines(home / "closed")[-1]["step"]
    weights(home / "closed", step)  # whole


def test_dead_streams_do_not_matter(home):
    """A reader of the log that is gone, a full disk, streams that were closed."""
    arguments = [*TINY, "--data", home / "small.txt", "--steps", 6]
    for out, streams in (("dead", ">/dev/full 2>&1 <&-"), ("none", ">&- 2>&- <&-")):
        line = command_line("train", *arguments, "--out", out)
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {streams}', "sh", *line], cwd=home, env=environment(),
            timeout=TIMEOUT,
        )  # fmt: skip
        assert done.returncode == 0
        assert curve(home / out) == curve(home / "run")
        assert weights(home / out) == weights(home / "run")


def damage_a_bit(raw):
    return raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 1]) + raw[len(raw) // 2 + 1 :]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_a_bit, "is damaged: its content does not match its digest"),
        (lambda raw: raw[:-1], "is truncated"),
        (lambda raw: b"", "is not a checkpoint"),
    ],
    ids="bit-flip truncated empty".split(),
)
def test_a_damaged_checkpoint_is_passed_over(home, tmp_path, damage, says):
    shutil.copytree(home / "run", tmp_path / "run")
    shutil.copy(home / "small.txt", tmp_path)
    for step in (5, 6):
        path = tmp_path / f"run/{BASE}_{step}.bin"
        path.write_bytes(damage(path.read_bytes()))
    done = train("--resume", "--out", "run", cwd=tmp_path)
    passed = [line for line in done.stderr.splitlines() if line.startswith("passing over")]
    assert len(passed) == 2 and says in passed[0]
    assert f"{BASE}_6.bin" in passed[0] and f"{BASE}_5.bin" in passed[1]
    assert f"going on from run/{BASE}_4.bin, step 4 of 6" in done.stderr
    assert curve(tmp_path / "run") == curve(home / "run")
    assert weights(tmp_path / "run") == weights(home / "run")
    assert weights(tmp_path / "run", 5) == weights(home / "run", 5)
    samples = (tmp_path / "run/samples.txt").read_bytes()
    assert samples == (home / "run/samples.txt").read_bytes()


def test_a_moved_run_and_a_moved_corpus(home, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(home / "run", tmp_path / "elsewhere/run")
    shutil.copy(home / "small.txt", tmp_path / "corpus.txt")
    (tmp_path / f"elsewhere/run/{BASE}_6.bin").unlink()
    train("--resume", "--out", "elsewhere/run", "--data", "corpus.txt", cwd=tmp_path)
    assert curve(tmp_path / "elsewhere/run") == curve(home / "run")
    assert weights(tmp_path / "elsewhere/run") == weights(home / "run")


def test_a_copied_run_goes_on_alone_and_otherwise(home, tmp_path):
    """Without its corpus, from another folder; killed at once, it goes on with what was asked."""
    (tmp_path / "begun").mkdir()
    corpus = write_corpus(tmp_path / "begun")
    given = [*TINY, "--data", corpus.name, "--out", tmp_path / "run", "--steps", 6]
    train(*given, cwd=tmp_path / "begun")
    corpus.unlink()
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    more = ["--steps", 9, "--lr", 5e-3, "--tokens-per-step", 32]
    with running("--resume", "--out", "copy", *more, cwd=tmp_path) as process:
        wait_for_step(process, tmp_path / "copy", 7)
        process.kill()
    train("--resume", "--out", "copy", cwd=tmp_path)
    done = train("--resume", "--out", "run", *more, cwd=tmp_path)
    said = done.stderr.splitlines()
    assert f"corpus {corpus.name} is not here: going on with the tokens kept in run" in said
    changed = "changed from step 6 on: --steps 6 → 9, --lr 0.001 → 0.005, --tokens-per-step 64 → 32"
    assert changed in said
    assert curve(tmp_path / "copy") == curve(tmp_path / "run")
    assert weights(tmp_path / "copy") == weights(tmp_path / "run")


def test_the_length_of_a_bare_run_can_be_repeated(tmp_path):
    write_corpus(tmp_path)
    given = [*TINY, "--data", "small.txt"]
    bare = ["--minutes", 0.2, "--passes", 0.2, "--out", "bare"]
    done = train(*given, *bare, cwd=tmp_path, timing_seconds=0.2)
    found = re.search(
        r"length:  (\d+) steps?, (\d\.\d\d) times through the text, about \d+s: done at "
        r"\d\d:\d\d \(--steps (\d+) repeats it exactly\)",
        done.stderr,
    )
    assert found is not None and found[1] == found[3]
    steps = int(found[1])
    assert last_step(tmp_path / "bare") == steps
    assert float(found[2]) == pytest.approx(0.2, abs=0.02)
    train(*given, "--steps", steps, "--out", "repeated", cwd=tmp_path)
    assert curve(tmp_path / "repeated") == curve(tmp_path / "bare")
    assert weights(tmp_path / "repeated") == weights(tmp_path / "bare")
    assert lines_of(tmp_path / "bare")[0]["options"]["steps"] == steps
