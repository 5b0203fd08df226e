"""The mathematics of growing a model: more width, heads and layers, the same function.

`grow` takes the named arrays of a trained model and returns those of a bigger one that
computes the same logits, exactly but for rounding. Every new number either meets a zero
on its way to the logits or is that zero, and each such zero has a gradient, so training
moves it at its first step and what it held back at its second.

Width. Let d columns become D and c = √(D/d). The bigger residual stream is c·[x, 0]:

- its mean square is c²·Σx²/D = Σx²/d, the small one's, so RMSNorm divides by the same
  root, ε included. (Padding with zeros alone would change it by d/D, and ε's part too.)
- what writes into the stream is multiplied by c (`wte`, `attn_out`, `ffn_down`) and has
  zeros in the rows of new columns;
- what reads from it has its gain divided by c: `attn_norm`, `ffn_norm`. `embed_norm`
  reads c·wte and must write c·x: its gain stays. `final_norm` reads c·x, and its output
  meets c·wte in the logits: its gain is divided by c².
- columns of `attn_qkv` and `ffn_up` that read new columns are random, and new gains are
  the mean of the old ones, for the new columns to get a gradient as soon as the stream
  there is not zero. `wte` is zero there, and tied: read as the output matrix it must add
  nothing to the logits either.

A stream cannot be widened by copying columns, as Net2Net does with hidden units: RMSNorm
would weigh the copied columns twice, which is another function unless all are copied
equally often (LEMON calls the zeros "zero expansion").

Heads and hidden units are new whole, head_dim staying what it is: softmax(q·k/√head_dim)
of the old heads and gelu of the old units are as before. The new ones' rows of `attn_qkv`
and `ffn_up` are copies of old ones, and the columns of `attn_out` and `ffn_down` that read
them zero. A copy parts from its pattern at once: their outputs' columns differ, so their
gradients do.

Depth. A new block is one whose `attn_out` and `ffn_down` are zero: it adds nothing. The
rest of it is a copy of the old block below it, and new blocks stand evenly between the old.
Or new blocks are whole copies that stand on top, the old ones in their order again
("stacked"): then the function is another, its loss rises at first, and every block takes part
from the first step on.

Context. RoPE turns by position with no parameter: a longer table continues the same
turns. Within the old context nothing changes; beyond it the model has yet to learn.

Sources: Chen, Goodfellow and Shlens 2016, "Net2Net"; Chen et al. 2022, "bert2BERT"
(copies of neurons and of blocks); Gong et al. 2019, "Efficient training of BERT by
progressively stacking"; Du et al. 2024, "Stacking your transformers" (arXiv 2405.15319: copies
on top learn more than copies in between); Wang, P. et al. 2023, "Learning to grow pretrained
models" (LiGO: all of these are linear maps of the parameters); Wang, Y. et al. 2024,
"LEMON" (lossless for widths that are no multiple, and for RMSNorm).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.model.config import ModelConfig
from vidya.model.recipes import RECIPES

Array = NDArray[Any]
NewBlocks = Literal["silent", "stacked"]
"""What the blocks are that a deeper model has more: "silent" ones add nothing until they learn,
"stacked" ones are copies of the old, on top of them."""
COMPOSED = 0.5
"""Scale of an embedding row that is a mean of others.

