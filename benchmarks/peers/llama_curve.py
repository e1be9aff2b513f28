#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""A training run of Ropewalk again in plain PyTorch: same weights, same tokens, same learning rates.

    python benchmarks/peers/llama_curve.py BEGIN RUN ORDER --precision bf16

needs torch. BEGIN is a model folder with the f32 weights to begin with (`final/` of a run with lr 0), RUN
the folder of a finished run (its metrics.jsonl gives each step's learning rate; AdamW otherwise as in
recipes/first_run.yaml, clipping at 1), ORDER what `ropewalk data order --tokens --json` printed for its
steps. Prints one line of JSON: {"loss": [one number a step]}.

bf16 is PyTorch's autocast: master weights, norms, softmaxes and AdamW in f32, operands and results of
linear layers and of attention's two products in bf16. A CPU without bf16 products takes seconds a step
for that, so products here multiply the rounded operands in f32 and round the result, forward and
backward: what bf16 products are defined to give, but for the order of sums.
"""
import argparse
import json
import pathlib

import torch
from torch.nn import functional

from llama_torch import Llama, make_adamw


class RoundedLinear(torch.autograd.Function):
    """y = x wᵀ, all of it bf16, sums in f32."""

    @staticmethod
    def forward(ctx, x, w):
        x16, w16 = x.bfloat16(), w.bfloat16()
        ctx.save_for_backward(x16, w16)
        ctx.x_dtype = x.dtype
        with torch.autocast("cpu", enabled=False):
            return (x16.float() @ w16.float().T).bfloat16()

    @staticmethod
    def backward(ctx, y_grad):
        x16, w16 = ctx.saved_tensors
        g = y_grad.float()
        x_grad = (g @ w16.float()).bfloat16()
        w_grad = (g.flatten(0, -2).T @ x16.float().flatten(0, -2)).bfloat16()
        return x_grad.to(ctx.x_dtype), w_grad.float()


def rounded_attention(q, k, v, is_causal, enable_gqa):
    """As SDPA's tiles: scores and softmax f32, what is multiplied bf16. [B, H, T, D]"""
    assert is_causal
    with torch.autocast("cpu", enabled=False):
        if enable_gqa:
            groups = q.shape[1] // k.shape[1]
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scores = q.float() @ k.float().transpose(-2, -1) * q.shape[-1]**-0.5
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, float("-inf")).softmax(-1).bfloat16()
        return (weights.float() @ v.float()).bfloat16()


def use_rounded_products(model):
    functional.scaled_dot_product_attention = rounded_attention
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.forward = lambda x, layer=layer: RoundedLinear.apply(x, layer.weight)


def read_weights(path):
    """Tensors of an f32 safetensors file, by name."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    out = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        data = torch.frombuffer(bytearray(raw[8 + size + begin:8 + size + end]), dtype=torch.float32)
        out[name] = data.view(entry["shape"])
    return out


def our_name(name):
    """Hugging Face's name of one of the peer's parameters."""
    if name == "embedding.weight":
        return "model.embed_tokens.weight"
    if name == "norm.weight":
        return "model.norm.weight"
    if name == "head.weight":
        return "lm_head.weight"
    name = "model.layers." + name.removeprefix("blocks.")
    for peer, ours in (("attention_norm", "input_layernorm"), ("mlp_norm", "post_attention_layernorm"),
                       (".attention.", ".self_attn."), (".gate_", ".mlp.gate_"), (".up_", ".mlp.up_"),
                       (".down_", ".mlp.down_")):
        name = name.replace(peer, ours)
    return name


def build(folder, tokens):
    config = json.loads((folder / "config.json").read_text())
    model = Llama(config, tokens, written=False)
    if config["tie_word_embeddings"]:
        model.head.weight = model.embedding.weight
    for layer in model.modules():
        if hasattr(layer, "eps"):
            layer.eps = config["rms_norm_eps"]
    weights = read_weights(folder / "model.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[our_name(name)])
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("begin", type=pathlib.Path)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("order", type=pathlib.Path)
    parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
    parser.add_argument("--threads", type=int, default=2)
    how = parser.parse_args()
    torch.set_num_threads(how.threads)
    lrs = [json.loads(line)["lr"] for line in (how.run / "metrics.jsonl").read_text().splitlines()]
    batches = {}
    for line in how.order.read_text().splitlines():
        row = json.loads(line)
        batches.setdefault(row["step"], []).append(row["token_ids"])
    tokens = len(batches[1][0]) - 1
    model = build(how.begin, tokens)
    if how.precision == "bf16":
        use_rounded_products(model)
    optimizer = make_adamw(model)
    losses = []
    for step, lr in enumerate(lrs, 1):
        rows = torch.tensor(batches[step])
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=how.precision == "bf16"):
            loss = model(rows[:, :-1], rows[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    print(json.dumps({"loss": losses}))


if __name__ == "__main__":
    main()
