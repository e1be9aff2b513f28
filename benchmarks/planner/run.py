#!/usr/bin/env python3
"""What `ropewalk plan` reaches: one command, benchmarks/planner/run.py, about an hour and a half on one core.

- the three sample problems (--samples FOLDER): free and strict track, 5 seeds, 10 s; free, 60 s; objective iteration, 10 s;
- generated problems with the ranges of papers/skippipe.md §6 (problems.py): both tracks, 3 seeds, 10 s; gap to the any-arrangement bound;
- extensions: the samples on SkipPipe's arrangement with loss_at, split_backward, contention, rotation, full_every (10 s each);
- scale: 64 and 256 nodes; re-planning within 2 s when one node gets twice as slow.

Every solution goes through tests/planner/check_solution.py. Writes benchmarks/results/planner.json and planner.md after each
part, so that an interrupted run keeps what it has; `--parts` runs some parts and keeps the others.
"""
import argparse
import copy
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/planner"), str(ROOT / "benchmarks/planner")]
import check_solution  # noqa: E402
import problems  # noqa: E402

# Medians of 5 seeds over skippipe_makespan_s that are wanted: (free 10 s, strict 10 s, free 60 s, iteration 10 s).
WANTED = {"v1_18n_4s_25_4smp": (0.89, 0.90, 0.88, 0.80), "v1_20n_6s_33_4smp_slow2x": (0.74, 0.80, 0.715, None),
          "gcpfix_20n_6s_33_15B_2smp": (0.91, 0.984, 0.85, 0.52)}


SPLIT = {"split_backward": {"input_factor": 0.75, "weight_factor": 0.75}}  # the samples' backward_factor, in halves
EXTENSIONS = {"none": {}, "loss_at last": {"loss_at": "last"}, "split": SPLIT, "loss_at last, split": {"loss_at": "last", **SPLIT},
              "contention serial": {"contention": "serial"}, "contention fair": {"contention": "fair"}, "rotation 2": {"rotation": 2},
              "full_every 10": {"full_every": 10}}


