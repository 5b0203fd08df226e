"""Talking to a model: prompts that look like training data, the command, the terminal."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya import checkpoint
from vidya.chat import Conversation, printable
from vidya.checkpoint import CheckpointError
from vidya.config import ModelConfig, describe
from vidya.conversation import chat_prompt, stream_text
from vidya.corpus import MARKERS, conversation
from vidya.errors import UserError
from vidya.model import Model
from vidya.pretrained import Pretrained, load_pretrained
from vidya.sampling import Sampling
from vidya.tokenizer import Tokenizer

DOCUMENTS = ["<|user|> hello there how are you <|assistant|> i am fine thank you and you"] * 9
NAME = "microgpt_chat_nano_v5.bin"
TIMEOUT = 60


@pytest.fixture(scope="session")
def tokenizer():
    return Tokenizer.train(DOCUMENTS, 30)


def babbling_model(tokenizer, context=64):
    """A random model that never stops by itself: the markers' logits are always 0."""
    model = Model(ModelConfig(32, 2, 2, context, tokenizer.vocab_size))
    model.init(1)
    model.parameters["wte"][list(tokenizer.special_ids)] = 0
    model.parameters["embed_norm"][:] = 2
    return model


def meta_of(model, tokenizer, **changes):
    config = describe(model.config)
    return {
        "kind": "final", "preset": "nano", "config": config, "step": 1200, "tokens": 1,
        "time_s": 1.0, "seed": 0, "options": {}, "tokenizer_hash": tokenizer.hash,
        "corpus_hash": "", **changes,
    }  # fmt: skip


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("runs") / "nano"
    folder.mkdir()
    tokenizer.save(folder / "tokenizer.json")
    model = babbling_model(tokenizer)
    # moments, as a checkpoint of a training holds them
    tensors = {**model.parameters, "adam_m": model.flat, "adam_v": model.flat}
    checkpoint.save(folder / NAME, tensors, meta_of(model, tokenizer))
    return folder


