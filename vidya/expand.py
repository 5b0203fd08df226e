"""Make a bigger model of a trained one: `python -m vidya.expand [MODEL] --preset 25m`.

The bigger model computes the same function, which is checked on held-out text before
anything is written, and trains on from there: `python -m vidya.train --init DIR`. What is
done to the weights stands in `vidya/model/growth.py`.
"""

# No `from __future__ import annotations` here: tyro reads the annotations in `main`,
# which name things that are imported only when it runs.

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidya.errors import UserError, run_command
from vidya.model.config import ModelConfig, describe
from vidya.model.presets import checkpoint_base, preset
from vidya.terminal.command_line import parse
from vidya.training import thread_choice
from vidya.training.thread_choice import Threads

if TYPE_CHECKING:
    from vidya.measuring.held_out_loss import HeldOutLoss
    from vidya.model.transformer import Model
    from vidya.storage.pretrained import Pretrained
    from vidya.text.token_documents import TokenDocuments
    from vidya.text.tokenizer import Tokenizer
    from vidya.text.vocabulary_match import Spelling

MOST_RISE = 0.01
"""Part by which the held-out loss may rise; a bigger rise means that the weights are wrong."""


@dataclass(frozen=True)
class Options:
    """What `python -m vidya.expand` is asked to do."""

    preset: str = "25m"
    """Size of the bigger model, and what its checkpoints are called after."""
    n_embd: int | None = None
    """Width of the model. Default: the preset's, as for the three that follow."""
    n_layer: int | None = None
    """Transformer blocks."""
    n_head: int | None = None
    """Attention heads; the columns of a head stay as many as they are."""
    context: int | None = None
    """Longest run of tokens that the model attends over."""
    tokenizer: Path | None = None
    """Another tokenizer.json for the bigger model. Default: that of the trained one."""
    val: Path | None = None
    """Held-out corpus file to check on. Default: what the trained model's run held out."""
    eval_tokens: int = 32768
    """Most held-out tokens to check on."""
    seed: int = 0
    """Of the new weights that are random."""
    out: Path | None = None
    """Folder to write, new or empty. Default: runs/PRESET_expanded."""
    threads: Threads = "auto"
    """Threads to use; auto: as many as there are cores that this process may use."""

    def check(self) -> None:
        """`UserError` for a value that cannot work."""
        self.model_config(vocab_size=259, dropout=0.0)
        if self.eval_tokens < 1:
            raise UserError(f"--eval-tokens must be at least 1, not {self.eval_tokens}")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"--seed must be in [0, 2**63), not {self.seed}")
        thread_choice.check(self.threads)
        if self.folder().exists() and not self.folder().is_dir():
            raise UserError(f"{self.folder()} is not a folder: use another --out")
        if self.folder().is_dir() and any(self.folder().iterdir()):
            raise UserError(f"{self.folder()} is not empty: choose another --out")

    def folder(self) -> Path:
        """Where the bigger model goes."""
        return self.out if self.out is not None else Path("runs") / f"{self.preset}_expanded"

    def model_config(self, vocab_size: int, dropout: float) -> ModelConfig:
        """The architecture of the bigger model."""
        base = preset(self.preset).model(vocab_size, dropout)
        names = ("n_embd", "n_layer", "n_head", "context")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return dataclasses.replace(base, **given)


def main() -> int | None:
    """Run `python -m vidya.expand`."""
    import tyro

    @dataclass(frozen=True)
    class Arguments(Options):
        model: tyro.conf.Positional[Path | None] = None
        """The trained model: a checkpoint or a run folder; by default the newest run."""

    arguments = parse(Arguments, "expand", description=__doc__)
    return run(arguments.model, arguments)


