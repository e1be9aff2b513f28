#!/usr/bin/env python3
"""SkipPipe plans on a shaped network: 8 ranks in 8 network namespaces, two to a site, joined by a switch that delays frames by
pair of sites; `tc tbf` holds each rank to a rate.

One command, as root: benchmarks/network/skippipe.py. Needs build/cpu/ropewalk and the targets network_tool and tap_switch
(built when they are not there), ip, tc, mpirun, /dev/net/tun. Takes about half an hour on two cores and removes its
namespaces, also when it is stopped. The arithmetic is real (a small LLaMA); an operation that has computed waits until the time
is over that a rank of the problem takes (pipeline.emulate), so that two cores do not decide the result.

- table: the classic planners, the best full pipeline that the planner finds (stage sizes free), and SkipPipe at 33 % and 50 %
  skip, with collision avoidance (the planner's plan) and without (paths by cost, first come first served); all with the same
  number of micro-batches. Time from the first forward of any rank to the end of the last backward, planned and measured; the
  reduction is not in it.
- straggler: a rank gets slower by a factor in the middle of a run; the plan that takes over, beside what the planner says is
  possible.

Writes benchmarks/results/skippipe_network.json and .md after each part. All runs stay in the work folder (--work), and with
them side_by_side.html, the page of `ropewalk report` over those of the table.
"""
import argparse
import contextlib
import functools
import json
import os
import pathlib
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from hosts import Switched, call, needs_root
from plans import STAGES, Machine, Planner, without_avoidance
from traces import of_ranks, passes_s

ROOT = pathlib.Path(__file__).resolve().parents[2]
SITES = (0, 0, 1, 1, 2, 2, 3, 3)  # of the ranks
DELAY_MS = ((1, 8, 14, 20), (8, 1, 10, 16), (14, 10, 1, 12), (20, 16, 12, 1))
RANKS = len(SITES)
HIDDEN, SEQ_LEN, ROWS, LAYERS = 64, 64, 2, 24
MODEL = (f"{{name: llama, hidden_size: {HIDDEN}, num_hidden_layers: {LAYERS}, num_attention_heads: 4,"
         " intermediate_size: 128, vocab_size: 512}")
MESSAGE_BYTES = ROWS * SEQ_LEN * HIDDEN * 4
PATIENCE_MS = 1  # pipeline.patience_ms, as recipes have it when they say nothing
WARM_UP = 3  # steps that nobody looks at
SKIPS = {33: 4, 50: 3}  # percent of six stages that are left out: nodes of a path
CLASSIC = ("gpipe", "1f1b", "zero_bubble")
PARTS = ("table", "planned", "straggler")
SHAPES = ((8, 1), (4, 2))  # of the classic planners: stages, replicas


