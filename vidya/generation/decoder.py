"""A model that decodes: its weights in some precision, and a cache of keys and values.

- Weights lie in panels as the kernels read them (vidya/generation/decoder_weights.py). In bf16
  and int8 they are made when the decoder is. In fp32, where it makes no difference but in
  speed, the first call reads the model's own and every further call copies a layer, so that
  the first token does not wait for all. With `in_place` none are copied.
- The cache has slots, one for a sequence each (in bfloat16 where the weights are in fewer bytes).
- One call runs any tokens of any slots through all layers: the next token of each of many
  sequences, or the whole of a prompt. A token's numbers are the same whichever way it
  comes: with others or alone, in one piece or in several. In fp32 they are, bit for bit,
  those of `Model.forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya import kernels
from vidya.generation.decoder_weights import DecoderWeights
from vidya.generation.precision import WEIGHT_PRECISIONS, WeightPrecision
from vidya.kernels.allocation import aligned_zeros
from vidya.model.transformer import Model

Array = NDArray[Any]
MOST_ROWS = 512
"""Tokens of one call: a longer prompt is cut into pieces."""
MATRICES = ("attn_qkv", "attn_out", "ffn_up", "ffn_down")
"""Of a layer, in the order of their use."""


class Decoder:
    """A model's weights and the cache of its slots. Not to be shared by threads.

    Attributes:
        window: tokens that a slot holds: the model's context.
        slots: how many sequences the cache holds.
        precision: of the weights.
        rows: tokens that one call takes.
    """

    def __init__(
        self, model: Model, precision: WeightPrecision = "fp32", slots: int = 1, *,
        in_place: bool = False,
    ) -> None:  # fmt: skip
        """Make room, and the weights in fewer bytes.

        With `in_place` the model's own weights are read, at about half the speed (fp32).

        Raises:
            ValueError: an unknown precision, fewer than one slot, or a float64 model or
                `in_place` in another precision than the model's own ("fp32").
        """
        if precision not in WEIGHT_PRECISIONS:
            raise ValueError(f"precision must be fp32, bf16 or int8, not {precision!r}")
        if precision != "fp32" and model.dtype != np.float32:
            raise ValueError(f"precision {precision} is for float32 models, not {model.dtype}")
        if in_place and precision != "fp32":
            raise ValueError(f"weights in {precision} cannot be read in place")
        if slots < 1:
            raise ValueError(f"there must be at least one slot, not {slots}")
        config = model.config
        self.model = model
        self.precision = precision
        self.slots = slots
        self.window = config.context
        self.rows = max(slots, min(MOST_ROWS, self.window))
        self._lib = kernels.library(model.dtype)
        self._weights = DecoderWeights(model, precision, in_place=in_place)
        self._keys, self._values = self._make_cache()
        self._logits = aligned_zeros((self.rows, config.vocab_size), model.dtype)
        self._ids = np.zeros((4, self.rows), np.int32)  # tokens, slots, positions, wanted
        self._arguments = [kernels.pointer(row) for row in self._ids]
        self._logits_pointer = kernels.pointer(self._logits)
        self._log_sums = np.zeros(self.rows)
        self._log_sums_pointer = kernels.pointer(self._log_sums)
        self._isa = self._lib.vidya_get_isa()  # a pointer, which is quickly compared
        self._alive: list[Any] = []  # what the C structure points to
        self._decoder = self._describe()
        layers = [[f"layers.{i}.{name}" for name in MATRICES] for i in range(config.n_layer)]
        # weights that each call copies, the next one's last: the first call copies none
        self._uncopied = [] if in_place or precision != "fp32" else [["wte"], *layers[::-1], []]

    def refresh(self) -> None:
        """Follow the model's weights after they changed, which must not be used before.

        What is in the cache is stale.
        """
        self._weights.refresh()

    def run(
        self, tokens: Sequence[int], slots: Sequence[int], positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Array:  # fmt: skip
        """Run tokens through the model; returns the logits [len(wanted), V] after some.

        Token i goes to `positions[i]` of slot `slots[i]`. Earlier positions of the slot
        are in its cache, or stand before it in this call (the caller's duty). The result
        is overwritten by the next call.

        Args:
            tokens: 1 to `rows` ids.
            slots: of each; tokens of a slot stand together.
            positions: of each, below `window`, rising by one within a slot.
            wanted: indices into `tokens`, at most `rows`.

        Raises:
            ValueError: what would read or write beyond a buffer.
        """
        T, n = len(tokens), len(wanted)
        self._check(tokens, slots, positions, wanted)
        for row, values in zip(self._ids, (tokens, slots, positions, wanted), strict=True):
            row[: len(values)] = values
        ids, of_slots, at, want = self._arguments
        for name in self._uncopied.pop() if self._uncopied else ():
            for field, value in self._weights.make(name).items():
                setattr(self._places[name], field, value)
        self._lib.vidya_decode(self._decoder, self._logits_pointer, ids, of_slots, at, T, want, n)
        logits: Array = self._logits[:n]
        return logits

    def log_sums(self, n: int) -> list[float]:
        """log(sum(exp(row))) of each of the n rows of logits that the last call returned."""
        self._lib.vidya_log_sum_exp(
            self._log_sums_pointer, self._logits_pointer, n, self._logits.shape[1]
        )
        sums: list[float] = self._log_sums[:n].tolist()
        return sums

    def _check(
        self, tokens: Sequence[int], slots: Sequence[int], positions: Sequence[int],
        wanted: Sequence[int],
    ) -> None:  # fmt: skip
        """Raise ValueError unless the ids of a call lie where they may.

        Without NumPy, whose every call takes longer than looking at the one token of a step.
        """
        T, n = len(tokens), len(wanted)
        if not (T == len(slots) == len(positions) and 1 <= T <= self.rows and n <= self.rows):
            raise ValueError(
                f"a call takes 1 to {self.rows} tokens, with slot and position of each"
            )
        for name, ids, end in (
            ("token ids", tokens, self.model.config.vocab_size), ("slots", slots, self.slots),
            ("positions", positions, self.window), ("wanted indices", wanted, T),
        ):  # fmt: skip
            if len(ids) and not 0 <= min(ids) <= max(ids) < end:
                raise ValueError(f"{name} must lie in [0, {end})")
        newest: dict[int, int] = {}  # position, by slot
        last = -1
        for slot, position in zip(slots, positions, strict=True):
            if slot != last and slot in newest:
                raise ValueError("tokens of a slot must stand together")
            if slot == last and position != newest[slot] + 1:
                raise ValueError("positions of a slot must rise by one")
            newest[slot], last = position, slot
        if self._lib.vidya_get_isa() != self._isa:
            self._weights.require_isa()

    def copy(self, source: int, target: int, count: int) -> None:
        """Copy the first `count` positions of one slot's cache to another's."""
        blocks = -(-count // kernels.CACHE_BLOCK)
        self._keys[:, target, :, :blocks] = self._keys[:, source, :, :blocks]
        self._values[:, target, :, :count] = self._values[:, source, :, :count]

    def nbytes(self) -> int:
        """Bytes of the cache when every slot is full, and of weights made for it."""
        return self._keys.nbytes + self._values.nbytes + self._weights.nbytes()

    def _make_cache(self) -> tuple[Array, Array]:
        """Keys [layer, slot, head, block, hd, 64] and values [layer, slot, head, position, hd]."""
        config = self.model.config
        dtype = self.model.dtype if self.precision == "fp32" else np.dtype(np.uint16)
        heads = config.n_layer, self.slots, config.n_head
        blocks = -(-self.window // kernels.CACHE_BLOCK)
        keys = aligned_zeros((*heads, blocks, config.head_dim, kernels.CACHE_BLOCK), dtype)
        width = -(-config.head_dim // kernels.CACHE_PAD) * kernels.CACHE_PAD
        values = aligned_zeros((*heads, blocks * kernels.CACHE_BLOCK, width), dtype)
        return keys, values

    def _describe(self) -> Any:
        """The C structure, with every pointer bound once."""
        config, dtype = self.model.config, self.model.dtype
        d, layers = config.n_embd, range(config.n_layer)
        parameters = {name: kernels.pointer(p) for name, p in self.model.parameters.items()}
        weights = self._weights.fields
        shapes = [shape for shape in self.model.shapes.values() if len(shape) == 2]
        described = [
            {
                "attn_norm": parameters[f"layers.{i}.attn_norm"],
                "ffn_norm": parameters[f"layers.{i}.ffn_norm"],
                "keys": kernels.pointer(self._keys[i]),
                "values": kernels.pointer(self._values[i]),
                **{name: weights[f"layers.{i}.{name}"] for name in MATRICES},
            }
            for i in layers
        ]
        columns = {"x": d, "normed": d, "qkv": 3 * d, "attended": d, "hidden": 4 * d, "rstd": 1}
        scratch = {name: aligned_zeros((self.rows, n), dtype) for name, n in columns.items()}
        tables = kernels.rope_table(config.context, config.head_dim, dtype=dtype)
        workspace = kernels.workspace(dtype, self.rows, shapes)
        c_layers = kernels.structures("vidya_decoder_layer", dtype, described)
        self._alive += [*scratch.values(), *tables, workspace, c_layers]
        decoder = kernels.structure(
            "vidya_decoder", dtype, n_layer=config.n_layer, d=d, H=config.n_head, F=4 * d,
            V=config.vocab_size, capacity=self._values.shape[-2],
            cache_half=int(self._keys.dtype == np.uint16), eps=kernels.RMSNORM_EPS,
            wte=parameters["wte"], embed_norm=parameters["embed_norm"],
            final_norm=parameters["final_norm"], cos_table=kernels.pointer(tables[0]),
            sin_table=kernels.pointer(tables[1]), head=weights["wte"], layers=c_layers,
            workspace=kernels.pointer(workspace),
            **{name: kernels.pointer(array) for name, array in scratch.items()},
        )  # fmt: skip
        self._places = {f"layers.{i}.{name}": getattr(c_layers[i], name)
                        for i in layers for name in MATRICES}  # fmt: skip
        self._places["wte"] = decoder.head
        return decoder
