"""The model in PyTorch, from the description alone: vidya/model/transformer.py is checked with it.

Pre-norm decoder: token embedding, RMSNorm, blocks of [RMSNorm, causal attention with
RoPE, add; RMSNorm, 4d GELU (tanh form), add], RMSNorm, logits through the
transposed embedding. Dropout is off. Each document goes through on its own, so that
no document can see another and positions begin at 0 in each.
"""

import itertools

import torch
import torch.nn.functional as F

RMSNORM_EPS = 1e-5
ROPE_BASE = 10_000.0


def loss_and_gradients(parameters, config, tokens, targets, offsets):
    """Mean loss over the counted targets and its gradients by name.

    parameters: NumPy arrays by name, whose dtype is the one to calculate in.
    tokens, targets [T]; targets below 0 are not counted. offsets [n_docs + 1].
    """
    weights = {name: torch.tensor(array, requires_grad=True) for name, array in parameters.items()}
    losses = token_losses(weights, config, tokens, targets, offsets)
    loss = losses.sum() / max(1, int((torch.as_tensor(targets) >= 0).sum()))
    gradients = torch.autograd.grad(loss, list(weights.values()))
    by_name = {name: g.numpy() for name, g in zip(weights, gradients, strict=True)}
    return float(loss.detach()), by_name


def token_losses(weights, config, tokens, targets, offsets):
    """Loss of each token [T] in nats, 0 where the target is negative."""
    tokens, targets = torch.as_tensor(tokens).long(), torch.as_tensor(targets).long()
    losses = []
    for begin, end in itertools.pairwise(offsets.tolist()):
        if begin == end:
            continue
        logits = document_logits(weights, config, tokens[begin:end])
        wanted = targets[begin:end].clamp(min=-1)
        losses.append(F.cross_entropy(logits, wanted, ignore_index=-1, reduction="none"))
    return torch.cat(losses)


def document_logits(weights, config, tokens):
    """Logits [n, V] of one document's tokens [n]."""
    x = rmsnorm(weights["wte"][tokens], weights["embed_norm"])
    for i in range(config.n_layer):
        layer = {
            name.split(".")[2]: w for name, w in weights.items() if name.startswith(f"layers.{i}.")
        }
        x = x + attention(rmsnorm(x, layer["attn_norm"]), layer, config.n_head)
        x = x + feed_forward(rmsnorm(x, layer["ffn_norm"]), layer)
    return rmsnorm(x, weights["final_norm"]) @ weights["wte"].T


def rmsnorm(x, gain):
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + RMSNORM_EPS) * gain


def attention(x, layer, n_head):
    """Causal attention of one document [n, d]."""
    n, d = x.shape
    q, k, v = (
        part.view(n, n_head, d // n_head).transpose(0, 1)
        for part in (x @ layer["attn_qkv"].T).split(d, dim=1)
    )
    scores = rotate(q) @ rotate(k).transpose(1, 2) / (d // n_head) ** 0.5
    ahead = torch.ones(n, n, dtype=torch.bool).triu(diagonal=1)
    weights = scores.masked_fill(ahead, float("-inf")).softmax(dim=-1)
    return (weights @ v).transpose(0, 1).reshape(n, d) @ layer["attn_out"].T


def rotate(x):
    """RoPE over the two halves of each head, x [H, n, hd] at positions 0 to n - 1."""
    n, hd = x.shape[1:]
    frequency = ROPE_BASE ** (-torch.arange(0, hd, 2, dtype=torch.float64) / hd)
    angle = torch.arange(n, dtype=torch.float64)[:, None] * frequency
    angle = torch.cat([angle, angle], dim=1)
    first, second = x.chunk(2, dim=-1)
    rotated = torch.cat([-second, first], dim=-1)
    return x * angle.cos().to(x.dtype) + rotated * angle.sin().to(x.dtype)


def feed_forward(x, layer):
    return F.gelu(x @ layer["ffn_up"].T, approximate="tanh") @ layer["ffn_down"].T
