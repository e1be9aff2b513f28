#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""The reference that Ropewalk is held against: a LLaMA in plain PyTorch, as fast as PyTorch makes it.

    python benchmarks/peers/llama_torch.py '{"hidden_size": 512, …}' --threads 2 --attention sdpa

needs torch and a C++ compiler. RMSNorm, RoPE, grouped queries, SwiGLU, untied head; forward and loss
under torch.compile (bf16: under autocast, master weights f32); clipping; fused AdamW.
`--attention written` spells the attention out instead of calling SDPA: which is faster depends on the
case, so train_bench tries both.

The process stays up and obeys lines of JSON on stdin, each answered by one line of JSON on stdout:
    {"do": "steps", "count": N}   {"step_s": [N]}; the first call compiles
    {"do": "gemm"}                {"gemm_flops": best rate of the step's matrix products alone}
    {"do": "memory"}              {"peak_bytes", "base_bytes"}: VmHWM since the last reset, VmRSS before the model
    {"do": "reset_memory"}        {} and VmHWM starts anew
Ropewalk's side is `ropewalk bench train --serve`, which obeys the same lines.
"""
import argparse
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional

MATRICES = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()


class RmsNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


def rotate(x, cos, sin):
    """x [B, H, T, D]; the halves of D are the two coordinates, as in Hugging Face's LLaMA."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Attention(nn.Module):
    def __init__(self, model, written):
        super().__init__()
        self.heads, self.kv_heads = model["num_attention_heads"], model["num_key_value_heads"]
        self.head_dim = model["hidden_size"] // self.heads
        hidden, kv = model["hidden_size"], self.kv_heads * self.head_dim
        self.q_proj = nn.Linear(hidden, hidden, bias=False)
        self.k_proj = nn.Linear(hidden, kv, bias=False)
        self.v_proj = nn.Linear(hidden, kv, bias=False)
        self.o_proj = nn.Linear(hidden, hidden, bias=False)
        self.written = written

    def forward(self, x, cos, sin):
        batch, tokens, _ = x.shape
        split = lambda y, heads: y.view(batch, tokens, heads, self.head_dim).transpose(1, 2)
        q = rotate(split(self.q_proj(x), self.heads), cos, sin)
        k = rotate(split(self.k_proj(x), self.kv_heads), cos, sin)
        v = split(self.v_proj(x), self.kv_heads)
        q, k = q.to(v.dtype), k.to(v.dtype)
        if self.written:
            groups = self.heads // self.kv_heads
            if groups > 1:
                k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
            scores = (q @ k.transpose(-2, -1)).float() * self.head_dim**-0.5
            future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
            out = scores.masked_fill(future, float("-inf")).softmax(-1).to(v.dtype) @ v
        else:
            out = functional.scaled_dot_product_attention(
                q, k, v, is_causal=True, enable_gqa=self.heads != self.kv_heads)
        return self.o_proj(out.transpose(1, 2).reshape(batch, tokens, -1))


class Block(nn.Module):
    def __init__(self, model, written):
        super().__init__()
        hidden, wide = model["hidden_size"], model["intermediate_size"]
        self.attention_norm = RmsNorm(hidden, 1e-5)
        self.attention = Attention(model, written)
        self.mlp_norm = RmsNorm(hidden, 1e-5)
        self.gate_proj = nn.Linear(hidden, wide, bias=False)
        self.up_proj = nn.Linear(hidden, wide, bias=False)
        self.down_proj = nn.Linear(wide, hidden, bias=False)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.attention_norm(x), cos, sin)
        y = self.mlp_norm(x)
        return x + self.down_proj(functional.silu(self.gate_proj(y)) * self.up_proj(y))


class Llama(nn.Module):
    def __init__(self, model, tokens, written):
        super().__init__()
        hidden = model["hidden_size"]
        self.embedding = nn.Embedding(model["vocab_size"], hidden)
        self.blocks = nn.ModuleList(
            Block(model, written) for _ in range(model["num_hidden_layers"]))
        self.norm = RmsNorm(hidden, 1e-5)
        self.head = nn.Linear(hidden, model["vocab_size"], bias=False)
        dim = hidden // model["num_attention_heads"]
        angles = torch.outer(torch.arange(tokens).float(),
                             10000.0 ** (-torch.arange(0, dim, 2).float() / dim))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(self.norm(x))
        return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def status_bytes(key):
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))


def best_s(product, rows, limit_s, slow_s=10):
    """Least time of a product within `limit_s`; where one takes more than `slow_s`, by that of a part of its rows."""
    def once(r):
        begin = time.perf_counter()
        product(r)
        return time.perf_counter() - begin
    once(rows // 16)  # wakes the threads
    part = 16 * once(rows // 16)
    if part > slow_s:
        return part
    times = [once(rows)]  # the first one packs and pages
    while len(times) < 8 and sum(times) < limit_s:
        times.append(once(rows))
    return min(times)


def make_adamw(model):
    """Matrices decay, norms do not, as in Ropewalk's recipes."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    return torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                             lr=3e-4, betas=(0.9, 0.95), fused=True)


class Training:
    def __init__(self, how):
        self.how = how
        self.base_bytes = status_bytes("VmRSS")
        torch.manual_seed(1)
        self.model = Llama(how.model, how.tokens, how.attention == "written")
        self.loss = torch.compile(self.model, dynamic=False) if how.compile else self.model
        self.optimizer = make_adamw(self.model)
        self.rows = torch.randint(0, how.model["vocab_size"], (how.batch, how.tokens + 1))

    def step(self):
        how = self.how
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=how.precision == "bf16"):
            loss = self.loss(self.rows[:, :-1], self.rows[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def steps(self, count):
        times, losses = [], []
        for _ in range(count):
            begin = time.perf_counter()
            losses.append(self.step())
            times.append(time.perf_counter() - begin)
        return {"step_s": times, "loss": losses}

    def gemm_flops(self, limit_s=20):
        """The rate of the step's products alone: each linear layer forward, towards its input, towards its weight."""
        dtype = torch.bfloat16 if self.how.precision == "bf16" else torch.float32
        m = self.how.batch * self.how.tokens
        shapes = {}
        for layer in self.model.modules():
            if isinstance(layer, nn.Linear):
                shape = (layer.out_features, layer.in_features)
                shapes[shape] = shapes.get(shape, 0) + 1
        flops = seconds = 0.0
        for (n, k), count in shapes.items():
            x, w, y = (torch.randn(size, dtype=dtype) for size in ((m, k), (n, k), (m, n)))
            for product in (lambda r: x[:r] @ w.T, lambda r: y[:r] @ w, lambda r: y[:r].T @ x[:r]):
                seconds += count * best_s(product, m, limit_s / (3 * len(shapes)))
                flops += count * 2.0 * m * n * k
        return {"gemm_flops": flops / seconds, "gemm_s": seconds}


def answer(training, command):
    what = command["do"]
    if what == "steps":
        return training.steps(command["count"])
    if what == "gemm":
        return training.gemm_flops()
    if what == "memory":
        return {"peak_bytes": status_bytes("VmHWM"), "base_bytes": training.base_bytes}
    if what == "reset_memory":
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        return {}
    raise SystemExit(f"llama_torch.py: got {what!r}, want steps, gemm, memory or reset_memory")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=json.loads, help="sizes by Hugging Face's names, as JSON")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--attention", choices=["sdpa", "written"], default="sdpa")
    parser.add_argument("--eager", dest="compile", action="store_false", help="no torch.compile")
    how = parser.parse_args()
    torch.set_num_threads(how.threads)
    training = Training(how)
    for line in sys.stdin:
        print(json.dumps(answer(training, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
