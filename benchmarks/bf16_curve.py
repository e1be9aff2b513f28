#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""Whether training in bf16 follows training in f32: the loss curves of both, from the same seeds.

    python3 benchmarks/bf16_curve.py [--torch PYTHON] [--ropewalk build/cpu/ropewalk] [--corpus corpora/first_run.h5]

trains recipes/first_run.yaml for --steps steps in f32 and in bf16 with each of --seeds and compares
the losses after smoothing (mean of --window steps; a step's own loss differs by its batch far more
than by its precision). Two f32 runs of different seeds give the scale, and so does --torch, a Python
that has torch: there both runs of each seed are made again in plain PyTorch (peers/llama_curve.py, the
same first weights, tokens and learning rates; minutes each). Writes benchmarks/results/bf16_curve.json
and docs/images/bf16_curve.svg; exits 1 when a difference leaves the band: with --torch, 1.25 times what
PyTorch's own bf16 differs by with the same seed, in the mean and at most; else a fixed one. A run that is there already
(--work) is not made again. Standard library only.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from curves import COLOURS, axis, losses, points, smooth

ROOT = pathlib.Path(__file__).resolve().parent.parent
BAND_MEAN, BAND_MAX = 0.01, 0.03  # nats, of smoothed losses, each seed
PEER_BAND = 1.25  # of PyTorch's own differences


def recipe(options, seed, steps):
    return [ROOT / "recipes" / "first_run.yaml", f"seed={seed}", f"train.max_steps={steps}",
            f"data.sources=[{{path: {options.corpus}}}]", "data.validation=[]", "data.validation_interval=0",
            "checkpoint.interval=0", "log.tensorboard=false", "log.trace=false"]


def run(command, **more):
    subprocess.run(list(map(str, command)), check=True, **{"stdout": subprocess.DEVNULL, **more})


def train(options, precision, seed):
    folder = pathlib.Path(options.work) / f"{precision}_seed{seed}"
    if not (folder / "metrics.jsonl").exists() or len(losses(folder)) != options.steps:
        run([options.ropewalk, "train", *recipe(options, seed, options.steps), f"precision={precision}",
             f"output_dir={folder}", "--overwrite"])
    return losses(folder)


def train_in_torch(options, precision, seed):
    """After train() in f32, whose learning rates it takes."""
    work = pathlib.Path(options.work)
    begin, order = work / f"begin_seed{seed}", work / f"order_seed{seed}.jsonl"
    done = work / f"torch_{precision}_seed{seed}.json"
    if not (begin / "final").exists():
        run([options.ropewalk, "train", *recipe(options, seed, 1), "optimizer.lr=0", "lr_scheduler.min_lr=0",
             "lr_scheduler.warmup_steps=0", f"output_dir={begin}", "--overwrite"])
    if not order.exists():
        with order.open("w") as file:
            run([options.ropewalk, "data", "order", *recipe(options, seed, options.steps), "--steps",
                 f"1..{options.steps}", "--tokens", "--json"], stdout=file)
    if not done.exists():
        with done.with_suffix(".part").open("w") as file:
            run([options.torch, ROOT / "benchmarks" / "peers" / "llama_curve.py", begin / "final",
                 work / f"f32_seed{seed}", order, "--precision", precision], stdout=file)
        done.with_suffix(".part").rename(done)
    return json.loads(done.read_text())["loss"]


def apart(a, b, window):
    """Mean and largest distance of two smoothed curves, from the first whole window on."""
    gaps = [abs(x - y) for x, y in zip(smooth(a, window), smooth(b, window))][window - 1:]
    return {"mean": round(statistics.fmean(gaps), 5), "max": round(max(gaps), 5)}


