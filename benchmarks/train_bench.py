#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""Training speed and memory beside PyTorch, in one run on one machine.

    python benchmarks/train_bench.py [--quick] [--sizes 34M …] [--precisions f32 bf16] [--threads 1 2] [--seq 256 2048]

needs torch (a virtual environment of its own) and build/cpu/ropewalk. Each side is a process that
stays up and runs blocks of steps when asked, so that the sides take turns without compiling again and
only one computes at a time: `ropewalk bench train --serve` (the trainer of `ropewalk train`) and
benchmarks/peers/llama_torch.py (torch.compile, fused AdamW; SDPA or written-out attention, whichever
is faster in a trial of each case). Both take full steps of 2048 tokens with clipping, on random tokens.

Prints a table and writes benchmarks/results/train_bench.json and .md: tokens/s (median and best over
all blocks), the ratio of the medians, the share of the rate that the step's matrix products reach alone
in the same process, and peak resident memory of each process over the measured blocks, compiler gone.
Every case stops after --seconds of measuring. Where the peer's products alone would take more than
--peer-step-s a step (bf16 on a CPU without it), it takes no step: what stands in its place is the most
that these products allow, marked ≤, and the ratio is the least, marked ≥. --quick: 34M, f32, two threads, seq 256. --keep: cases
that the results hold already and this run does not measure stay there, each with its own date, commit
and load.
"""
import argparse
import datetime
import itertools
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKENS_PER_STEP = 2048


def sizes_of(hidden, layers, heads, kv_heads, wide, vocab):
    return {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "intermediate_size": wide, "vocab_size": vocab}


# Ours; the peer's compiler chooses by itself what its backward makes again.
RECOMPUTE = {"4M": {}, "34M": {}, "124M": {"recompute": "selective"},
             "350M": {"recompute": "selective", "recompute_full_layers": 5}}
KEYS = ("size", "seq", "precision", "threads")
MODELS = {
    "4M": sizes_of(256, 4, 4, 4, 704, 2048),
    "34M": sizes_of(512, 8, 8, 8, 1408, 8192),
    "124M": sizes_of(768, 12, 12, 4, 2048, 32000),
    "350M": sizes_of(1024, 24, 16, 4, 3072, 32000),
}


def key_of(case):
    """For a table in the order of sizes."""
    return (list(MODELS).index(case["size"]), *(case[key] for key in KEYS[1:]))


def flops_per_token(model, tokens):
    """As src/model/flops.h counts."""
    hidden = model["hidden_size"]
    kv = hidden // model["num_attention_heads"] * model["num_key_value_heads"]
    layer = 2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * model["intermediate_size"]
    layers = model["num_hidden_layers"]
    matrices = layers * layer + hidden * model["vocab_size"]
    return 6 * matrices, 6 * matrices + 6 * layers * hidden * (tokens + 1)


class Side:
    """A process that answers lines of JSON."""

    def __init__(self, name, command, threads):
        self.name, self.speeds = name, []
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=dict(os.environ, OMP_NUM_THREADS=str(threads)), cwd=ROOT)

    def ask(self, what, **details):
        self.process.stdin.write(json.dumps({"do": what} | details) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended: exit code {self.process.wait()}")
        return json.loads(line)

    def steps(self, count):
        return self.ask("steps", count=count)["step_s"]

    def block(self, count):
        self.speeds += [TOKENS_PER_STEP / seconds for seconds in self.steps(count)]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ours(how, case, folder):
    recipe = pathlib.Path(folder) / "recipe.json"  # JSON is YAML
    recipe.write_text(json.dumps({
        "method": "pipeline", "seed": 1, "output_dir": "none", "precision": case["precision"],
        "model": {"name": "llama"} | case["model"],
        "train": {"seq_len": case["seq"], "micro_batch_size": TOKENS_PER_STEP // case["seq"],
                  "global_batch_size": TOKENS_PER_STEP // case["seq"], "max_steps": 100000,
                  "clip_grad_norm": 1.0} | RECOMPUTE[case["size"]],
        "optimizer": {"name": "adamw", "lr": 3e-4, "betas": [0.9, 0.95], "weight_decay": 0.1},
        "lr_scheduler": {"name": "constant", "warmup_steps": 0},
        "data": {"sources": [{"path": "random.h5"}]}}, indent=1))
    return Side("ropewalk", [how.ropewalk, "bench", "train", recipe, "--random-data", "--serve"],
                case["threads"])


def peer(how, case, attention):
    return Side("pytorch", [
        sys.executable, ROOT / "benchmarks/peers/llama_torch.py", json.dumps(case["model"]),
        "--batch", TOKENS_PER_STEP // case["seq"], "--tokens", case["seq"], "--threads",
        case["threads"], "--precision", case["precision"], "--attention", attention],
                case["threads"])


def faster_attention(how, case):
    """The trial runs in processes of its own: the loser must not count in the winner's memory."""
    best = {}
    for attention in how.attention:
        side = peer(how, case, attention)
        side.steps(1)  # compiles
        best[attention] = min(side.steps(3))
        side.close()
    return min(best, key=best.get)


