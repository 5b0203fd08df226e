"""A folder for `transformers`: what stands in it, how it is checked, and that it loads there."""

import json

import numpy as np
import pytest

from vidya.errors import PlaceError, UserError
from vidya.exporting import hugging_face_check
from vidya.exporting.comparison import own_logits
from vidya.exporting.exporter import export
from vidya.exporting.hugging_face import HuggingFaceExporter
from vidya.exporting.numpy_arcee import NumpyArcee
from vidya.exporting.trial_texts import TrialTexts
from vidya.generation.chat_tokens import chat_prompt
from vidya.generation.replies import reply_generator, write_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.storage.pretrained import load_pretrained
from vidya.storage.run_files import EXPORTED_WEIGHTS
from vidya.training.initial_weights import load_initial_weights


@pytest.fixture(autouse=True)
def without_transformers(monkeypatch, request):
    """Only the tests that are for it load `transformers`, which takes seconds."""
    if "transformers" not in request.fixturenames:
        monkeypatch.setattr(hugging_face_check, "_LIBRARIES", ("no_such_library",))


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture(scope="package")
def folder(pretrained, tmp_path_factory):
    """The model, exported in fp32 without a check."""
    place = tmp_path_factory.mktemp("exported") / "my-model"
    HuggingFaceExporter().write(pretrained, place, "fp32")
    return place


def test_plain_numpy_computes_the_same_from_the_folder_alone(pretrained, folder):
    row, _ = TrialTexts.of(pretrained).rows
    assert len(row) == 48
    ours, theirs = own_logits(pretrained.model, row), NumpyArcee(folder).logits(row)
    np.testing.assert_allclose(theirs, ours, atol=2e-5)


def test_the_folder_is_a_model_of_the_same_bits(pretrained, folder):
    again, begun = load_pretrained(folder), load_initial_weights(folder)
    assert again.model.flat.tobytes() == pretrained.model.flat.tobytes() == begun.flat.tobytes()
    assert again.model.config == pretrained.model.config
    assert again.tokenizer.hash == pretrained.tokenizer.hash
    assert "after 1,200 steps" in again.describe()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "f16"])
def test_what_was_written_is_checked_and_told(pretrained, tmp_path, precision):
    lines, steps = export(pretrained, "hf", precision, tmp_path / "out")
    assert "with plain NumPy: 94 tokens" in lines[0] and "all ids equal" in lines[1]
    assert lines[2] == "not tried   with transformers: pip install no_such_library"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert f"python -m vidya.chat {tmp_path}/out" in [command for _, command in steps]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (
        config["torch_dtype"]
        == {"fp32": "float32", "bf16": "bfloat16", "f16": "float16"}[precision]
    )


def test_replies_end_at_every_marker_and_are_drawn_as_in_chat(folder):
    generation = json.loads((folder / "generation_config.json").read_text())
    assert sorted(generation["eos_token_id"]) == [0, 1, 2]
    assert (generation["temperature"], generation["top_k"]) == (0.7, 40)
    assert generation["max_new_tokens"] == 24


def test_the_model_card_tells_where_it_comes_from_and_no_path(folder):
    card = (folder / "README.md").read_text()
    assert "# my-model" in card and "| trained on | talk.txt |" in card
    assert "1,200 steps" in card and "/somewhere" not in card and "| hello |" in card


def test_wrong_weights_are_found_and_nothing_is_left(
    pretrained, tmp_path, monkeypatch, written_wrong
):
    written_wrong(HuggingFaceExporter)
    with pytest.raises(UserError, match="attn_qkv was not read as it was written"):
        export(pretrained, "hf", "fp32", tmp_path / "out")
    # as in a mistake that is made both ways
    monkeypatch.setattr(hugging_face_check, "require_same_weights", lambda *_: None)
    with pytest.raises(UserError, match="what was written computes something else"):
        export(pretrained, "hf", "fp32", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_program_wrote_is_no_model(folder, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    other = tmp_path / "other"
    other.mkdir()
    (other / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    tensors = safetensors.load_file(folder / EXPORTED_WEIGHTS)
    safetensors.save_file(tensors, other / EXPORTED_WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match="no trained model in") as caught:
        load_pretrained(other)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_line_and_leaves_nothing(pretrained, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vidya.exporting.transformers_folder.write_bytes", full)
    with pytest.raises(PlaceError, match=r"disk full .* writing .*/out: free some space"):
        export(pretrained, "hf", "fp32", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.extras
def test_transformers_loads_it_and_computes_the_same(pretrained, tmp_path, transformers):
    lines, _ = export(pretrained, "hf", "fp32", tmp_path / "out")
    assert "with transformers" in lines[2] and "all ids equal" in lines[3]
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert type(model).__name__ == "ArceeForCausalLM"


@pytest.mark.extras
def test_transformers_writes_the_same_replies_and_ends_them(folder, pretrained, transformers):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    turns = ["hello\nyou", "hi", "how are you?"]
    ids = chat_prompt(pretrained.tokenizer, turns, 40)
    roles = ("user", "assistant", "user")
    messages = [{"role": r, "content": t} for r, t in zip(roles, turns, strict=True)]
    given = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert given["input_ids"][0].tolist() == ids
    found = model.generate(**given, do_sample=False, max_new_tokens=20)[0, len(ids) :].tolist()
    generator = reply_generator(pretrained.model, pretrained.tokenizer, 1)
    greedy = SamplingSettings(temperature=0)
    for reply, _ in write_replies(
        generator, pretrained.tokenizer, [ids], max_tokens=20, sampling=greedy
    ):
        ours = reply.ids
    assert found == ours
    assert {0, 1, 2} >= set(model.generation_config.eos_token_id)


@pytest.mark.extras
def test_the_pipeline_of_transformers_chats(folder, transformers):
    chat = transformers.pipeline("text-generation", str(folder))
    (said,) = chat([{"role": "user", "content": "hello"}], max_new_tokens=5)
    assert said["generated_text"][-1]["role"] == "assistant"
    assert "<|" not in said["generated_text"][-1]["content"]