def chat(*arguments, stdin=b"", cwd=None, **environment):
    """Run the command; (status, stdout, stderr) as text."""
    done = subprocess.run(
        [sys.executable, "-m", "vidya.chat", *map(os.fspath, arguments)],
        input=stdin, capture_output=True, cwd=cwd, timeout=TIMEOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()


def refuses(*arguments, saying, **settings):
    """The command ends with status 2 and one line that says `saying`."""
    status, out, err = chat(*arguments, **settings)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1 and err.startswith("error: ")
    assert re.search(saying, err), err


# ---- prompts -------------------------------------------------------------------------

plain_turns = st.lists(
    st.text(max_size=30).filter(lambda text: not any(marker in text for marker in MARKERS)),
    min_size=1,
    max_size=7,
).filter(lambda turns: len(turns) % 2 == 1)


@given(plain_turns)
def test_a_prompt_is_what_training_data_begins_with(tokenizer, turns):
    turns = [" ".join(turn.split()) or "." for turn in turns]
    document = tokenizer.encode_document(conversation([*turns, "reply"]))
    prompt = chat_prompt(tokenizer, turns, 10_000)
    assert prompt == document[: len(prompt)]
    assert prompt[-1] == tokenizer.assistant_id


@pytest.mark.parametrize("marker", MARKERS)
def test_a_typed_marker_is_ordinary_text(tokenizer, marker):
    prompt = chat_prompt(tokenizer, [f"a {marker} b", f"{marker}{marker}", marker], 10_000)
    bos, user, assistant = tokenizer.bos_id, tokenizer.user_id, tokenizer.assistant_id
    assert [i for i in prompt if i in tokenizer.special_ids] == [
        bos, user, assistant, user, assistant,
    ]  # fmt: skip
    text = tokenizer.decode(prompt, skip_special=True)
    assert text == f" a {marker} b  {marker}{marker}  {marker} "


@given(plain_turns, st.integers(3, 120))
def test_a_long_conversation_loses_its_oldest_exchanges(tokenizer, turns, limit):
    prompt = chat_prompt(tokenizer, turns, limit)
    whole = chat_prompt(tokenizer, turns, 10_000)
    assert len(prompt) <= limit
    assert (prompt == whole) == (len(whole) <= limit)
    last = chat_prompt(tokenizer, turns[-1:], 10_000)
    if len(last) <= limit:
        # whole exchanges, the newest of them: nothing is cut in the middle
        kept = range(0, len(turns), 2)
        assert prompt in [chat_prompt(tokenizer, turns[k:], 10_000) for k in kept]
    else:
        assert prompt[:2] == last[:2] and prompt[2:] == last[len(last) - limit + 2 :]


def test_the_last_turn_must_be_the_users(tokenizer):
    with pytest.raises(ValueError, match="user"):
        chat_prompt(tokenizer, ["hello", "hi"], 100)


# ---- streams of text -----------------------------------------------------------------


@given(st.lists(st.integers(3, 280), max_size=60))
def test_the_pieces_of_a_stream_are_the_text(tokenizer, ids):
    ids = [i for i in ids if i < tokenizer.vocab_size]
    assert "".join(stream_text(tokenizer, ids)) == (
        tokenizer.decode(ids).replace("↵", "\n").strip()
    )


@given(st.text(max_size=40))
def test_a_character_comes_whole(tokenizer, text):
    pieces = list(stream_text(tokenizer, tokenizer.encode_text(text)))
    assert "".join(pieces) == text.strip()
    assert "\ufffd" not in "".join(pieces).replace("\ufffd", "", text.count("\ufffd"))


def test_a_stream_is_passed_on_as_it_comes(tokenizer):
    ids = tokenizer.encode_text(" zé!")
    seen = []
    stream = stream_text(tokenizer, (seen.append(i) or i for i in ids))
    assert next(stream) == "z"
    assert len(seen) < len(ids)
    assert list(stream) == ["é", "!"]


def test_control_characters_are_not_shown():
    assert printable("a\x1b[2Jb\x00\r\x9b\tc\nd é 漢") == "a\ufffd[2Jb\ufffd\ufffd\ufffd\tc\nd é 漢"


# ---- conversations -------------------------------------------------------------------


@pytest.fixture
def talk(tokenizer):
    """A conversation whose prompts are recorded."""
    model = babbling_model(tokenizer, context=256)
    pretrained = Pretrained(model, tokenizer, {}, None)
    conversation = Conversation(pretrained, Sampling(), max_tokens=12)
    conversation.prompts = []
    generate = conversation._generator.generate

    def recorded(prompt, **settings):
        conversation.prompts.append(prompt)
        assert settings["stop"] == tokenizer.special_ids
        return generate(prompt, **settings)

    conversation._generator.generate = recorded
    return conversation


def test_the_conversation_is_the_context(talk, tokenizer):
    first = "".join(talk.reply("hello"))
    second = "".join(talk.reply("and you?"))
    assert talk.turns == ["hello", first, "and you?", second]
    assert talk.prompts[1] == chat_prompt(tokenizer, ["hello", first, "and you?"], 256)
    talk.reset()
    assert "".join(talk.reply("hello")) == first
    assert talk.prompts[2] == talk.prompts[0]


def test_an_interrupted_reply_stays_as_far_as_it_came(talk):
    pieces = talk.reply("hello")
    begun = [next(pieces), next(pieces)]
    pieces.close()
    assert talk.turns == ["hello", "".join(begun)]


def test_a_message_without_a_reply_does_not_stay(talk, tokenizer):
    talk._generator.generate = lambda prompt, **settings: iter(())
    assert list(talk.reply("hello")) == []
    assert talk.turns == []


def test_a_conversation_longer_than_the_context_goes_on(talk):
    for _ in range(40):
        assert "".join(talk.reply("hello there how are you"))
    assert max(map(len, talk.prompts)) <= 256 - 12
    assert len(talk.turns) == 80


# ---- loading -------------------------------------------------------------------------


def test_loading_gives_the_weights_that_were_saved(run_folder, tokenizer):
    loaded = load_pretrained(run_folder)
    np.testing.assert_array_equal(loaded.model.flat, babbling_model(tokenizer).flat)
    assert loaded.tokenizer.hash == tokenizer.hash
    assert loaded.meta["step"] == 1200
    assert loaded.checkpoint_path == run_folder / NAME


def save_beside_tokenizer(folder, tokenizer, tensors, meta):
    tokenizer.save(folder / "tokenizer.json")
    checkpoint.save(folder / NAME, tensors, meta)
    return folder / NAME


def test_a_tokenizer_of_another_vocabulary_is_refused(tmp_path, tokenizer):
    model = babbling_model(tokenizer)
    other = Tokenizer.train(DOCUMENTS, 10)
    path = save_beside_tokenizer(tmp_path, other, model.parameters, meta_of(model, tokenizer))
    with pytest.raises(CheckpointError, match=f"{tokenizer.vocab_size}.*{other.vocab_size}"):
        load_pretrained(path)


def test_another_tokenizer_of_the_same_size_is_refused(tmp_path, tokenizer):
    model = babbling_model(tokenizer)
    other = Tokenizer.train(["<|user|> entirely different words again and again"] * 9, 30)
    assert other.vocab_size == tokenizer.vocab_size
    path = save_beside_tokenizer(tmp_path, other, model.parameters, meta_of(model, tokenizer))
    with pytest.raises(CheckpointError, match="trained with tokenizer"):
        load_pretrained(path)


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (lambda tensors: tensors.pop("final_norm"), "final_norm"),
        (lambda tensors: tensors.update(extra=np.zeros(3, np.float32)), "extra"),
        (lambda tensors: tensors.update(wte=np.zeros((4, 32), np.float32)), r"wte.*\(4, 32\)"),
    ],
)
def test_tensors_that_do_not_fit_the_description_are_refused(tmp_path, tokenizer, change, saying):
    model = babbling_model(tokenizer)
    tensors = dict(model.parameters)
    change(tensors)
    path = save_beside_tokenizer(tmp_path, tokenizer, tensors, meta_of(model, tokenizer))
    with pytest.raises(CheckpointError, match=saying):
        load_pretrained(path)