def run(path: Path | None, options: Options) -> int:
    """Expand the model at `path`, check the result, write it, and say what was done."""
    from vidya.storage.pretrained import load_pretrained
    from vidya.text.tokenizer import Tokenizer
    from vidya.text.vocabulary_match import spell

    options.check()
    small = load_pretrained(path)
    tokenizer = Tokenizer.load(options.tokenizer) if options.tokenizer else small.tokenizer
    config = options.model_config(tokenizer.vocab_size, small.model.config.dropout)
    _require_bigger(small, tokenizer, config)
    thread_choice.use(options.threads)
    spelling = spell(small.tokenizer, tokenizer)
    big = _expanded(small.model, spelling, config, options.seed)
    print(_sizes(small.model.config, config))
    print(_rows(small.tokenizer, tokenizer, spelling))
    _check(small, big, tokenizer, options)
    written = _write(small, big, tokenizer, options)
    print(_farewell(small, written, options))
    return 0


def _require_bigger(small: "Pretrained", tokenizer: "Tokenizer", config: ModelConfig) -> None:
    from vidya.model.growth import require_growth

    old = small.model.config
    require_growth(old, config)
    if old == config and tokenizer.hash == small.tokenizer.hash:
        raise UserError(
            f"{small.checkpoint_path} has this size already: choose a bigger --preset, --n-embd, "
            "--n-layer or --context"
        )


def _expanded(small: "Model", spelling: "Spelling", config: ModelConfig, seed: int) -> "Model":
    """The bigger model."""
    from vidya.model.growth import grow, respell
    from vidya.model.transformer import Model

    old = dataclasses.replace(small.config, vocab_size=config.vocab_size)
    parameters = small.parameters | {"wte": respell(small.parameters["wte"], spelling.pieces)}
    big = Model(config, precision=small.precision)  # the two are compared
    grown = grow(parameters, old, config, seed)
    for name, values in big.parameters.items():
        values[...] = grown.pop(name)  # so that there are never two whole copies
    return big


def _sizes(old: ModelConfig, new: ModelConfig) -> str:
    def change(name: str) -> str:
        before, after = getattr(old, name), getattr(new, name)
        return f"{before:,}" if before == after else f"{before:,} → {after:,}"

    return (
        f"model       {change('n_embd')} wide, {change('n_layer')} layers, {change('n_head')} "
        f"heads, context {change('context')}\n"
        f"parameters  {old.parameter_count():,} → {new.parameter_count():,}"
    )


def _rows(old: "Tokenizer", new: "Tokenizer", spelling: "Spelling") -> str:
    if old.hash == new.hash:
        return f"embedding   all {new.vocab_size:,} rows carried over: the same tokenizer"
    return (
        f"embedding   {spelling.carried:,} of {new.vocab_size:,} rows carried over by the token's "
        f"text, {spelling.composed:,} composed of the old tokens that spell it; "
        f"{spelling.left_behind:,} old rows left behind"
    )


# ---- the check on held-out text ---------------------------------------------------------


def _check(small: "Pretrained", big: "Model", tokenizer: "Tokenizer", options: Options) -> None:
    """Print the held-out loss of both models; `UserError` if it rose though it must not."""
    from vidya.measuring.held_out_loss import held_out_loss

    held_out = _held_out(small, options)
    if held_out is None:
        print(
            "held-out    none: no val.tokens of its run beside the model; to check give --val FILE"
        )
        return
    same = tokenizer.hash == small.tokenizer.hash
    respelled = held_out if same else _respelled(held_out, small.tokenizer, tokenizer)
    old, new = small.model.config.context, big.config.context
    before = held_out_loss(small.model, small.tokenizer, held_out)
    after = held_out_loss(big, tokenizer, respelled, context=old)
    assert before is not None and after is not None  # nothing interrupts them
    print(f"held-out    before  {_result(before, old, small.model.precision)}")
    print(f"            after   {_result(after, old, big.precision)}")
    if new > old:
        longer = held_out_loss(big, tokenizer, respelled)
        assert longer is not None
        longest = _result(longer, new, big.precision)
        print(f"            after   {longest}: longer than it was trained on")
    if same and not after.loss <= before.loss * (1 + MOST_RISE):
        raise UserError(
            f"the held-out loss rose from {before.loss:.4f} to {after.loss:.4f}, by more than "
            f"{MOST_RISE:.0%}: nothing was written; this is a fault of vidya, please report it"
        )


