#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""Training speed of the 34 M-parameter LLaMA beside eager PyTorch, in one run on one machine.

    python benchmarks/peers/train_step.py [--ropewalk build/cpu/ropewalk] [--corpus C.h5]

needs torch and transformers (a virtual environment of their own). Both sides train hidden 512,
8 layers, 8 heads, intermediate 1408, vocabulary 8192 in f32 on batches of 8 x 256 tokens with AdamW
and clipping on the same number of threads; Ropewalk by recipes/llama_34m.yaml, its tokens/s read
from metrics.jsonl. The sides take turns (--rounds), the median of all steps after the warm-up
counts. Prints one line of JSON with both and their ratio. Without a ropewalk program (--peer-only)
it prints PyTorch's alone.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

BATCH, TOKENS, WARM_UP = 8, 256, 3
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def pytorch(steps, threads):
    """tokens/s of each step after the warm-up."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=512, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=8,
        intermediate_size=1408, vocab_size=8192, max_position_embeddings=TOKENS,
        tie_word_embeddings=False))
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1)
    speeds = []
    for step in range(WARM_UP + steps):
        tokens = torch.randint(0, 8192, (BATCH, TOKENS + 1))
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        if step >= WARM_UP:
            speeds.append(BATCH * TOKENS / (time.perf_counter() - begin))
    return speeds


def ropewalk(program, corpus, steps, threads):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "run"
        text = (ROOT / "recipes/llama_34m.yaml").read_text()
        recipe = pathlib.Path(folder) / "recipe.yaml"
        recipe.write_text(text.replace("corpora/first_run.h5", str(corpus)))
        command = [program, "train", recipe, f"output_dir={out}", f"train.max_steps={WARM_UP + steps}",
                   "lr_scheduler.warmup_steps=0"]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL,
                       cwd=ROOT, env=dict(os.environ, OMP_NUM_THREADS=str(threads)))
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["tokens_per_s"] for line in lines if line.get("step", 0) > WARM_UP]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ropewalk", default=str(ROOT / "build/cpu/ropewalk"))
    parser.add_argument("--corpus", default=ROOT / "corpora/first_run.h5")
    parser.add_argument("--peer-only", action="store_true")
    parser.add_argument("--steps", type=int, default=8, help="measured steps per round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    how = parser.parse_args()
    ours, theirs = [], []
    for _ in range(how.rounds):
        theirs += pytorch(how.steps, how.threads)
        if not how.peer_only:
            ours += ropewalk(how.ropewalk, pathlib.Path(how.corpus).resolve(), how.steps, how.threads)
    result = {"pytorch_tokens_per_s": round(statistics.median(theirs), 1)}
    if ours:
        result["ropewalk_tokens_per_s"] = round(statistics.median(ours), 1)
        result["ratio"] = round(statistics.median(ours) / statistics.median(theirs), 3)
    print(json.dumps(result | {"threads": how.threads, "batch": BATCH, "tokens": TOKENS}))


if __name__ == "__main__":
    main()
