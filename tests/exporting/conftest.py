"""A small trained-like model in a run folder, as the tests of exporting share it."""

import numpy as np
import pytest
from support.chat_runs import meta_of
from support.models import draw_model
from support.training_runs import conversations

from vidya.model.config import ModelConfig
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import EXPORTED
from vidya.storage.pretrained import load_pretrained
from vidya.storage.run_files import EXPORTED_WEIGHTS
from vidya.text import token_cache
from vidya.text.tokenizer_training import train_tokenizer


@pytest.fixture(scope="package")
def pretrained(tmp_path_factory):
    """A model of random weights, with text that its run held out."""
    run = tmp_path_factory.mktemp("exporting") / "run"
    run.mkdir()
    lines = [one.replace(" . ", "↵") for one in conversations(60, seed=11)]
    tokenizer = train_tokenizer(lines, 60)
    tokenizer.save(run / "tokenizer.json")
    config = ModelConfig(32, 2, 2, 48, tokenizer.vocab_size)
    model = draw_model(config, np.float32, 5, 48)
    meta = meta_of(model, tokenizer, options={"data": ["/somewhere/talk.txt"]})
    checkpoint.save(run / "microgpt_chat_nano_v5.bin", model.parameters, meta)
    token_cache.build(run / "val.tokens", conversations(9, seed=12), tokenizer, "val")
    return load_pretrained(run)


@pytest.fixture
def written_wrong(monkeypatch):
    """Makes exporters of a class swap queries and keys of a layer in the folder they write."""

    def patch(exporter):
        write = exporter.write

        def swapped(self, model, place, precision):
            write(self, model, place, precision)
            tensors, meta = checkpoint.load(place / EXPORTED_WEIGHTS)
            q, k = (f"model.layers.0.self_attn.{one}_proj.weight" for one in "qk")
            tensors[q], tensors[k] = tensors[k], tensors[q]
            checkpoint.save(place / EXPORTED_WEIGHTS, tensors, meta, version=EXPORTED)

        monkeypatch.setattr(exporter, "write", swapped)

    return patch
