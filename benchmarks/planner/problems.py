"""Problems with the ranges of papers/skippipe.md §6, for benchmarks/planner/run.py: `ropewalk-problem/1` as dictionaries.

Everything is a function of the arguments and the seed. Times: one micro-batch of 4096-token samples through a stage of a
1.5-billion-parameter model (0.095 s per layer and sample), activations of 16.78 MB per sample, 1.35 GB of gradients a stage.
"""
import random

GIB = 2**30
LAYERS = 24
OVERHEAD_S = 0.35  # copies and serialisation of one transfer (§1.1)


def cities(count, rng):
    """Latency in seconds and bandwidth in bytes/s between sites, drawn from the range of the note's 11 cities."""
    latency = [[0.0] * count for _ in range(count)]
    bandwidth = [[0.0] * count for _ in range(count)]
    place = [(rng.random(), rng.random()) for _ in range(count)]
    for i in range(count):
        for j in range(count):
            if i == j:
                latency[i][j], bandwidth[i][j] = 0.010, 0.8 / 2 * GIB
                continue
            far = min(1.0, ((place[i][0] - place[j][0])**2 + (place[i][1] - place[j][1])**2)**0.5 / 1.1)
            latency[i][j] = 0.007 + far * (0.323 - 0.007)
            bandwidth[i][j] = (1.16 - far * (1.16 - 0.24)) / 2 * GIB
    return latency, bandwidth


def two_tiers(count, rng):
    """Slow links between sites as in the note's GCP table (0.0089 to 0.2425 GiB/s), fast ones within a site."""
    latency, bandwidth = cities(count, rng)
    for i in range(count):
        for j in range(i):
            latency[i][j] = latency[j][i] = rng.uniform(0.003, 0.132)
            bandwidth[i][j] = bandwidth[j][i] = 0.0089 * (0.2425 / 0.0089)**rng.random() ** 2 * GIB
        latency[i][i], bandwidth[i][i] = 0.001, 2.0 * GIB
    return latency, bandwidth


def problem(name, sizes, length, samples, seed, network=cities, slow=0.0, sites=11, layers=None):
    """One problem. `slow`: share of the nodes that are twice as slow; `layers`: per stage, default 24 / stages."""
    rng = random.Random(seed)
    nodes = sum(sizes)
    stages = len(sizes)
    latency, bandwidth = network(sites, rng)
    site = [i % sites for i in range(nodes)]
    unit = 0.095 * (layers or LAYERS // stages) * samples
    activation = 16.78e6 * samples

    def way(a, b):
        if a == b:
            return 0.0
        i, j = site[a], site[b]
        return round(latency[i][j] + activation / bandwidth[i][j] + OVERHEAD_S, 6)

    slow_nodes = set(rng.sample(range(nodes), round(slow * nodes)))
    memory = 3
    each = 2 * memory
    visits = sizes[0] * each * (length - 1)
    out = {
        "format": "ropewalk-problem/1", "name": name,
        "nodes": [{"name": f"n{i}", "site": f"site{site[i]}", "forward_s": round(unit * (2 if i in slow_nodes else 1), 6),
                   "memory_micro_batches": memory} for i in range(nodes)],
        "transfer_s": [[way(a, b) for b in range(nodes)] for a in range(nodes)],
        "backward_factor": 1.5, "loss_factor": 0.25, "gap_s": 0.13, "gap_first_forward_s": 0.09,
        "stage_sizes": sizes, "path_length": length, "micro_batches_per_source": each,
        "rules": {"max_swaps": 0, "max_jump": 4, "stage_quota": -(-visits // (stages - 1))},
        "reduce": {"latency_s": [[0.0 if a == b else latency[site[a]][site[b]] for b in range(nodes)] for a in range(nodes)],
                   "bandwidth_bytes_per_s": [[0.0 if a == b else bandwidth[site[a]][site[b]] for b in range(nodes)]
                                             for a in range(nodes)],
                   "gradient_bytes": 1346446748},
    }
    return out


# Stage sizes that saturate the stages behind the sources (§1.5), with the share that is skipped.
SHAPES = [
    ("18n_4s_25", [6, 4, 4, 4], 3),
    ("20n_6s_33", [5, 3, 3, 3, 3, 3], 4),
    ("30n_6s_50", [10, 4, 4, 4, 4, 4], 3),
    ("36n_4s_25", [12, 8, 8, 8], 3),
    ("40n_6s_33", [10, 6, 6, 6, 6, 6], 4),
    ("42n_8s_25", [7, 5, 5, 5, 5, 5, 5, 5], 6),
]


def table():
    """(kind, problem) of the benchmark: homogeneous, heterogeneous (a third of the nodes twice as slow), slow networks."""
    out = []
    for shape, (name, sizes, length) in enumerate(SHAPES):
        for samples in (1, 2, 4):
            seed = 100 * shape + samples
            out.append(("homogeneous", problem(f"{name}_{samples}smp", sizes, length, samples, seed)))
        out.append(("heterogeneous", problem(f"{name}_4smp_slow", sizes, length, 4, 100 * shape + 50, slow=1 / 3)))
        if shape < 3:
            out.append(("slow network", problem(f"{name}_2smp_tiers", sizes, length, 2, 100 * shape + 60, two_tiers)))
    return out


def scale(nodes):
    """64 nodes: [8] x 8, L = 6; 256 nodes: [32] x 8, L = 6; one in each site's turn, all alike."""
    each = nodes // 8
    return problem(f"{nodes}n_8s", [each] * 8, 6, 2, nodes)