class Bench:
    def __init__(self, args, network):
        self.args, self.network = args, network
        self.links, self.network_figures = check_network(network, args)
        self.folder = args.work
        self.planner = Planner(args.binary, self.folder)
        self.corpus = self.make_corpus()
        self.jobs = 0
        self.table_runs = []  # folders, in the order of the table

    def machine(self, memory):
        return Machine(self.args.forward_s, self.links["message_s"], memory, self.args.micro_batches)

    @functools.cache
    def plans(self, memory):
        """By percent of skip: (problem, solution); "last": of the full pipeline with its loss on the last node."""
        best = functools.partial(self.planner.best, self.machine(memory), short_s=self.args.short_s, long_s=self.args.plan_s)
        out = {skip: best(length) for skip, length in {0: STAGES, **SKIPS}.items()}
        return out | {"last": best(STAGES, loss_at="last")}

    def make_corpus(self):
        text, corpus = self.folder / "text.txt", self.folder / "corpus.h5"
        letters = random.Random(1)
        text.write_text(" ".join("".join(letters.choices("abcdefghij", k=5)) for _ in range(50_000)))
        call(self.args.binary, "data", "build", "--tokenizer", "bytes", "--out", corpus, text, stdout=subprocess.DEVNULL,
             stderr=subprocess.DEVNULL)
        return corpus

    def write(self, name, value):
        path = self.folder / f"{name}-{self.jobs}.json"
        path.write_text(json.dumps(value))
        return path

    def train(self, name, steps, problem, *keys, shape=(RANKS, 1), report=None):
        """Runs a job that plays the times of `problem`; its folder."""
        self.jobs += 1
        folder = f"{self.jobs:02}-{name}"
        out, recipe = self.folder / folder, self.folder / f"{folder}.yaml"
        recipe.write_text(f"method: pipeline\nseed: 1\noutput_dir: {out}\nmodel: {MODEL}\n"
                          f"train: {{seq_len: {SEQ_LEN}, micro_batch_size: {ROWS},"
                          f" global_batch_size: {ROWS * self.args.micro_batches}, max_steps: {steps}}}\n"
                          f"optimizer: {{name: adamw, lr: 1.0e-3}}\ndata: {{sources: [{{path: {self.corpus}}}]}}\n"
                          "checkpoint: {interval: 0}\nlog: {trace: true, tensorboard: false, timeline_interval: 1}\n")
        self.network.mpirun(self.args.binary, "train", recipe, "pipeline.emulate=true",
                            f"pipeline.problem={self.write('problem', problem)}", f"parallel.pp={shape[0]}",
                            f"parallel.dp={shape[1]}", *keys, timeout=self.args.timeout, stdout=subprocess.DEVNULL,
                            ranks=shape[0] * shape[1])
        for part in ("checkpoints", "final"):  # 17 MB that nobody reads
            shutil.rmtree(out / part, ignore_errors=True)
        if report:
            call(self.args.binary, "report", out, "--out", report, stdout=subprocess.DEVNULL)
        return out

    def price(self, out, problem):
        """What simulate says of a job's plan, and how many micro-batches a rank holds at most."""
        return json.loads(call(self.args.tool, "price", out / "plan/plan.json", self.write("price", problem),
                               stdout=subprocess.PIPE).stdout)

    def measured(self, out):
        """(median, lowest, highest) of the measured steps."""
        ranks = of_ranks(out, RANKS)
        times = [passes_s(ranks, step) for step in range(WARM_UP, len(ranks[0]))]
        return statistics.median(times), min(times), max(times)

    def row(self, name, out, predicted_s, memory, **more):
        self.table_runs.append(out)
        losses = [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]
        median, low, high = self.measured(out)
        row = {"plan": name, **more, "memory": memory, "predicted_s": predicted_s, "measured_s": median, "lowest_s": low,
               "highest_s": high, "error": median / predicted_s - 1, "steps": len(losses) - WARM_UP,
               "first_loss": losses[0], "last_loss": losses[-1]}
        print(f"{name}: predicted {predicted_s:.3f} s, measured {median:.3f} s ({low:.3f} to {high:.3f}),"
              f" {100 * row['error']:+.1f} %", flush=True)
        return row

    def classic(self, machine, schedule, shape):
        problem = machine.classic_times(shape[0], RANKS)
        out = self.train(f"{schedule}-{shape[0]}x{shape[1]}", WARM_UP + self.args.steps, problem,
                         f"pipeline.schedule={schedule}", shape=shape)
        said = self.price(out, problem)
        sizes = f"{shape[0]} stages x {shape[1]}"
        memory = max(said["held"]) * STAGES / shape[0]  # in stages of a sixth of the model
        return self.row(schedule, out, said["makespan_s"], memory, sizes=sizes, skip_percent=0)

    def walks(self, name, problem, solution, skip, *, patience_ms=-1, report=None):
        memory = max(node["memory_micro_batches"] for node in problem["nodes"])
        out = self.train(folder_name(name, skip, memory), WARM_UP + self.args.steps, problem, *self.plan_keys(solution),
                         f"pipeline.patience_ms={patience_ms}", report=report)
        return self.row(name, out, solution["makespan_s"], memory, sizes=problem["stage_sizes"], skip_percent=skip)

    def plan_keys(self, solution):
        return ["pipeline.schedule=skippipe", f"pipeline.solution={self.write('solution', solution)}"]

    def side_by_side(self):
        """The page over the runs of the table; None when there are none."""
        if not self.table_runs:
            return None
        page = self.folder / "side_by_side.html"
        call(self.args.binary, "report", *self.table_runs, "--out", page, stdout=subprocess.DEVNULL)
        return page


