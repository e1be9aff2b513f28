#!/usr/bin/env python3
"""Training across a slow link: two ranks in two network namespaces, joined by a veth pair that `tc tbf` holds to 1 Gbit/s.

One command, as root: benchmarks/network/run.py. Needs build/cpu/ropewalk and the target network_tool (built when it is not
there), ip, tc, mpirun. Takes about eight minutes on an idle machine with two cores and removes its namespaces, also when it is
stopped. Measures, with one thread a rank and the 34 million parameters of recipes/llama_34m.yaml:

- two replicas, one micro-batch of 8 x 256 tokens each: how much of a step the sum of gradients adds, from the end of the last
  backward of any replica to the end of the sum, with f32 and bf16 on the wire, and with the optimizer sharded (ZeRO-1); beside
  it how long a replica waits in the mean, which includes waiting for the slower replica's backward;
- two stages, every planner: the time of a step against the one that `simulate` predicts from the costs of single operations
  and from the measured link, and bubbles both ways. A step is measured against the mean of two predictions, from the costs of
  the step before it and of the one after it: a machine that gets faster or slower meanwhile does so for all three. (Not one
  prediction from the mean of their costs: a step ends with its slowest rank, and the slower of two means is less than the mean
  of the slower ones.) Ratios of single steps, medians.

The text is English (scripts/first_corpus.sh): which rows of the embedding have gradients depends on it.

Writes benchmarks/results/network_<link>.json and .md.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time

from hosts import VethPair, call, needs_root
from traces import PASSES, end_of, of_ranks

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLANNERS = ("gpipe", "1f1b", "interleaved", "zero_bubble")
SEQ_LEN = 256
HIDDEN = 512
MODEL = ("{name: llama, hidden_size: 512, num_hidden_layers: 8, num_attention_heads: 8, intermediate_size: 1408,"
         " vocab_size: 8192}")
WARM_UP = 2     # steps that nobody looks at


def english(ropewalk, folder):
    """The first corpus: 4096 of the model's 8192 tokens occur."""
    call("bash", ROOT / "scripts/first_corpus.sh", ropewalk, folder, stdout=subprocess.DEVNULL)
    return folder / "first_run.h5"


def train(network, args, corpus, name, steps, rows, keys):
    """Runs a job; returns (metrics per step, per rank the trace's operations per step)."""
    out = pathlib.Path(network.folder.name, name)
    recipe = pathlib.Path(network.folder.name, name + ".yaml")
    recipe.write_text(f"method: pipeline\nseed: 1\noutput_dir: {out}\nmodel: {MODEL}\n"
                      f"train: {{seq_len: {SEQ_LEN}, micro_batch_size: {rows[0]}, global_batch_size: {rows[1]},"
                      f" max_steps: {steps}}}\noptimizer: {{name: adamw, lr: 1.0e-4}}\n"
                      f"data: {{sources: [{{path: {corpus}}}]}}\ncheckpoint: {{interval: 0}}\n"
                      "log: {trace: true, tensorboard: false}\n")
    network.mpirun(args.binary, "train", recipe, *keys, timeout=args.timeout, stdout=subprocess.DEVNULL)
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return metrics, of_ranks(out, 2)


def span(ranks, step):
    """(begin of the first operation, begin of the last rank's update, end of the last update) of a step."""
    updates = [ops[step][-1] for ops in ranks]
    return (min(ops[step][0]["begin"] for ops in ranks), max(op["begin"] for op in updates), max(map(end_of, updates)))


def added_share(ranks, step):
    """Share of a step between the end of the last backward of any rank and the end of the last sum."""
    begin, _, end = span(ranks, step)
    last = {name: max(end_of(op) for ops in ranks for op in ops[step] if op["name"] == name) for name in ("backward", "reduce")}
    return (last["reduce"] - last["backward"]) / (end - begin)


def waits_share(ranks, step, name):
    """Share of a step in which a rank waits: for sums of gradients (reduce) or, sharded, for values; mean of the ranks."""
    begin, _, end = span(ranks, step)
    waits = [sum(op["seconds"] for op in ops[step] if op["name"] == name) for ops in ranks]
    return statistics.mean(waits) / (end - begin)