def draw(curves, window):
    """Above, both precisions of each seed (f32 whole lines, bf16 dashes on top of them); below, what lies
    between them."""
    last = len(next(iter(curves.values()))["f32"])
    smoothed = {seed: {p: smooth(v, window) for p, v in both.items()} for seed, both in curves.items()}
    gaps = {seed: [b - a for a, b in zip(both["f32"], both["bf16"])] for seed, both in smoothed.items()}
    every = [v for both in smoothed.values() for curve in both.values() for v in curve]
    widest = max(BAND_MAX, *(abs(g) for gap in gaps.values() for g in gap)) * 1.1
    upper, lower = (70, 40, 700, 280), (70, 380, 700, 120)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 540" font-family="sans-serif" font-size="12">',
           '<rect width="800" height="540" fill="white"/>',
           f'<text x="70" y="24" font-size="14">Loss (nats), mean of {window} steps: f32 lines, bf16 dashes</text>',
           '<text x="70" y="368" font-size="14">bf16 less f32 (nats)</text>']
    out += axis(upper, min(every), max(every), last, 2) + axis(lower, -widest, widest, last, 3)
    for colour, (seed, both) in zip(COLOURS, smoothed.items()):
        for precision, dash in (("f32", ""), ("bf16", ' stroke-dasharray="5 4"')):
            width = 1 if precision == "f32" else 2
            line = points(both[precision], upper, min(every), max(every), last)
            out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="{width}"{dash} points="{line}"/>')
        line = points(gaps[seed], lower, -widest, widest, last)
        out.append(f'<polyline fill="none" stroke="{colour}" points="{line}"/>')
    for i, seed in enumerate(smoothed):
        out.append(f'<text x="760" y="{60 + 16 * i}" text-anchor="end" fill="{COLOURS[i]}">seed {seed}</text>')
    return "\n".join(out) + "\n</svg>\n"


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--ropewalk", default=str(ROOT / "build" / "cpu" / "ropewalk"))
    parse.add_argument("--corpus", default=str(ROOT / "corpora" / "first_run.h5"),
                       help="made by scripts/first_corpus.sh")
    parse.add_argument("--torch", metavar="PYTHON", help="a Python that has torch: the same runs there")
    parse.add_argument("--work", default=str(ROOT / "runs" / "bf16_curve"), help="folder of the runs")
    parse.add_argument("--steps", type=int, default=500)
    parse.add_argument("--window", type=int, default=20)
    parse.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parse.parse_args()
    if len(options.seeds) < 2 or len(options.seeds) > len(COLOURS) or options.steps <= options.window:
        parse.error(f"want 2 to {len(COLOURS)} seeds and more steps than --window")
    curves = {seed: {precision: train(options, precision, seed) for precision in ("f32", "bf16")}
              for seed in options.seeds}
    differences = {seed: apart(both["f32"], both["bf16"], options.window) for seed, both in curves.items()}
    first, second = (curves[seed]["f32"] for seed in options.seeds[:2])
    inside = all(d["mean"] <= BAND_MEAN and d["max"] <= BAND_MAX for d in differences.values())
    result = {
        "recipe": "recipes/first_run.yaml", "steps": options.steps, "window": options.window,
        "band": {"mean": BAND_MEAN, "max": BAND_MAX}, "inside": inside,
        "bf16_from_f32": {f"seed {seed}": d for seed, d in differences.items()},
        "f32_seed_from_seed": apart(first, second, options.window),
        "last_loss": {f"seed {seed}": {p: round(smooth(v, options.window)[-1], 5) for p, v in both.items()}
                      for seed, both in curves.items()},
        "losses": {f"seed {seed}": {p: [round(x, 5) for x in v] for p, v in both.items()}
                   for seed, both in curves.items()},
    }
    if options.torch:
        peer = {seed: {precision: train_in_torch(options, precision, seed) for precision in ("f32", "bf16")}
                for seed in options.seeds}
        result["pytorch_bf16_from_f32"] = {
            f"seed {seed}": apart(both["f32"], both["bf16"], options.window) for seed, both in peer.items()}
        theirs = result["pytorch_bf16_from_f32"].values()
        inside = all(mine[key] <= PEER_BAND * their[key]
                     for mine, their in zip(differences.values(), theirs) for key in ("mean", "max"))
        result |= {"peer_band": PEER_BAND, "inside_peer_band": inside}
        result["pytorch_f32_from_ours"] = {
            f"seed {seed}": apart(both["f32"], curves[seed]["f32"], options.window) for seed, both in peer.items()}
    (ROOT / "benchmarks" / "results" / "bf16_curve.json").write_text(json.dumps(result) + "\n")
    (ROOT / "docs" / "images").mkdir(exist_ok=True)
    (ROOT / "docs" / "images" / "bf16_curve.svg").write_text(draw(curves, options.window))
    print(json.dumps({key: result[key] for key in result if key != "losses"}, indent=2))
    return 0 if inside else 1


if __name__ == "__main__":
    sys.exit(main())