def work_folder(wanted):
    """The folder of that name, made; without a name a new one that stays."""
    if wanted is None:
        return pathlib.Path(tempfile.mkdtemp(prefix="ropewalk-skippipe-"))
    folder = pathlib.Path(wanted).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"benchmarks/network/skippipe.py: --work: got {wanted}, which is not empty, want a new or empty folder")
    return folder


def folder_name(plan, skip, memory):
    """Of a run: ("skippipe, patience 1 ms", 33, 3) -> "skippipe-patience-1-ms-skip-33-memory-3"."""
    return "-".join([*plan.replace(",", "").split(), f"skip-{skip}-memory-{memory}"])


def table_rows(bench, plans):
    rows = [bench.classic(bench.machine(bench.args.memories[0]), schedule, shape) for schedule in CLASSIC for shape in SHAPES]
    for memory in bench.args.memories:
        rows += walk_rows(bench, plans(memory))
    return rows


def walk_rows(bench, plans):
    full = bench.walks("full, best stage sizes", *plans[0], 0)
    rows = [full, bench.walks("full, loss on the last node", *plans["last"], 0)]
    for skip in SKIPS:
        problem, solution = plans[skip]
        plain = without_avoidance(problem, solution["arrangement"])
        rows.append(bench.walks("skippipe without avoidance", problem, plain, skip))
        rows.append(bench.walks("skippipe", problem, solution, skip, report=bench.args.report if skip == 33 else None))
        rows.append(bench.walks(f"skippipe, patience {PATIENCE_MS} ms", problem, solution, skip, patience_ms=PATIENCE_MS))
    for row in rows:
        row["less_than_full"] = 1 - row["measured_s"] / full["measured_s"]
        row["less_than_full_predicted"] = 1 - row["predicted_s"] / full["predicted_s"]
    return rows


def planned_only(bench, plans):
    """What changes when the loss of the full pipeline is on its last node, as planned."""
    out = []
    for memory in bench.args.memories:
        best = plans(memory)
        last = best["last"]
        full = best[0][1]["makespan_s"]
        out.append({"memory": memory, "full_s": full, "full_loss_at_last_s": last[1]["makespan_s"],
                    **{f"skip_{skip}_s": best[skip][1]["makespan_s"] for skip in SKIPS},
                    **{f"less_{skip}": 1 - best[skip][1]["makespan_s"] / full for skip in SKIPS},
                    **{f"less_{skip}_loss_at_last": 1 - best[skip][1]["makespan_s"] / last[1]["makespan_s"]
                       for skip in SKIPS}})
        print(out[-1], flush=True)
    return out


def predicted_of(line):
    """When the plan in use in a recorded step ends."""
    return max(op[6] for rank in line["ranks"] for op in rank["operations"] if op[0] != "reduce")