def replicas(network, args, corpus, wire, zero):
    keys = ["parallel.dp=2", f"parallel.reduce_dtype={wire}", f"parallel.zero={zero}"]
    metrics, ranks = train(network, args, corpus, f"dp-{wire}-{zero}", WARM_UP + args.dp_steps, (8, 16), keys)
    steps = range(WARM_UP, len(ranks[0]))
    step_s = statistics.median(span(ranks, i)[2] - span(ranks, i)[0] for i in steps)
    update_s = statistics.median(ops[i][-1]["seconds"] for ops in ranks for i in steps)
    return {"reduce_dtype": wire, "zero": int(zero), "steps": len(steps), "step_s": step_s,
            "exposed_share": statistics.median(added_share(ranks, i) for i in steps),
            "waits_share": statistics.median(waits_share(ranks, i, "reduce") for i in steps),
            "values_share": statistics.median(waits_share(ranks, i, "values") for i in steps), "update_s": update_s,
            "step_ms_of_metrics": statistics.median(record["step_ms"] for record in metrics[WARM_UP:])}


def mean_cost(ranks, step, name, stage):
    times = [op["seconds"] for ops in ranks for op in ops[step] if op["name"] == name and op["stage"] == stage]
    return statistics.mean(times) if times else 0.0


def costs_from(ranks, step, planner, link, stages):
    """What simulate wants, from the operations of a step."""
    whole = [mean_cost(ranks, step, "backward", stage) for stage in range(stages)]
    inputs = [mean_cost(ranks, step, "backward_input", stage) for stage in range(stages)]
    return {"schedule": planner, "pp": 2, "chunks": stages // 2, "transfer": link["latency_s"], "message": link["message_s"],
            "forward": [mean_cost(ranks, step, "forward", stage) for stage in range(stages)],
            "backward_input": [a + b for a, b in zip(whole, inputs)],
            "backward_weight": [mean_cost(ranks, step, "backward_weight", stage) for stage in range(stages)]}


def bubble(ranks, step):
    """Idle share up to the update."""
    begin, update, _ = span(ranks, step)
    busy = sum(op["seconds"] for ops in ranks for op in ops[step] if op["name"] in PASSES)
    return 1 - busy / (2 * (update - begin))


def predict(args, ranks, step, planner, link):
    """(seconds of a step, mean bubble) from the costs of `step`."""
    stages = 4 if planner == "interleaved" else 2
    costs = {**costs_from(ranks, step, planner, link, stages), "micro_batches": args.micro_batches}
    said = json.loads(call(args.tool, "predict", input=json.dumps(costs), stdout=subprocess.PIPE).stdout)
    return said["makespan"] + span(ranks, step)[2] - span(ranks, step)[1], said["mean_bubble"]


def pipeline(network, args, corpus, planner, link):
    keys = ["parallel.pp=2", f"pipeline.schedule={planner}"]
    steps = WARM_UP + args.pp_steps + 2
    _, ranks = train(network, args, corpus, planner, steps, (1, args.micro_batches), keys)
    took = {i: span(ranks, i)[2] - span(ranks, i)[0] for i in range(WARM_UP, steps)}
    said = {i: predict(args, ranks, i, planner, link) for i in took}
    inner = list(took)[1:-1]
    around = {i: statistics.mean((said[i - 1][0], said[i + 1][0])) for i in inner}
    errors = [took[i] / around[i] - 1 for i in inner]
    return {"planner": planner, "steps": len(inner), "predicted_s": statistics.median(around.values()),
            "measured_s": statistics.median(took[i] for i in inner), "error": statistics.median(errors),
            "error_quartiles": statistics.quantiles(errors, n=4)[::2],
            "error_with_costs_of_the_same_steps": statistics.median(took[i] / said[i][0] - 1 for i in inner),
            "bubble_predicted": statistics.median(said[i][1] for i in inner),
            "bubble_measured": statistics.median(bubble(ranks, i) for i in inner)}


def slow_link(result):
    """What is wrong with the link, "" when it is what was asked for: on a busy machine the kernel itself falls behind."""
    units = {"gbit": 1e9, "mbit": 1e6, "kbit": 1e3}
    number, unit = result["rate"][:-4], result["rate"][-4:]
    if unit not in units or result["link"]["bytes_per_s"] * 8 >= 0.85 * float(number) * units[unit]:
        return ""
    return (f"The link gave {result['link']['bytes_per_s'] / 1e6:.1f} MB/s instead of {result['rate']}: the machine was not"
            " quiet, the figures below mean little.")