`embed_norm` divides it away at the input. At the output it draws the logits of tokens that
never were a target towards zero: at 1 they take too much from those that were (docs/TRAINING.md).
"""


def require_growth(old: ModelConfig, new: ModelConfig) -> None:
    """Refuse dimensions to which a model cannot be grown.

    Raises:
        UserError: one is smaller than it was, or head_dim is another; names both.
    """
    for name in ("n_embd", "n_layer", "n_head", "context"):
        before, after = getattr(old, name), getattr(new, name)
        if after < before:
            flag = "--" + name.replace("_", "-")
            raise UserError(
                f"{name} is {before} and cannot become {after}, a model can only grow: "
                f"choose a bigger --preset or {flag} {before} at least"
            )
    if old.head_dim != new.head_dim:
        raise UserError(
            f"columns of a head are {old.head_dim} ({old.n_embd}/{old.n_head}) and cannot become "
            f"{new.head_dim} ({new.n_embd}/{new.n_head}): make n_embd / n_head {old.head_dim} "
            "with --n-embd and --n-head"
        )


def grow(
    parameters: Mapping[str, Array], old: ModelConfig, new: ModelConfig, seed: int,
    new_blocks: NewBlocks = "silent",
) -> dict[str, Array]:  # fmt: skip
    """The parameters of a model of `new` dimensions that computes what the `old` one does.

    With stacked blocks it computes something else, unless there are no more than before.

    Args:
        parameters: of the old model, by name, shapes as `vidya.model.parameters.parameter_shapes`.
        old: its architecture.
        new: the bigger one; the same vocabulary.
        seed: of what is random.
        new_blocks: what the blocks are that it has more.

    Raises:
        UserError: `new` is no growth of `old` (`require_growth`).
    """
    require_growth(old, new)
    rng = np.random.Generator(np.random.Philox(seed))
    widen = _Widening(old.n_embd, new.n_embd, rng)
    grown = {
        "wte": widen.writer(parameters["wte"], (new.vocab_size, new.n_embd)),
        "embed_norm": widen.gain(parameters["embed_norm"], 0),
        "final_norm": widen.gain(parameters["final_norm"], 2),
    }
    for i, (source, is_new) in enumerate(blocks_from(old.n_layer, new.n_layer, new_blocks)):
        for role, values in widen.block(parameters, f"layers.{source}.").items():
            silent = is_new and new_blocks == "silent" and role in ("attn_out", "ffn_down")
            grown[f"layers.{i}.{role}"] = np.zeros_like(values) if silent else values
    return grown


def blocks_from(
    old_layers: int, new_layers: int, new_blocks: NewBlocks = "silent"
) -> list[tuple[int, bool]]:
    """For each block of the deeper model: the old block it is made from, and whether it is new.

    Old blocks keep their order. Silent new ones stand evenly between them (and the last at
    the end), each made from the old block below it; stacked ones on top, made from the old
    ones in their order, again and again.
    """
    if new_blocks == "stacked":
        return [(i % old_layers, i >= old_layers) for i in range(new_layers)]
    below = [i * old_layers // new_layers for i in range(new_layers)]
    return [(source, i > 0 and below[i - 1] == source) for i, source in enumerate(below)]


class _Widening:
    """From d columns of the residual stream to D."""

    def __init__(self, d: int, wide: int, rng: np.random.Generator) -> None:
        self._more, self._wide, self._rng = wide - d, wide, rng
        self._c = math.sqrt(wide / d)

    def block(self, old: Mapping[str, Array], name: str) -> dict[str, Array]:
        """The six arrays of a block, by role; `name` is what precedes the role in `old`."""
        qkv = map(self.reader, np.split(old[name + "attn_qkv"], 3))
        return {
            "attn_norm": self.gain(old[name + "attn_norm"], 1),
            "attn_qkv": np.concatenate(list(qkv)),
            "attn_out": self.writer(old[name + "attn_out"], (self._wide, self._wide)),
            "ffn_norm": self.gain(old[name + "ffn_norm"], 1),
            "ffn_up": self.reader(old[name + "ffn_up"]),
            "ffn_down": self.writer(old[name + "ffn_down"], (self._wide, 4 * self._wide)),
        }

    def gain(self, values: Array, power: int) -> Array:
        """[d] to [D]: divided by c ** power; that of new columns is the mean."""
        wider = np.concatenate([values, np.full(self._more, values.mean(), values.dtype)])
        wider /= self._c**power
        return wider

    def writer(self, values: Array, shape: tuple[int, int]) -> Array:
        """What writes into the stream: times c, and zeros around it up to `shape`."""
        rows, columns = values.shape
        wider = np.zeros(shape, values.dtype)
        wider[:rows, :columns] = values * values.dtype.type(self._c)
        return wider

    def reader(self, values: Array) -> Array:
        """What reads from the stream, [n, d] to [n·D/d, D]: old rows, copies, random columns."""
        rows, d = values.shape
        more = rows // d * self._more
        drawn = self._rng.standard_normal((rows + more, self._wide), np.float32)
        wider: Array = (drawn * np.float32(RECIPES["plan"].hidden_std)).astype(values.dtype)
        wider[:, :d] = values[np.arange(rows + more) % rows]
        return wider


def respell(wte: Array, pieces: Sequence[Sequence[int]]) -> Array:
    """Embedding rows of another vocabulary, [len(pieces), d].

    A token that both have keeps its row. A new one gets `COMPOSED` times the mean of the
    rows of the old tokens that spell it.

    Args:
        wte: rows of the old vocabulary.
        pieces: for each new token, the old tokens that spell it; one if both have it.
    """
    rows: Array = np.stack(
        [wte[ids[0]] if len(ids) == 1 else COMPOSED * wte[list(ids)].mean(0) for ids in pieces]
    )
    return rows.astype(wte.dtype)
