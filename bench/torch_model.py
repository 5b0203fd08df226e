"""The same model in PyTorch, written as fast as its public operators allow.

Equal-length documents as a batch [B, T], so that PyTorch wastes nothing on padding
and attention is its fused causal kernel. Tried on an AVX2 processor and no faster,
within 2 %: RMSNorm written out, other forms of the rotation (one for queries and keys
together, addcmul, in bf16), other dropouts (native_dropout, rand_like), `torch.compile`
with static shapes or with eager's random numbers. Attention written out is 40 % slower.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vidya.model.config import ModelConfig
from vidya.text.batch_plan import Batch


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.n_embd
        self.config = config
        self.attn_norm, self.ffn_norm = nn.RMSNorm(d, eps=1e-5), nn.RMSNorm(d, eps=1e-5)
        self.attn_qkv = nn.Linear(d, 3 * d, bias=False)
        self.attn_out = nn.Linear(d, d, bias=False)
        self.ffn_up = nn.Linear(d, 4 * d, bias=False)
        self.ffn_down = nn.Linear(4 * d, d, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Map x [B, T, d] to [B, T, d]."""
        B, T, d = x.shape
        c, p = self.config, self.config.dropout
        qkv = self.attn_qkv(self.attn_norm(x)).view(B, T, 3, c.n_head, c.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(
            rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True
        )
        y = self.attn_out(y.transpose(1, 2).reshape(B, T, d))
        x = x + F.dropout(y, p, self.training)
        y = self.ffn_down(F.gelu(self.ffn_up(self.ffn_norm(x)), approximate="tanh"))
        return x + F.dropout(y, p, self.training)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """RoPE over the two halves of each head; x [B, H, T, hd]."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class TorchModel(nn.Module):
    """The whole model; forward gives the mean loss."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.n_embd
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, d)
        self.embed_norm, self.final_norm = nn.RMSNorm(d, eps=1e-5), nn.RMSNorm(d, eps=1e-5)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        half = config.head_dim // 2
        angles = torch.arange(config.context)[:, None] * 10_000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                residual = name.endswith(("attn_out.weight", "ffn_down.weight"))
                std = 0.08 / math.sqrt(2 * config.n_layer) if residual else 0.08
                nn.init.normal_(parameter, std=std)

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of tokens against targets, both [B, T]."""
        T = tokens.shape[1]
        x = self.embed_norm(self.wte(tokens))
        x = F.dropout(x, self.config.dropout, self.training)
        for layer in self.layers:
            x = layer(x, self.cos[:T], self.sin[:T])
        logits = F.linear(self.final_norm(x), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def torch_step(
    config: ModelConfig, batch: Batch, threads: int, *, compiled: bool, precision: str
) -> Callable[[], float]:
    """A training step of PyTorch over a batch of equal documents; returns the loss.

    `precision` "bf16" is autocast around the forward pass, as its documentation
    recommends; weights, moments and gradients stay float32. Adam's moments exist before
    the first step, so that one step shows what memory a step needs.
    """
    model: Any = TorchModel(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    length = int(batch.offsets[1])
    tokens = torch.from_numpy(batch.tokens).long().view(-1, length)
    targets = torch.from_numpy(batch.targets).long().view(-1, length)
    run = torch.compile(model) if compiled else model

    def cast() -> contextlib.AbstractContextManager[None]:
        if precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast("cpu", dtype=torch.bfloat16)

    def step() -> float:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with cast():
            loss = run(tokens, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step
