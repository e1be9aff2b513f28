#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""What skipping stages costs in quality and gains in time (papers/skippipe.md §7).

    python3 benchmarks/skippipe_convergence.py [--corpora corpora] [--seeds 1 2 3] [--steps 400]

plans recipes/paper/skippipe.yaml for 0, 25, 33 and 50 % skipping on the nodes of skippipe_topology.json, trains each along
its planned paths with every seed on the same tokens, and evaluates each model with all stages and with half of them (the
first, and lots of the others for every window). Writes benchmarks/results/skippipe_convergence.json and .md and
docs/images/skippipe_convergence.svg. Needs build/cpu/ropewalk and the quickstart's corpora (scripts/first_corpus.sh). Runs
that are there already (--work) are not made again. Standard library only; about an hour on two cores.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess

from curves import COLOURS, axis, losses, points, smooth

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECIPE = ROOT / "recipes" / "paper" / "skippipe.yaml"
TOPOLOGY = ROOT / "recipes" / "paper" / "skippipe_topology.json"
SKIPS = (0, 0.25, 0.33, 0.5)
STAGES, HALF = 12, 6
DRAWS = (1, 2, 3)  # of the stages kept in a window


def call(options, *words):
    done = subprocess.run([options.ropewalk, *map(str, words)], check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout


def planned(options, skip):
    """Folder with problem.json and solution.json, and what an iteration takes."""
    folder = options.work / f"skip_{skip}"
    if not (folder / "plan" / "solution.json").exists():
        call(options, "plan", RECIPE, f"output_dir={folder}", f"pipeline.skip_fraction={skip}", *sources(options),
             "--topology", TOPOLOGY, "--time-limit-s", 10)
    solution = json.loads((folder / "plan" / "solution.json").read_text())
    return folder / "plan", {key: solution[key] for key in ("iteration_s", "makespan_s", "gap_percent")}


def sources(options):
    corpus, validation = options.corpora / "first_run.h5", options.corpora / "first_run.validation.h5"
    return [f"data.sources=[{{path: {corpus}}}]", f"data.validation=[{{path: {validation}}}]"]


def train(options, skip, seed, plan):
    folder = options.work / f"skip_{skip}_seed_{seed}"
    if not (folder / "final").exists():
        call(options, "train", RECIPE, f"output_dir={folder}", f"seed={seed}", f"train.max_steps={options.steps}",
             f"pipeline.skip_fraction={skip}", f"pipeline.problem={plan / 'problem.json'}",
             f"pipeline.solution={plan / 'solution.json'}", "log.tensorboard=false", "log.trace=false", *sources(options),
             "--overwrite")
    return folder


def validation_ids(options):
    """Ids of 128 rows of the validation corpus, in a file."""
    path = options.work / "validation.ids"
    if not path.exists():
        corpus = options.corpora / "first_run.validation.h5"
        lines = call(options, "data", "order", RECIPE, f"data.sources=[{{path: {corpus}}}]", "data.validation=[]",
                     "data.validation_interval=0", "--steps", "1..16", "--tokens", "--json").splitlines()
        path.write_text(" ".join(str(one) for line in lines for one in json.loads(line)["token_ids"]))
    return path


def perplexity(options, folder, ids, *more):
    out = call(options, "eval", "--model", folder / "final", "--token-ids", ids, "--seq-len", 128, "--json", *more)
    return json.loads(out)["perplexity"]


def measure(options, skip, seed, plan, ids):
    folder = train(options, skip, seed, plan)
    half = [perplexity(options, folder, ids, "--stages", STAGES, "--keep-stages", f"random:{HALF}:{draw}") for draw in DRAWS]
    return {"losses": [round(x, 4) for x in losses(folder)], "all_stages": perplexity(options, folder, ids),
            "half_of_stages": statistics.fmean(half)}


def first_below(values, target):
    """Steps until the smoothed loss is below `target`; None: never."""
    return next((i + 1 for i, value in enumerate(values) if value < target), None)


def summary(results, window):
    """Per skip: means over seeds, and the time until every curve's common loss."""
    curves = {skip: smooth([statistics.fmean(at) for at in zip(*(run["losses"] for run in one["runs"].values()))], window)
              for skip, one in results.items()}
    target = max(curve[-1] for curve in curves.values())
    rows = []
    for skip, one in results.items():
        runs = one["runs"].values()
        whole, half = (statistics.fmean(run[key] for run in runs) for key in ("all_stages", "half_of_stages"))
        steps = first_below(curves[skip], target + 1e-9)
        rows.append({"skip": skip, "iteration_s": one["plan"]["iteration_s"], "last_loss": curves[skip][-1],
                     "all_stages": whole, "half_of_stages": half, "half_percent": 100 * (half / whole - 1),
                     "spread": max(run["all_stages"] for run in runs) - min(run["all_stages"] for run in runs),
                     "steps_to_target": steps, "hours_to_target": steps * one["plan"]["iteration_s"] / 3600})
    return curves, target, rows


def panel(curves, box, title, horizontal, last, unit):
    """`horizontal` maps a skip to the place of its last step on the axis, of `last`."""
    low, high = min(min(c[10:]) for c in curves.values()), max(c[10] for c in curves.values())
    left, top, width, height = box
    out = axis(box, low, high, last, 2)
    out.append(f'<text x="{left}" y="{top - 10}" font-size="14">{title}</text>')
    for colour, (skip, curve) in zip(COLOURS, curves.items()):
        share = horizontal(skip) / last
        line = points([min(v, high) for v in curve], (left, top, width * share, height), low, high, len(curve))
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{line}"/>')
    out.append(f'<text x="{left + width}" y="{top + height + 30}" text-anchor="end">{unit}</text>')
    return out


def draw(curves, results, window):
    steps = len(next(iter(curves.values())))
    minutes = {skip: steps * one["plan"]["iteration_s"] / 60 for skip, one in results.items()}
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 430" font-family="sans-serif" font-size="12">',
           '<rect width="1000" height="430" fill="white"/>']
    out += panel(curves, (60, 50, 400, 300), f"Training loss (nats), mean of {window} steps and of the seeds",
                 lambda _: steps, steps, "steps")
    out += panel(curves, (540, 50, 400, 300), "The same under the planned iteration times", lambda skip: minutes[skip],
                 max(minutes.values()), "minutes")
    for i, skip in enumerate(curves):
        out.append(f'<text x="{60 + 110 * i}" y="415" fill="{COLOURS[i]}">{100 * skip:.0f} % skipped</text>')
    return "\n".join(out) + "\n</svg>\n"


