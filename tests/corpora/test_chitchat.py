import json
from collections import Counter

import pytest

from vidya.corpora import chitchat
from vidya.errors import UserError


def message(sender: str, text: str) -> dict[str, str]:
    return {"sender": sender, "text": text, "timestamp": ""}


@pytest.fixture
def use_chitchat(monkeypatch):
    def use(conversations: dict[str, list[list[dict[str, str]]]]) -> tuple[list[str], Counter]:
        data = {key: {"prompt": "", "messages": m} for key, m in conversations.items()}
        monkeypatch.setattr(chitchat, "_load_chitchat", lambda: data)
        dropped: Counter[str] = Counter()
        return list(chitchat.chitchat_documents(dropped)), dropped

    return use


def test_chitchat_joins_turns_and_sorts_by_id(use_chitchat):
    documents, dropped = use_chitchat(
        {
            "b": [[message("x", "one"), message("x", " two\n")], [message("y", "three")]],
            "a": [[message("p", "A"), message("q", "B")], [message("q", "C")], [message("p", "D")]],
        }
    )
    assert documents == [
        "<|user|> A <|assistant|> B C <|user|> D",
        "<|user|> one two <|assistant|> three",
    ]
    assert not dropped


def test_chitchat_drops_one_sided_conversations(use_chitchat):
    documents, dropped = use_chitchat(
        {
            "a": [[message("x", "anyone?")], [message("x", "no one")]],
            "b": [[message("x", "hi")], [message("y", "  ")], [message("x", "hello?")]],
            "c": [],
        }
    )
    assert documents == []
    assert dropped == {"one-sided": 3}


def test_chitchat_of_the_package():
    dropped: Counter[str] = Counter()
    documents = list(chitchat.chitchat_documents(dropped))
    assert len(documents) + sum(dropped.values()) == 7168
    assert len(documents) > 3900
    assert all(d.startswith("<|user|> ") and " <|assistant|> " in d for d in documents)


def test_chitchat_not_installed(monkeypatch):
    monkeypatch.setattr(chitchat.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install chitchat-dataset"):
        next(chitchat.chitchat_documents())


def test_chitchat_data_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "dataset.json").write_text(json.dumps({})[:-1])
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(chitchat.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match="force-reinstall"):
        next(chitchat.chitchat_documents())
