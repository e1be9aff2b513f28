#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""Makes tests/golden/<case>/: what PyTorch (f32, CPU) and transformers say about small models.

    pip install torch transformers safetensors
    python scripts/make_golden.py [--out tests/golden]

Each case is a Hugging Face folder (config.json, model.safetensors) and expected.safetensors:
    tokens   [steps * B, T]  i32   inputs; rows [s * B, (s + 1) * B) are the batch of step s
    targets  [steps * B, T]  i32   the next tokens, some of them -100 (padding)
    logits   [B * T, V]      f32   of the first batch, before any step
    grad.N   shape of N      f32   of the first batch's mean loss, for every parameter N
    losses   [steps]         f32   mean loss of each batch before its AdamW step
    norms    [steps]         f32   global L2 norm of the gradients before clipping at 1
    greedy   [12]            i32   greedy continuation of the first 4 tokens, without stopping
The AdamW numbers are those of STEP below; tensors of one dimension do not decay.
"""
import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

STEPS, BATCH, TOKENS, PROMPT, GREEDY = 20, 2, 16, 4, 12
STEP = {"lr": 3e-3, "betas": (0.9, 0.95), "eps": 1e-8}
DECAY = 0.1
COMMON = {
    "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": 97, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
    "initializer_range": 0.15, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
    "attn_implementation": "eager",
}


def cases():
    llama3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    linear = {"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.0}
    plain = {"rope_type": "default", "rope_theta": 1000000.0}
    yield "llama_gqa_llama3", LlamaForCausalLM(LlamaConfig(
        **COMMON, num_key_value_heads=2, head_dim=12, tie_word_embeddings=False,
        rope_parameters=llama3)), 5
    yield "llama_tied_linear", LlamaForCausalLM(LlamaConfig(
        **COMMON, num_key_value_heads=4, tie_word_embeddings=True, rope_parameters=linear)), 4
    yield "qwen3_tied", Qwen3ForCausalLM(Qwen3Config(
        **COMMON, num_key_value_heads=1, head_dim=10, tie_word_embeddings=True,
        rope_parameters=plain)), 5


def write_version4(folder, rope):
    """config.json as transformers 4 wrote it."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["rope_parameters"]
    config["torch_dtype"] = config.pop("dtype")
    config["rope_theta"] = rope["rope_theta"]
    config["rope_scaling"] = {"type": rope["rope_type"], "factor": rope["factor"]}
    config["transformers_version"] = "4.40.0"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def mean_loss(model, tokens, targets):
    logits = model(input_ids=tokens).logits
    flat = logits.reshape(-1, logits.shape[-1])
    return flat, torch.nn.functional.cross_entropy(flat, targets.reshape(-1), ignore_index=-100)


def learn(model, tokens, targets):
    """20 steps; returns losses, gradient norms, first logits and first gradients."""
    named = dict(model.named_parameters())
    groups = [{"params": [p for p in named.values() if p.dim() >= 2], "weight_decay": DECAY},
              {"params": [p for p in named.values() if p.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, foreach=False, **STEP)
    losses, norms, first = [], [], {}
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        optimizer.zero_grad()
        logits, loss = mean_loss(model, tokens[rows], targets[rows])
        loss.backward()
        if step == 0:
            first["logits"] = logits.detach().clone()
            first |= {f"grad.{name}": p.grad.clone() for name, p in named.items()}
        norms.append(torch.nn.utils.clip_grad_norm_(list(named.values()), 1.0).item())
        optimizer.step()
        losses.append(loss.item())
    return first | {"losses": torch.tensor(losses), "norms": torch.tensor(norms)}


def greedy(model, prompt):
    ids = prompt.clone()
    with torch.no_grad():
        for _ in range(GREEDY):
            ids = torch.cat([ids, model(input_ids=ids[None]).logits[0, -1].argmax()[None]])
    return ids[len(prompt):]


def make(name, model, out):
    folder = out / name
    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():  # norm weights other than 1
            if parameter.dim() < 2:
                parameter += 0.2 * torch.randn_like(parameter)
    rope = dict(model.config.rope_parameters)
    model.save_pretrained(folder)
    if rope["rope_type"] == "linear":
        write_version4(folder, rope)
    vocab = model.config.vocab_size
    # Repetitive text, so that there is something to learn in 20 steps.
    ids = (torch.arange(TOKENS + 1)[None] * torch.randint(1, 4, (STEPS * BATCH, 1)) +
           torch.randint(0, 5, (STEPS * BATCH, TOKENS + 1))) % vocab
    tokens, targets = ids[:, :-1].contiguous(), ids[:, 1:].clone()
    targets[torch.rand(targets.shape) < 0.1] = -100
    expected = {"tokens": tokens.int(), "targets": targets.int(),
                "greedy": greedy(model, tokens[0, :PROMPT]).int()}
    expected |= learn(model, tokens, targets)
    save_file({key: value.contiguous() for key, value in expected.items()},
              folder / "expected.safetensors")
    print(f"{name}: loss {expected['losses'][0]:.4f} -> {expected['losses'][-1]:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "tests/golden")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    torch.manual_seed(1)
    for name, model, seed in cases():
        torch.manual_seed(seed)
        make(name, model, out)


if __name__ == "__main__":
    main()