@pytest.mark.parametrize("config", [None, {}, {"n_embd": 1}, [], {"n_embd": "x"}])
def test_metadata_without_a_model_is_refused(tmp_path, tokenizer, config):
    model = babbling_model(tokenizer)
    meta = meta_of(model, tokenizer, config=config)
    path = save_beside_tokenizer(tmp_path, tokenizer, model.parameters, meta)
    with pytest.raises(CheckpointError, match="which model"):
        load_pretrained(path)


def test_metadata_with_impossible_numbers_is_refused(tmp_path, tokenizer):
    model = babbling_model(tokenizer)
    for wrong in ({"n_head": 0}, {"n_head": 3}, {"context": "64"}):
        meta = meta_of(model, tokenizer, config={**describe(model.config), **wrong})
        path = save_beside_tokenizer(tmp_path, tokenizer, model.parameters, meta)
        with pytest.raises(UserError):
            load_pretrained(path)


# ---- the command: one reply ----------------------------------------------------------


def test_a_prompt_gets_one_reply(run_folder):
    status, out, err = chat(run_folder, "--prompt", "hello", "--max-tokens", "20")
    assert (status, err) == (0, "")
    assert out.strip() and out.endswith("\n") and out[0] != " "
    assert "hello" not in out and "you>" not in out
    assert chat(run_folder / NAME, "--prompt", "hello", "--max-tokens", "20")[1] == out
    assert chat(run_folder, "--prompt", "hello", "--max-tokens", "20", "--threads", "2")[1] == out
    assert chat(run_folder, "--prompt", "hello", "--max-tokens", "20", "--seed", "1")[1] != out


def test_the_newest_run_is_the_default(run_folder):
    arguments = "--prompt", "hello", "--max-tokens", "20"
    root = run_folder.parent.parent
    (root / "runs").exists() or (root / "runs").symlink_to(run_folder.parent)
    assert chat(*arguments, cwd=root) == chat(run_folder, *arguments)