def warm_up(side):
    """Seconds of a step; the first compiles or plans. A slow one is not repeated for nothing."""
    side.first_s = side.steps(1)[0]
    if side.first_s < 60:
        side.first_s = side.steps(1)[0]


def take_turns(how, sides):
    count = max(1, min(5, int(10 / max(side.first_s for side in sides))))
    least = 2 if sides[-1].first_s < how.seconds else 1
    begin = time.monotonic()
    for turn in itertools.count():
        if turn >= least and (time.monotonic() - begin > how.seconds or turn == how.blocks):
            break
        for side in sides if turn % 2 == 0 else reversed(sides):
            side.block(count)


def measure(how, case):
    load = round(os.getloadavg()[0], 1)
    attention = how.attention[0] if len(how.attention) == 1 else faster_attention(how, case)
    matrices, everything = flops_per_token(case["model"], case["seq"])
    with tempfile.TemporaryDirectory() as folder:
        mine, theirs = sides = [ours(how, case, folder), peer(how, case, attention)]
        for side in reversed(sides):  # the peer first: it answers when it has started, which takes a core for seconds
            side.gemm = side.ask("gemm")["gemm_flops"]
        bound = theirs.gemm / matrices
        stepping = sides if TOKENS_PER_STEP / bound < how.peer_step_s else [mine]
        for side in stepping:
            warm_up(side)
            side.ask("reset_memory")
        take_turns(how, stepping)
        out = {key: case[key] for key in KEYS}
        recompute = RECOMPUTE[case["size"]]
        text = recompute.get("recompute", "none")
        if recompute.get("recompute_full_layers"):
            text += f", {recompute['recompute_full_layers']} full"
        out |= {"recompute": text, "attention": attention, "load_before": load}
        for side in sides:
            memory = side.ask("memory")
            median = statistics.median(side.speeds or [bound])
            out[side.name] = {
                "tokens_per_s": round(median, 1), "best": round(max(side.speeds, default=bound), 1),
                "steps": len(side.speeds), "gemm_gflops": round(side.gemm / 1e9, 1),
                "gemm_share": round(median * matrices / side.gemm, 3),
                "flops_share": round(median * everything / side.gemm, 3),
                "peak_bytes": memory["peak_bytes"], "base_bytes": memory["base_bytes"]}
            side.close()
    mine, theirs = out["ropewalk"], out["pytorch"]
    out["ratio"] = round(mine["tokens_per_s"] / theirs["tokens_per_s"], 3)
    out["ratio_best"] = round(mine["best"] / theirs["best"], 3)
    if theirs["steps"] > 0:
        out["memory_ratio"] = round(mine["peak_bytes"] / theirs["peak_bytes"], 3)
    return out


def command_output(*command):
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout.strip()