class Planner:
    def __init__(self, binary):
        self.binary = binary

    def plan(self, problem, seconds, seed=1, track="free", start=None):
        """The solution, checked; fails when a rule is broken or the time is overrun."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "problem.json").write_text(json.dumps(problem))
            command = [self.binary, "plan", "--problem", folder / "problem.json", "--out", folder / "solution.json",
                       "--time-limit-s", str(seconds), "--seed", str(seed), "--track", track]
            if start:
                (folder / "start.json").write_text(json.dumps(start))
                command += ["--start", folder / "start.json"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            solution = json.loads((folder / "solution.json").read_text())
        broken = check_solution.check(problem, solution, track)
        assert not broken, broken
        assert solution["solve_s"] <= seconds + 0.5, solution["solve_s"]
        return solution


def sample_rows(planner, files, seeds):
    rows = []
    for file in files:
        problem = json.loads(file.read_text())
        reference = problem["reference"]["skippipe_makespan_s"]
        wanted = WANTED[problem["name"]]
        for column, (track, seconds, objective) in enumerate(
                (("free", 10, "makespan"), ("strict", 10, "makespan"), ("free", 60, "makespan"), ("free", 10, "iteration"))):
            case = {**problem, "objective": objective}
            base = reference + (problem["reduce"]["max_reduce_s"] if objective == "iteration" else 0)
            key = "makespan_s" if objective == "makespan" else "iteration_s"
            values, gaps, evaluations = [], [], []
            for seed in range(1, seeds + 1):
                solution = planner.plan(case, seconds, seed, track)
                values.append(solution[key])
                gaps.append(solution["gap_percent"])
                evaluations.append(solution["evaluations"])
            rows.append({"problem": problem["name"], "track": track, "objective": objective, "limit_s": seconds,
                         "against_s": base, "median_s": statistics.median(values), "best_s": min(values),
                         "worst_s": max(values), "ratio": statistics.median(values) / base, "wanted": wanted[column],
                         "gap_percent": statistics.median(gaps), "evaluations": statistics.median(evaluations)})
            print(rows[-1], flush=True)
    return rows


def extension_rows(planner, files, seeds):
    rows = []
    for file in files:
        problem = json.loads(file.read_text())
        problem["arrangement"] = problem["reference"]["skippipe_arrangement"]
        for name, keys in EXTENSIONS.items():
            solutions = [planner.plan({**problem, **keys}, 10, seed) for seed in range(1, seeds + 1)]
            rows.append({"problem": problem["name"], "extension": name, "bound_s": solutions[0]["lower_bound_s"],
                         "median_s": statistics.median(solution.get("mean_s", solution["makespan_s"]) for solution in solutions),
                         "evaluations": statistics.median(solution["evaluations"] for solution in solutions)})
            print(rows[-1], flush=True)
    return rows


def generated_rows(planner, seeds=3):
    """Medians over seeds: single runs of 10 s lie 1 to 2 % apart."""
    rows = []
    for kind, problem in problems.table():
        free, strict = ([planner.plan(problem, 10, seed, track) for seed in range(1, seeds + 1)] for track in ("free", "strict"))
        median = lambda solutions, key: statistics.median(solution[key] for solution in solutions)
        rows.append({"problem": problem["name"], "kind": kind, "nodes": len(problem["nodes"]), "seeds": seeds,
                     "free_s": median(free, "makespan_s"), "strict_s": median(strict, "makespan_s"),
                     "bound_s": free[0]["lower_bound_s"], "gap_percent": median(free, "gap_percent"),
                     "reduce_s": median(free, "reduce_s")})
        print(rows[-1], flush=True)
    return rows


def scale_rows(planner):
    rows = []
    for nodes, seconds in ((64, 60), (256, 600)):
        solution = planner.plan(problems.scale(nodes), seconds)
        rows.append({"nodes": nodes, "limit_s": seconds, "makespan_s": solution["makespan_s"],
                     "bound_s": solution["lower_bound_s"], "gap_percent": solution["gap_percent"],
                     "evaluations": solution["evaluations"]})
        print(rows[-1], flush=True)
    return rows


def replan_rows(planner, file):
    """One node twice as slow on SkipPipe's arrangement: from scratch within 2 s, and from the former solution."""
    problem = json.loads(file.read_text())
    problem["arrangement"] = problem["reference"]["skippipe_arrangement"]
    former = planner.plan(problem, 2)
    rows = []
    for node in range(len(problem["nodes"])):
        slower = copy.deepcopy(problem)
        slower["nodes"][node]["forward_s"] *= 2
        warm, cold = planner.plan(slower, 2, start=former), planner.plan(slower, 2)
        rows.append({"node": node, "source": node in problem["arrangement"][0], "before_s": former["makespan_s"],
                     "warm_s": warm["makespan_s"], "cold_s": cold["makespan_s"], "bound_s": warm["lower_bound_s"]})
        print(rows[-1], flush=True)
    return rows


