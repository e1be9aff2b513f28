#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""Step time under each waiting policy of OpenMP: what launcher/waiting_policy.cpp chooses by.

    python3 benchmarks/waiting_policy.py [--recipe recipes/llama_34m.yaml] [--rounds 3] [--steps 5]

Runs a recipe on random tokens through `ropewalk bench train` under every policy, with one rank of two threads,
two ranks of one, and two ranks of two (twice as many threads as a machine of two cores has), the ranks as
processes under mpirun, or as threads of one process. Policies take turns; prints the median over rounds of the
median step in ms, and keeps it, recipe by recipe, in benchmarks/results/waiting_policy.json.
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import signal
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
POLICIES = {"libgomp's own": {"GOMP_SPINCOUNT": ""}, "passive": {"OMP_WAIT_POLICY": "passive"},
            "active": {"OMP_WAIT_POLICY": "active"},
            **{f"spin {count}": {"GOMP_SPINCOUNT": str(count)} for count in (1000, 10000, 100000)}}
LAYOUTS = {"1 rank x 2 threads": (0, 1, 2), "2 processes x 1 thread": (2, 2, 1),
           "2 processes x 2 threads": (2, 2, 2), "2 ranks in 1 process x 2 threads": (0, 2, 2)}


def step_ms(how, layout, policy):
    processes, ranks, threads = layout
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    environment.pop("OMP_WAIT_POLICY", None)
    environment |= policy
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(processes)] if processes else []
    command += [how.ropewalk, "bench", "train", how.recipe, "--random-data", "--json",
                "--steps", how.steps, f"parallel.dp={ranks}", "train.micro_batch_size=4"]
    run = subprocess.Popen([str(part) for part in command], env=environment, cwd=ROOT, stdout=subprocess.PIPE,
                           text=True, start_new_session=True)
    try:
        out = run.communicate(timeout=how.limit_s)[0]
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGTERM)
        run.wait()
        return math.inf
    if run.returncode != 0:
        raise SystemExit(f"{command} ended with {run.returncode}")
    return json.loads(out)["step_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ropewalk", type=pathlib.Path, default=ROOT / "build/cpu/ropewalk")
    parser.add_argument("--recipe", type=pathlib.Path, default=ROOT / "recipes/llama_34m.yaml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--limit-s", type=float, default=120, help="a run that takes longer counts as endless")
    how = parser.parse_args()
    times = {layout: {policy: [] for policy in POLICIES} for layout in LAYOUTS}
    for _ in range(how.rounds):
        for layout, shape in LAYOUTS.items():
            for policy, environment in POLICIES.items():
                times[layout][policy].append(step_ms(how, shape, environment))
    print("| step, ms | " + " | ".join(POLICIES) + " |")
    print("|---|" + "---|" * len(POLICIES))
    for layout, row in times.items():
        medians = [statistics.median(one) for one in row.values()]
        print(f"| {layout} | " + " | ".join("endless" if one == math.inf else f"{one:.1f}" for one in medians) + " |")
    kept = ROOT / "benchmarks/results/waiting_policy.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    results[how.recipe.name] = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
                                "steps": how.steps, "limit_s": how.limit_s, "step_ms": {
                                    layout: {policy: [None if one == math.inf else one for one in runs]
                                             for policy, runs in row.items()} for layout, row in times.items()}}
    kept.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
