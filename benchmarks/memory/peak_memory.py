#!/usr/bin/env python3
"""Predicted against measured peak memory: `ropewalk check` beside three steps of `ropewalk train`, for eleven recipes.

  benchmarks/memory/peak_memory.py [--binary build/cpu/ropewalk] [--out benchmarks/results/memory_cpu.json] [NAME …]

Every recipe is recipes/llama_34m.yaml or a larger one with overrides. The measure is mem_model_peak_bytes of the third
step (docs/formats/metrics.md): VmHWM less what the process held before its model was built; with several ranks as
threads, of the process that holds them all. Prints a table, writes it as JSON, exits 1 when any is off by 5 % or more.
With NAMEs, the other cases of --out stay as they are. Needs about 7 GiB of memory, 6 GB of disk in the
folder for temporary files, and some minutes. Standard library only.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT_PCT = 5.0

# name: recipe, overrides
CASES = {
    "plain": ("llama_34m", []),
    "selective": ("llama_34m", ["train.recompute=selective"]),
    "full, long": ("llama_34m", ["train.recompute=full", "train.seq_len=2048", "train.micro_batch_size=1",
                                 "train.global_batch_size=2"]),
    "dp 2": ("llama_34m", ["parallel.dp=2", "train.micro_batch_size=4"]),
    "dp 2, ZeRO-1": ("llama_34m", ["parallel.dp=2", "parallel.zero=1", "train.micro_batch_size=4"]),
    "bf16": ("llama_34m", ["precision=bf16"]),
    "pp 2, 1f1b": ("llama_34m", ["parallel.pp=2", "train.micro_batch_size=2"]),
    "pp 2, gpipe, full": ("llama_34m", ["parallel.pp=2", "train.micro_batch_size=2", "pipeline.schedule=gpipe",
                                        "train.recompute=full"]),
    "dp 2, pp 2, zero bubble": ("llama_34m", ["parallel.dp=2", "parallel.pp=2", "train.micro_batch_size=1",
                                              "pipeline.schedule=zero_bubble", "train.recompute=selective"]),
    "124 M, tied": ("llama_124m", ["train.seq_len=512", "train.micro_batch_size=1", "train.global_batch_size=1"]),
    "350 M, full, long": ("llama_350m", ["train.global_batch_size=1"]),
}


def build_corpus(binary, folder):
    """Bytes of this repository's documents: what the text is does not matter."""
    text = "".join(path.read_text() for path in sorted(ROOT.glob("docs/**/*.md")))
    (folder / "text.txt").write_text(text)
    subprocess.run([binary, "data", "build", "--tokenizer", "bytes", "--out", folder / "corpus.h5",
                    folder / "text.txt"], check=True, stdout=subprocess.DEVNULL)
    return folder / "corpus.h5"


def measure(binary, recipe, overrides, folder, corpus):
    words = [str(ROOT / "recipes" / f"{recipe}.yaml"), f"output_dir={folder}/run", "train.max_steps=3",
             "data.sources=[{path: " + str(corpus) + "}]", "checkpoint.interval=0",
             "lr_scheduler.name=constant", "lr_scheduler.warmup_steps=0", "watchdog.init_s=3600",
             "watchdog.step_s=3600", *overrides]
    checked = subprocess.run([binary, "check", *words, "--json"], check=False, capture_output=True, text=True)
    if checked.returncode != 0:
        sys.exit(checked.stderr)
    facts = json.loads(checked.stdout)
    begin = time.monotonic()
    subprocess.run([binary, "train", *words, "--overwrite"], check=True, stdout=subprocess.DEVNULL)
    records = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    shutil.rmtree(folder / "run")
    parts = {}
    for rank in facts["memory_per_rank"]:
        for what, count in rank["parts"].items():
            parts[what] = parts.get(what, 0) + count
    return {"recipe": recipe, "overrides": overrides, "parameters": facts["parameters"],
            "predicted_bytes": facts["memory_process_bytes"], "measured_bytes": records[-1]["mem_model_peak_bytes"],
            "parts": parts, "losses": [record["loss"] for record in records], "seconds": time.monotonic() - begin}


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--binary", default=str(ROOT / "build/cpu/ropewalk"))
    options.add_argument("--out", default=str(ROOT / "benchmarks/results/memory_cpu.json"))
    options.add_argument("names", nargs="*", help="some of the cases: " + ", ".join(CASES))
    asked = options.parse_args()
    out = pathlib.Path(asked.out)
    results = json.loads(out.read_text())["cases"] if asked.names and out.exists() else {}
    print(f"{'case':<26} {'predicted':>10} {'measured':>10} {'off':>7}   MiB")
    with tempfile.TemporaryDirectory(prefix="ropewalk-memory-") as name:
        folder = pathlib.Path(name)
        corpus = build_corpus(asked.binary, folder)
        for case in asked.names or CASES:
            result = measure(asked.binary, *CASES[case], folder, corpus)
            off = result["off_pct"] = 100 * (result["predicted_bytes"] / result["measured_bytes"] - 1)
            results[case] = result
            print(f"{case:<26} {result['predicted_bytes'] / 2**20:>10.1f} {result['measured_bytes'] / 2**20:>10.1f} "
                  f"{off:>+6.1f}%   " + ", ".join(f"{k} {v / 2**20:.0f}" for k, v in sorted(result["parts"].items())),
                  flush=True)
    worst = max(abs(result["off_pct"]) for result in results.values())
    out.write_text(json.dumps(
        {"machine": platform.machine(), "cores": os.cpu_count(), "worst_off_pct": worst, "cases": results}, indent=1) + "\n")
    print(f"worst: {worst:.1f} %, limit {LIMIT_PCT} %")
    return 0 if worst < LIMIT_PCT else 1


if __name__ == "__main__":
    sys.exit(main())