def straggler(bench, problem, solution):
    """A rank that is no source is slowed from step `slow_from` on; the run re-plans by itself."""
    args = bench.args
    arrangement = solution["arrangement"]
    visits = {node: sum(node in one["path"] for one in solution["micro_batches"]) for group in arrangement[1:] for node in group}
    slow = max(visits, key=lambda node: (visits[node], -node))
    out = bench.train("straggler", args.straggler_steps, problem, *bench.plan_keys(solution), "pipeline.replan_share=0.25",
                      f"pipeline.emulate_slow=[{slow}, {args.slow_from}, {args.slow_factor}]")
    ranks = of_ranks(out, RANKS)
    times = [passes_s(ranks, step) for step in range(len(ranks[0]))]  # times[i]: step i + 1
    lines = {line["step"]: predicted_of(line) for line in map(json.loads, (out / "plan/timeline.jsonl").open())}
    notes = [line.split("a new plan takes over from step ")[1].split(" ")[0]
             for line in (out / "log/rank-0.txt").read_text().splitlines() if "a new plan takes over" in line]
    taken = [int(step) for step in notes]
    slowed = {**problem, "nodes": [dict(node) for node in problem["nodes"]]}
    slowed["nodes"][slow]["forward_s"] *= args.slow_factor
    fixed = bench.planner.solve({**slowed, "arrangement": arrangement}, 2, start=solution)
    kept = bench.price(out, slowed)["makespan_s"]
    moved = bench.planner.solve(slowed, args.plan_s)
    before = times[WARM_UP:args.slow_from - 1]
    during = times[args.slow_from - 1:taken[0] - 1 if taken else None]
    after = times[taken[-1] - 1:] if taken else []
    result = {"rank": slow, "visits": visits[slow], "from_step": args.slow_from, "factor": args.slow_factor,
              "new_plans_from_steps": taken, "planned_before_s": solution["makespan_s"],
              "measured_before_s": statistics.median(before), "old_plan_on_slow_rank_s": kept,
              "measured_during_s": statistics.median(during), "possible_same_arrangement_s": fixed["makespan_s"],
              "possible_any_arrangement_s": moved["makespan_s"],
              "plan_in_use_s": lines[max(lines)], "measured_after_s": statistics.median(after) if after else None,
              "steps_after": len(after), "measured_steps_s": times,
              "predicted_steps_s": [lines.get(i + 1) for i in range(len(times))]}
    print({key: value for key, value in result.items() if not key.endswith("steps_s")}, flush=True)
    return result


def check_network(network, args):
    """Measures every ordered pair; (what was measured, how far that is from what was asked for)."""
    links = json.loads(network.mpirun(args.tool, "links", MESSAGE_BYTES, timeout=args.timeout))
    wanted = MESSAGE_BYTES / args.rate_bytes
    pairs = [(a, b) for a in range(RANKS) for b in range(RANKS) if a != b]
    late = [links["latency_s"][a][b] - delay_s(a, b) for a, b in pairs]
    sending = [links["message_s"][a][b] - links["latency_s"][a][b] for a, b in pairs]
    if min(sending) <= 0 or min(late) <= 0:
        raise RuntimeError(f"links: got messages that take {1e3 * min(sending):.2f} ms beyond a latency, and latencies"
                           f" {1e3 * min(late):.2f} ms over their delay; want both above 0: try again on a quiet machine")
    return links, {"asked_rate_bytes_per_s": args.rate_bytes, "message_bytes": MESSAGE_BYTES,
                   "latency_over_asked_s": [min(late), statistics.median(late), max(late)],
                   "sending_asked_s": wanted, "sending_s": [min(sending), statistics.median(sending), max(sending)]}


def delay_s(a, b):
    return 0 if a == b else DELAY_MS[SITES[a]][SITES[b]] * 1e-3