def markdown(results):
    out = ["# ropewalk plan", "", f"{results['machine']}, {results['date']}, load {results['load']} when it began. One thread. "
           "Made by benchmarks/planner/run.py; every solution passed tests/planner/check_solution.py.", ""]
    if "made" in results:
        out += ["Parts and when they were made: " + "; ".join(f"{part} {when}" for part, when in results["made"].items()) + ".", ""]
    if "samples" in results:
        out += ["## Sample problems, medians over seeds", "",
                "Ratio: over `skippipe_makespan_s` of the sample; objective iteration: over `skippipe_makespan_s + max_reduce_s`.",
                "", "| problem | track | objective | limit | median (best to worst) s | ratio | wanted | gap to bound |",
                "|---|---|---|---|---|---|---|---|"]
        for row in results["samples"]:
            wanted = "" if row["wanted"] is None else f"{row['wanted']}"
            out.append(f"| {row['problem']} | {row['track']} | {row['objective']} | {row['limit_s']} s | {row['median_s']:.2f} "
                       f"({row['best_s']:.2f} to {row['worst_s']:.2f}) | {row['ratio']:.4f} | {wanted} | "
                       f"{row['gap_percent']:.1f} % |")
    if "generated" in results:
        out += ["", f"## Generated problems, 10 s, medians of {results['generated'][0]['seeds']} seeds", ""]
        for kind in dict.fromkeys(row["kind"] for row in results["generated"]):
            gaps = [row["gap_percent"] for row in results["generated"] if row["kind"] == kind]
            out.append(f"- {kind}: {len(gaps)} cases, gap to the any-arrangement bound: median {statistics.median(gaps):.1f} %, "
                       f"largest {max(gaps):.1f} %")
        worst = max(row["free_s"] / row["strict_s"] for row in results["generated"])
        out += [f"- free over strict at equal limit: at most {worst:.4f}", "",
                "| problem | kind | nodes | free s | strict s | bound s | gap |", "|---|---|---|---|---|---|---|"]
        for row in results["generated"]:
            out.append(f"| {row['problem']} | {row['kind']} | {row['nodes']} | {row['free_s']:.2f} | {row['strict_s']:.2f} | "
                       f"{row['bound_s']:.2f} | {row['gap_percent']:.1f} % |")
    if "extensions" in results:
        out += ["", "## Extensions, SkipPipe's arrangement, 10 s, medians over seeds", "",
                "Makespan, with several plans its mean over iterations; the bound is the first plan's.", "",
                "| problem | extension | s | bound s | schedules tried |", "|---|---|---|---|---|"]
        for row in results["extensions"]:
            out.append(f"| {row['problem']} | {row['extension']} | {row['median_s']:.2f} | {row['bound_s']:.2f} | "
                       f"{row['evaluations']} |")
    if "scale" in results:
        out += ["", "## Scale", "", "| nodes | limit | makespan s | bound s | gap | schedules tried |", "|---|---|---|---|---|---|"]
        for row in results["scale"]:
            out.append(f"| {row['nodes']} | {row['limit_s']} s | {row['makespan_s']:.2f} | {row['bound_s']:.2f} | "
                       f"{row['gap_percent']:.1f} % | {row['evaluations']} |")
    if "replan" in results:
        out += ["", "## Re-planning in 2 s: one node twice as slow, SkipPipe's arrangement kept, 18 nodes", ""]
        for source, name, wanted in ((False, "other nodes", 60), (True, "sources", 83)):
            rows = [row for row in results["replan"] if row["source"] == source]
            for way in ("warm", "cold"):
                values = [row[f"{way}_s"] for row in rows]
                start = "from the former solution" if way == "warm" else "from scratch"
                out.append(f"- {name}, {start}: median {statistics.median(values):.2f} s, worst {max(values):.2f} s (wanted {wanted} s; "
                           f"before: {rows[0]['before_s']:.2f} s)")
            if any("bound_s" not in row for row in rows):
                continue  # measured before the driver kept it
            met = sum(row["warm_s"] <= row["bound_s"] * (1 + 1e-6) for row in rows)
            out.append(f"- {name}: {met} of {len(rows)} plans are as short as the lower bound on this arrangement, hence optimal; "
                       f"the bound of the worst: {max(rows, key=lambda row: row['warm_s'])['bound_s']:.2f} s")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=pathlib.Path, help="folder with the three sample problems", required=True)
    parser.add_argument("--binary", default=str(ROOT / "build/cpu/ropewalk"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=["samples", "generated", "extensions", "replan", "scale"])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "benchmarks/results/planner")
    args = parser.parse_args()
    planner = Planner(args.binary)
    file = args.out.with_suffix(".json")
    results = json.loads(file.read_text()) if file.exists() else {}
    results |= {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "date": f"{datetime.date.today()}",
                "load": f"{os.getloadavg()[0]:.1f}"}
    samples = [args.samples / f"{name}.json" for name in WANTED]
    work = {"samples": lambda: sample_rows(planner, samples, args.seeds), "generated": lambda: generated_rows(planner),
            "extensions": lambda: extension_rows(planner, samples, args.seeds),
            "replan": lambda: replan_rows(planner, samples[0]), "scale": lambda: scale_rows(planner)}
    for part in args.parts:
        results[part] = work[part]()
        commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        results.setdefault("made", {})[part] = f"{datetime.date.today()}, {commit or 'no commit'}"
        file.write_text(json.dumps(results, indent=1) + "\n")
        args.out.with_suffix(".md").write_text(markdown(results))


if __name__ == "__main__":
    main()