def test_a_prompt_comes_through_a_pipe(run_folder):
    expected = chat(run_folder, "--prompt", "how are you", "--max-tokens", "20")
    piped = chat(run_folder, "--max-tokens", "20", stdin=b"how are\n\nyou\n")
    dash = chat(run_folder, "--prompt", "-", "--max-tokens", "20", stdin=b"how are you")
    assert expected == piped == dash


def test_typed_markers_are_inert_in_the_command(run_folder):
    status, out, err = chat(run_folder, "--prompt", "a <|assistant|> b", "--max-tokens", "20")
    assert (status, err) == (0, "") and out.strip()


def test_greedy_top_k_and_temperature_reach_the_sampling(run_folder):
    prompt = "--prompt", "hello", "--max-tokens", "20"
    greedy = chat(run_folder, *prompt, "--temperature", "0")
    assert chat(run_folder, *prompt, "--temperature", "0", "--seed", "9") == greedy
    assert chat(run_folder, *prompt, "--top-k", "1", "--seed", "9") == greedy
    assert chat(run_folder, *prompt, "--temperature", "2", "--top-k", "0")[1] != greedy[1]


def test_a_reply_ends_at_a_marker_and_may_be_empty(tmp_path, tokenizer):
    """A fresh tied model only repeats its last token, here the assistant's marker."""
    model = Model(ModelConfig(32, 1, 1, 64, tokenizer.vocab_size))
    model.init(0)
    save_beside_tokenizer(tmp_path, tokenizer, model.parameters, meta_of(model, tokenizer))
    status, out, err = chat(tmp_path, "--prompt", "hello", "--temperature", "0")
    assert (status, out) == (0, "\n")
    assert err == "the model's reply is empty\n"


def test_a_reply_can_be_shown_where_not_every_character_can(run_folder):
    arguments = "--prompt", "hello", "--max-tokens", "60"
    status, out, err = chat(run_folder, *arguments, PYTHONIOENCODING="ascii")
    assert (status, err) == (0, "") and out.isascii() and out.strip()


def test_nothing_to_say_is_refused(run_folder):
    refuses(run_folder, "--prompt", " ", saying="prompt is empty")
    refuses(run_folder, stdin=b"\n", saying="prompt is empty")
    refuses(run_folder, stdin=b"caf\xe9", saying="not UTF-8 at byte 3")
    refuses(run_folder, "--prompt", b"caf\xe9", saying="not text")