def table(result):
    link = result["link"]
    lines = [f"# Training across {result['rate']}", "",
             f"{result['machine']}, {result['cores']} cores, load {result['load_before']:.1f} before the run. 34 M parameters,"
             f" one thread a rank. Link: {link['latency_s'] * 1e6:.0f} us, {link['bytes_per_s'] / 1e6:.1f} MB/s. Made by"
             " `benchmarks/network/run.py`.", "", *([slow_link(result), ""] if slow_link(result) else []),
             "## Two replicas, one micro-batch of 8 x 256 each", "",
             "| wire | optimizer | step | sums add | a replica waits for them | for values | update |", "|---|---|---|---|---|---|---|"]
    for one in result["replicas"]:
        lines.append(f"| {one['reduce_dtype']} | {'sharded' if one['zero'] else 'whole'} | {one['step_s']:.3f} s"
                     f" | {100 * one['exposed_share']:.1f} % | {100 * one['waits_share']:.1f} % | {100 * one['values_share']:.1f} % | {one['update_s'] * 1e3:.0f} ms |")
    lines += ["", f"## Two stages, {result['micro_batches']} micro-batches of 1 x 256", "",
              "| planner | predicted | measured | error (quartiles) | with costs of the same steps | bubble predicted | measured |",
              "|---|---|---|---|---|---|---|"]
    for one in result["pipelines"]:
        lines.append(f"| {one['planner']} | {one['predicted_s']:.3f} s | {one['measured_s']:.3f} s | {100 * one['error']:+.1f} %"
                     f" ({', '.join(f'{100 * each:+.1f}' for each in one['error_quartiles'])})"
                     f" | {100 * one['error_with_costs_of_the_same_steps']:+.1f} % | {100 * one['bubble_predicted']:.1f} %"
                     f" | {100 * one['bubble_measured']:.1f} % |")
    return "\n".join(lines) + "\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--binary", default=ROOT / "build/cpu/ropewalk")
    parser.add_argument("--tool", default=ROOT / "build/cpu/network_tool")
    parser.add_argument("--rate", default="1gbit", help="of tc tbf; none: an unshaped link")
    parser.add_argument("--dp-steps", type=int, default=10)
    parser.add_argument("--pp-steps", type=int, default=20)
    parser.add_argument("--micro-batches", type=int, default=4)
    parser.add_argument("--planners", default=",".join(PLANNERS))
    parser.add_argument("--replicas", default="f32:0,bf16:0,f32:1", help="wire:zero, …; empty: none")
    parser.add_argument("--keep", action="store_true", help="the part of earlier results that this run leaves out")
    parser.add_argument("--timeout", type=float, default=150, help="seconds a job may take")
    parser.add_argument("--out", help="results without ending; default benchmarks/results/network_<rate>")
    return parser.parse_args()


def main():
    args = arguments()
    needs_root("benchmarks/network/run.py")
    if not pathlib.Path(args.tool).exists():
        call("cmake", "--build", ROOT / "build/cpu", "--target", "network_tool", stdout=subprocess.DEVNULL)
    begin = time.monotonic()
    result = {"rate": args.rate, "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
              "load_before": os.getloadavg()[0], "micro_batches": args.micro_batches}
    with contextlib.suppress(OSError):
        names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
        result["machine"] = names[0] if names else result["machine"]
    with VethPair(args.rate) as network:
        corpus = english(args.binary, pathlib.Path(network.folder.name))
        result["link"] = json.loads(network.mpirun(args.tool, "link", SEQ_LEN * HIDDEN * 4, timeout=args.timeout))
        result["replicas"] = [replicas(network, args, corpus, *one.split(":"))
                              for one in args.replicas.split(",") if one]
        result["pipelines"] = [pipeline(network, args, corpus, planner, result["link"])
                               for planner in args.planners.split(",") if planner]
    result["seconds"] = time.monotonic() - begin
    out = args.out or ROOT / "benchmarks/results" / f"network_{args.rate}"
    if args.keep:
        earlier = json.loads(pathlib.Path(f"{out}.json").read_text())
        result |= {part: earlier[part] for part in ("replicas", "pipelines") if not result[part]}
    pathlib.Path(f"{out}.json").write_text(json.dumps(result, indent=2) + "\n")
    pathlib.Path(f"{out}.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