def table(result):
    net, rows = result["network"], result["rows"]
    disturbed = net["latency_over_asked_s"][1] > 2e-3 or abs(net["sending_s"][1] / net["sending_asked_s"] - 1) > 0.15
    ms = [1e3 * s for s in (*net["latency_over_asked_s"], *net["sending_s"])]
    lines = ["# SkipPipe plans on a shaped network", "",
             f"{result['machine']}, {result['cores']} cores, load {result['load_before']:.1f} before the run. Made by"
             " `benchmarks/network/skippipe.py`.", "",
             f"8 ranks in 8 network namespaces, two to a site. Delay between sites {min(map(min, DELAY_MS))} to"
             f" {max(map(max, DELAY_MS))} ms (TAP switch), {net['asked_rate_bytes_per_s'] / 1e6:g} MB/s a rank (tc tbf), messages of"
             f" {net['message_bytes'] / 1024:.0f} KiB: measured latencies {ms[0]:.2f} to {ms[2]:.2f} ms (median {ms[1]:.2f}) over the"
             f" delay asked for; a message takes {ms[3]:.1f} to {ms[5]:.1f} ms (median {ms[4]:.1f}) beyond that,"
             f" {1e3 * net['sending_asked_s']:.1f} at the rate asked for."
             + (" **The network was disturbed: the figures below mean little.**" if disturbed else ""), "",
             f"Six stages, {result['micro_batches']} micro-batches; a forward takes {1e3 * result['forward_s']:.0f} ms, a backward 2 and the"
             " loss 0.25 of that. The classic planners cut the same model into 8 or 4 stages and hold as much as they need. Memory:"
             " micro-batches held at most, in sixths of the model; equal on all ranks but for the classic planners. Median of"
             f" {rows[0]['steps']} steps. Times are from the first forward of any rank to the end of the last backward, without the"
             " reduction. Ranks keep the planned order, but for the rows with a patience.", "",
             "| plan | stage sizes | skip | memory | planned | measured | off | range | less than full, equal memory |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        sizes = row["sizes"] if isinstance(row["sizes"], str) else " ".join(map(str, row["sizes"]))
        lines.append(f"| {row['plan']} | {sizes} | {row['skip_percent']} % | {row['memory']:g} | {row['predicted_s']:.3f} s |"
                     f" {row['measured_s']:.3f} s | {100 * row['error']:+.1f} % | {row['lowest_s']:.3f} to {row['highest_s']:.3f} |"
                     + (f" {100 * row['less_than_full']:.1f} % |" if row.get("less_than_full") else " |"))
    if "planned_only" in result:
        lines += ["", "## Planned only", "", "| memory | full | loss on the last node | 33 % | 50 % | less than full | than with the"
                  " loss on the last node |", "|---|---|---|---|---|---|---|"]
        for one in result["planned_only"]:
            lines.append(f"| {one['memory']} | {one['full_s']:.3f} s | {one['full_loss_at_last_s']:.3f} s | {one['skip_33_s']:.3f} s |"
                         f" {one['skip_50_s']:.3f} s | {100 * one['less_33']:.0f} %, {100 * one['less_50']:.0f} % |"
                         f" {100 * one['less_33_loss_at_last']:.0f} %, {100 * one['less_50_loss_at_last']:.0f} % |")
    if "straggler" in result:
        lines += straggler_lines(result["straggler"])
    return "\n".join(lines) + "\n"


def straggler_lines(one):
    after = one["measured_after_s"]
    return ["", "## A rank gets slower", "",
            f"33 % skip; rank {one['rank']} (no source, {one['visits']} visits) takes {one['factor']} times as long from step"
            f" {one['from_step']} on. New plans took over from steps {', '.join(map(str, one['new_plans_from_steps'])) or 'none'}.", "",
            "| | planned | measured |", "|---|---|---|",
            f"| before | {one['planned_before_s']:.3f} s | {one['measured_before_s']:.3f} s |",
            f"| slow, old plan | {one['old_plan_on_slow_rank_s']:.3f} s | {one['measured_during_s']:.3f} s |",
            f"| new plan | {one['plan_in_use_s']:.3f} s | " + (f"{after:.3f} s |" if after else "– |"),
            f"| possible on this arrangement (re-planned for 2 s from the old plan) | {one['possible_same_arrangement_s']:.3f} s | |",
            f"| possible if stages could move | {one['possible_any_arrangement_s']:.3f} s | |"]


def known_parts(text):
    for part in text.split(","):
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"got '{part}', want some of {','.join(PARTS)}")
    return text.split(",")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--binary", default=ROOT / "build/cpu/ropewalk")
    parser.add_argument("--tool", default=ROOT / "build/cpu/network_tool")
    parser.add_argument("--switch", default=ROOT / "build/cpu/tap_switch")
    parser.add_argument("--rate-mbit", type=float, default=16, help="of tc tbf, for each rank")
    parser.add_argument("--forward-s", type=float, default=0.06)
    parser.add_argument("--memories", type=int, nargs="+", default=[3, 6],
                        help="micro-batches that a rank may hold; the straggler has the first")
    parser.add_argument("--micro-batches", type=int, default=12)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--straggler-steps", type=int, default=40)
    parser.add_argument("--slow-from", type=int, default=12)
    parser.add_argument("--slow-factor", type=int, default=2)
    parser.add_argument("--short-s", type=float, default=0.4, help="planning time for each choice of stage sizes")
    parser.add_argument("--plan-s", type=float, default=10, help="planning time for the best ones")
    parser.add_argument("--parts", type=known_parts, default=",".join(PARTS))
    parser.add_argument("--priority", type=int, default=0, help="real time priority of the ranks (chrt -f); 0: none")
    parser.add_argument("--timeout", type=float, default=400, help="seconds a job may take")
    parser.add_argument("--work", help="where the runs and their page stay: a new or empty folder (default: a temporary one)")
    parser.add_argument("--report", help="where report.html of the run at 33 %% skip goes")
    parser.add_argument("--out", default=ROOT / "benchmarks/results/skippipe_network", help="results, without ending")
    args = parser.parse_args()
    args.rate_bytes = args.rate_mbit * 1e6 / 8
    return args