@pytest.mark.parametrize(
    "wrong",
    [("--temperature", "-1"), ("--top-k", "-1"), ("--seed", "-1"), ("--max-tokens", "0"),
     ("--threads", "0"), ("--threads", "-1"), ("--threads", "1000")],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(run_folder, wrong):
    name = wrong[0].strip("-").replace("-", "[-_]")
    refuses(run_folder, "--prompt", "a", *wrong, saying=f"{name} must be .*, not {wrong[1]}")


def test_threads(run_folder):
    """All cores, or a number; there is nothing to measure for a reply."""
    prompt = "--prompt", "hello", "--max-tokens", "5"
    reply = chat(run_folder, *prompt)
    assert chat(run_folder, *prompt, "--threads", "auto") == reply
    status, out, err = chat(run_folder, *prompt, "--threads", "256")
    assert (status, out) == reply[:2]
    assert err.startswith("warning: --threads 256 is more than the ") and err.count("\n") == 1
    refuses(run_folder, *prompt, "--threads", "abc", saying="'abc' is neither auto nor a whole")


def test_no_model_is_one_line(tmp_path):
    refuses(cwd=tmp_path, saying="no trained model in runs/.*vidya.train")
    refuses(tmp_path, "--prompt", "a", saying="no trained model")
    refuses(tmp_path / "none", "--prompt", "a", saying="there is no .*none")


def test_a_damaged_checkpoint_is_one_line(tmp_path, run_folder, tokenizer):
    tokenizer.save(tmp_path / "tokenizer.json")
    whole = (run_folder / NAME).read_bytes()
    flipped = bytearray(whole)
    flipped[-1000] ^= 1
    path = tmp_path / NAME
    for content, saying in (
        (bytes(flipped), "damaged"), (whole[:-1], "truncated"), (b"", "not a checkpoint"),
    ):  # fmt: skip
        path.write_bytes(content)
        refuses(path, "--prompt", "a", saying=saying)
        assert path.read_bytes() == content


def test_a_diverged_model_is_one_line(tmp_path, tokenizer):
    model = babbling_model(tokenizer)
    model.flat[:] = np.nan
    save_beside_tokenizer(tmp_path, tokenizer, model.parameters, meta_of(model, tokenizer))
    status, _, err = chat(tmp_path, "--prompt", "a")
    assert status == 2
    assert err.count("\n") == 1 and "not a number" in err


def test_an_interrupt_ends_a_single_reply(run_folder):
    child = subprocess.Popen(
        [sys.executable, "-m", "vidya.chat", run_folder, "--prompt", "a",
         "--max-tokens", "100000000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert child.stdout.read(20)  # it talks
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=TIMEOUT)
    assert (child.returncode, err) == (130, b"interrupted\n")


# ---- the command: a conversation in the terminal ---------------------------------------


@pytest.fixture
def terminal(run_folder):
    """Starts a conversation; ends it if the test did not."""
    children = []

    def start(*arguments):
        child = pexpect.spawn(
            sys.executable, ["-m", "vidya.chat", str(run_folder), *arguments],
            timeout=TIMEOUT, encoding="utf-8", codec_errors="replace", dimensions=(40, 200),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                 "TERM": "dumb", "PYTHONUTF8": "1"},
        )  # fmt: skip
        children.append(child)
        child.expect("steps.*/help lists the commands")
        child.expect("you> ")
        return child

    yield start
    for child in children:
        child.close(force=True)


def ends_well(child):
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "Traceback" not in child.before


def test_a_conversation(terminal):
    child = terminal("--max-tokens", "15")
    for message in ("hello", "and you?", "a <|assistant|> b", "漢字"):
        child.sendline(message)
        child.expect(r"\r\nvidya> ([^\r\n]+)")
        assert child.match[1].strip() != "(no reply)"
        child.expect("you> ")
    child.sendline("")
    child.expect("you> ")
    assert "vidya>" not in child.before
    child.sendline("/quit")
    ends_well(child)


def test_commands(terminal):
    child = terminal("--max-tokens", "15")
    child.sendline("/help")
    child.expect("/reset.*/help.*/quit.*Ctrl-C.*last 64 tokens")
    child.sendline("hello")
    child.expect(r"\r\nvidya> ([^\r\n]+)\r\n")
    first = child.match[1]
    child.expect("you> ")
    child.sendline("hello")
    child.expect(r"\r\nvidya> ([^\r\n]+)\r\n")
    assert child.match[1] != first
    child.sendline("/reset")
    child.expect("begins anew")
    child.sendline("hello")
    child.expect(r"\r\nvidya> ([^\r\n]+)\r\n")
    assert child.match[1] == first
    child.sendline("/nonsense")
    child.expect("There is no /nonsense")
    child.expect("you> ")
    child.sendeof()
    ends_well(child)


def test_ctrl_c_stops_a_reply_and_not_the_program(terminal):
    child = terminal("--max-tokens", "100000000")
    for _ in range(2):
        child.sendline("hello")
        child.expect(r"\r\nvidya> .{30}")  # it is shown while it is generated
        child.sendintr()
        child.expect("\r\nyou> ")
    child.sendintr()  # with no reply to stop
    child.expect("you> ")
    child.sendeof()
    ends_well(child)


def test_bytes_that_are_no_text_do_not_end_the_conversation(run_folder, terminal):
    child = terminal("--max-tokens", "5")
    os.write(child.child_fd, b"caf\xe9 \xff\n")
    child.expect(r"\r\nvidya> ")
    child.expect("you> ")
    child.sendeof()
    ends_well(child)
