"""The same model in PyTorch, written as fast as its public operators allow.

Equal-length documents as a batch [B, T], so that PyTorch wastes nothing on padding
and attention is its fused causal kernel.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from vidya.config import ModelConfig


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