def rounded(result):
    return json.loads(json.dumps(result), parse_float=lambda text: round(float(text), 6))


def machine_name():
    with contextlib.suppress(OSError):
        names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def main():
    args = arguments()
    needs_root("benchmarks/network/skippipe.py")
    if not os.path.exists("/dev/net/tun"):
        sys.exit("benchmarks/network/skippipe.py: needs /dev/net/tun (the kernel's tun driver)")
    for tool, target in ((args.tool, "network_tool"), (args.switch, "tap_switch")):
        if not pathlib.Path(tool).exists():
            call("cmake", "--build", ROOT / "build/cpu", "--target", target, stdout=subprocess.DEVNULL)
    args.work = work_folder(args.work)
    begin = time.monotonic()
    result = {}
    with contextlib.suppress(OSError):
        result = json.loads(pathlib.Path(f"{args.out}.json").read_text())  # parts that are not run again
    result.update({"machine": machine_name(), "cores": os.cpu_count(), "load_before": os.getloadavg()[0],
                   "micro_batches": args.micro_batches, "forward_s": args.forward_s})
    delays = [[delay_s(a, b) for b in range(RANKS)] for a in range(RANKS)]
    with Switched(args.switch, delays, f"{args.rate_mbit}mbit", args.priority) as network:
        bench = Bench(args, network)
        result["network"] = bench.network_figures
        print(json.dumps(result["network"]), flush=True)
        parts = {"table": ("rows", lambda: table_rows(bench, bench.plans)),
                 "planned": ("planned_only", lambda: planned_only(bench, bench.plans)),
                 "straggler": ("straggler", lambda: straggler(bench, *bench.plans(args.memories[0])[33]))}
        for part in args.parts:
            key, measure = parts[part]
            result[key] = measure()
            result["seconds"] = time.monotonic() - begin
            pathlib.Path(f"{args.out}.json").write_text(json.dumps(rounded(result), indent=1) + "\n")
            if "rows" in result:
                pathlib.Path(f"{args.out}.md").write_text(table(result))
        page = bench.side_by_side()
    if "rows" in result:
        print(table(result))
    print(f"The plans side by side: {page}" if page else f"What the runs wrote: {bench.folder}")


if __name__ == "__main__":
    main()