def environment():
    import torch
    with open("/proc/cpuinfo", encoding="ascii") as lines:
        text = lines.read()
    first = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in first.items()}
    flags = facts.get("flags", "").split()
    known = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"date": datetime.date.today().isoformat(), "cpu": facts.get("model name", platform.machine()),
            "cores": os.cpu_count(), "instructions": [one for one in known if one in flags],
            "memory_gib": round(memory, 1), "pytorch": torch.__version__, "python": platform.python_version(),
            "compiler": command_output("g++", "--version").split("\n")[0],
            "commit": command_output("git", "describe", "--always", "--dirty", "--abbrev=12")}


def markdown(result):
    where = result["environment"]
    lines = [
        "# Training beside PyTorch", "",
        f"`{result['command']}`, {where['date']}. {where['cores']} cores, "
        f"{where['cpu']} ({', '.join(where['instructions'])}), {where['memory_gib']} GiB; PyTorch "
        f"{where['pytorch']}, {where['compiler']}.", "",
        "tokens/s: median (best). GEMM: share of the step's products' own rate. Memory: peak MiB of the process.",
        "Recompute: ours; PyTorch's compiler makes its own choice. Load: of the machine before the case.", "",
        "| model | precision | threads | seq | recompute | ropewalk | GEMM | MiB | PyTorch | GEMM | MiB | attention | speed | memory | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for case in result["cases"]:
        cells = [case["size"], case["precision"], case["threads"], case["seq"], case.get("recompute", "none")]
        stepped = case["pytorch"]["steps"] > 0
        for name in ("ropewalk", "pytorch"):
            side = case[name]
            if side["steps"] > 0:
                cells += [f"{side['tokens_per_s']:.0f} ({side['best']:.0f})",
                          f"{100 * side['gemm_share']:.0f} %", f"{side['peak_bytes'] / 2**20:.0f}"]
            else:
                cells += [f"≤ {side['tokens_per_s']:.1f}", "", ""]
        cells += [case["attention"], f"**{'' if stepped else '≥ '}{case['ratio']:.2f}**",
                  f"{case['memory_ratio']:.2f}" if stepped else "", case["load_before"]]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ropewalk", type=pathlib.Path, default=ROOT / "build/cpu/ropewalk")
    parser.add_argument("--sizes", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--precisions", nargs="+", choices=["f32", "bf16"], default=["f32", "bf16"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seq", nargs="+", type=int, choices=[256, 2048], default=[256, 2048])
    parser.add_argument("--attention", nargs="+", choices=["sdpa", "written"],
                        default=["sdpa", "written"], help="of the peer; one alone needs no trial")
    parser.add_argument("--blocks", type=int, default=6, help="of each side in a case, at most")
    parser.add_argument("--seconds", type=float, default=90, help="of measuring in a case, about")
    parser.add_argument("--peer-step-s", type=float, default=300, help="a step of the peer that is not waited for")
    parser.add_argument("--quick", action="store_true", help="34M, f32, 2 threads, seq 256")
    parser.add_argument("--keep", action="store_true", help="cases of the results that this run does not measure")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "benchmarks/results/train_bench",
                        help="without .json and .md")
    how = parser.parse_args()
    how.ropewalk = how.ropewalk.resolve()
    if how.quick:
        how.sizes, how.precisions, how.threads, how.seq = ["34M"], ["f32"], [2], [256]
    result = {"command": " ".join(["python benchmarks/train_bench.py"] + sys.argv[1:]),
              "environment": environment(), "cases": []}
    for values in itertools.product(how.sizes, how.seq, how.precisions, how.threads):
        case = dict(zip(KEYS, values))
        done = measure(how, case | {"model": MODELS[case["size"]]})
        done |= {key: result["environment"][key] for key in ("date", "commit")}
        print(json.dumps(done), file=sys.stderr, flush=True)
        earlier = result["cases"]
        if how.keep and how.out.with_suffix(".json").exists():
            earlier = json.loads(how.out.with_suffix(".json").read_text())["cases"]
        result["cases"] = sorted([one for one in earlier if key_of(one) != key_of(done)] + [done], key=key_of)
        how.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
        how.out.with_suffix(".md").write_text(markdown(result))
    print(markdown(result), end="")


if __name__ == "__main__":
    main()