def _result(held_out: "HeldOutLoss", context: int, precision: str) -> str:
    return (
        f"loss {held_out.loss:.6f}, {held_out.bits_per_byte:.6f} bits per byte in {precision} "
        f"({held_out.tokens:,} tokens in windows of {context:,})"
    )


def _held_out(small: "Pretrained", options: Options) -> "TokenDocuments | None":
    """The first held-out documents that fit --eval-tokens, in the trained model's tokens."""
    import numpy as np

    from vidya.text.corpus_file import read_documents, require_documents
    from vidya.text.token_cache import TokenCache
    from vidya.text.token_documents import TokenDocuments, encode_each

    cache: TokenDocuments
    most = options.eval_tokens
    if options.val is not None:
        documents = require_documents(read_documents(options.val), str(options.val))
        encoded, tokens = [], 0
        for ids in encode_each(documents, small.tokenizer):
            encoded.append(ids)
            tokens += len(ids) - 1
            if tokens > most:
                break
        cache = TokenDocuments.joined(encoded)
    else:
        try:
            path = small.checkpoint_path.parent / "val.tokens"
            cache = TokenCache.open_of(path, small.tokenizer, "give --val FILE")
        except UserError:
            return None
    return cache.first(max(1, int(np.searchsorted(cache.predictions_so_far, most, side="right"))))


def _respelled(documents: "TokenDocuments", old: "Tokenizer", new: "Tokenizer") -> "TokenDocuments":
    """The same text in the tokens of another tokenizer."""
    from vidya.text.token_documents import TokenDocuments, encode_each

    # the text of each document is what stands between its two bos
    texts = (
        old.decode(documents.document(number)[1:-1].tolist())
        for number in range(documents.documents)
    )
    return TokenDocuments.joined(list(encode_each(texts, new)))


# ---- what is written --------------------------------------------------------------------


def _write(small: "Pretrained", big: "Model", tokenizer: "Tokenizer", options: Options) -> Path:
    """Write tokenizer and weights; returns the path of the weights."""
    from vidya.storage import checkpoint
    from vidya.storage.checkpoint_format import read_digest
    from vidya.storage.run_folder import RunFolder

    meta = {
        "kind": "expanded",
        "preset": options.preset,
        "config": describe(big.config),
        "step": 0,
        "tokens": 0,
        "seed": options.seed,
        "tokenizer_hash": tokenizer.hash,
        "expanded_from": {
            "path": str(small.checkpoint_path),
            "digest": read_digest(small.checkpoint_path),
            **{name: small.meta.get(name) for name in ("preset", "config", "step", "tokens")},
        },
    }
    with RunFolder(options.folder()) as folder:
        # The weights last: a folder with weights in it is whole.
        tokenizer.save(folder.tokenizer)
        path = folder.checkpoint(checkpoint_base(options.preset))
        checkpoint.save(path, big.parameters, meta)
    return path


def _farewell(small: "Pretrained", written: Path, options: Options) -> str:
    trained = small.meta.get("options") or {}
    data = [str(name) for name in trained.get("data") or ()]
    words = ["python", "-m", "vidya.train", "--init", str(written.parent)]
    words += ["--out", f"{written.parent}_trained"]
    words += ["--data", *data] if data else []
    words += ["--val", str(trained["val"])] if trained.get("val") else []
    return (
        f"written     {written}\n"
        f"train on:   {shlex.join(words)}\n"
        f"talk to it: python -m vidya.chat {shlex.quote(str(written.parent))}"
    )


if __name__ == "__main__":
    raise SystemExit(run_command(main))