def markdown(result):
    lines = ["# Skipping stages: quality and time", "",
             f"`python3 benchmarks/skippipe_convergence.py`, {result['date']}, {result['machine']}. recipes/paper/skippipe.yaml "
             f"(12 stages, {result['parameters'] / 1e6:.1f} M parameters), {result['steps']} steps of 1024 tokens, seeds "
             f"{', '.join(map(str, result['seeds']))}; means over the seeds.", "",
             "Perplexity on 16k tokens of the validation corpus. Half: 6 of 12 stages, the first and five drawn for every window. "
             f"Target: {result['target']:.3f} nats of smoothed training loss, the largest that any of them ended with.", "",
             "| skipped | planned iteration, s | last loss | perplexity, all stages (spread) | with half | more | steps to target | "
             "minutes to target |", "|---|---|---|---|---|---|---|---|"]
    for row in result["rows"]:
        lines.append(f"| {100 * row['skip']:.0f} % | {row['iteration_s']:.1f} | {row['last_loss']:.3f} | {row['all_stages']:.1f} "
                     f"({row['spread']:.1f}) | {row['half_of_stages']:.1f} | {row['half_percent']:+.0f} % | "
                     f"{row['steps_to_target']} | {60 * row['hours_to_target']:.0f} |")
    lines += ["", "![curves](../../docs/images/skippipe_convergence.svg)", ""]
    return "\n".join(lines)


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--ropewalk", default=str(ROOT / "build" / "cpu" / "ropewalk"))
    parse.add_argument("--corpora", type=pathlib.Path, default=ROOT / "corpora", help="made by scripts/first_corpus.sh")
    parse.add_argument("--work", type=pathlib.Path, default=ROOT / "runs" / "skippipe_convergence", help="folder of the runs")
    parse.add_argument("--steps", type=int, default=400)
    parse.add_argument("--window", type=int, default=20)
    parse.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parse.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    ids = validation_ids(options)
    results = {skip: {"runs": {}} for skip in SKIPS}
    for seed in options.seeds:
        for skip in SKIPS:
            plan, results[skip]["plan"] = planned(options, skip)
            results[skip]["runs"][seed] = measure(options, skip, seed, plan, ids)
            print(skip, seed, {k: v for k, v in results[skip]["runs"][seed].items() if k != "losses"}, flush=True)
    curves, target, rows = summary(results, options.window)
    config = json.loads((options.work / f"skip_0_seed_{options.seeds[0]}" / "final" / "config.json").read_text())
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    parameters = config["num_hidden_layers"] * (4 * hidden**2 + 3 * hidden * wide) + 2 * config["vocab_size"] * hidden
    result = {"date": datetime.date.today().isoformat(), "machine": f"{os.cpu_count()} cores, {platform.machine()}",
              "parameters": parameters, "steps": options.steps, "seeds": options.seeds, "window": options.window,
              "target": target, "rows": rows, "plans": {str(k): v["plan"] for k, v in results.items()},
              "losses": {f"{k} seed {seed}": run["losses"] for k, v in results.items() for seed, run in v["runs"].items()}}
    out = ROOT / "benchmarks" / "results"
    (out / "skippipe_convergence.json").write_text(json.dumps(result) + "\n")
    (out / "skippipe_convergence.md").write_text(markdown(result))
    (ROOT / "docs" / "images").mkdir(exist_ok=True)
    (ROOT / "docs" / "images" / "skippipe_convergence.svg").write_text(draw(curves, results, options.window))
    print(markdown(result))


if __name__ == "__main__":
    main()
