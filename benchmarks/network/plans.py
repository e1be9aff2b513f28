"""Plans for skippipe.py: problems on a measured network, the planner's solutions, and SkipPipe's paths without collision
avoidance. Every solution goes through tests/planner/check_solution.py."""
import heapq
import itertools
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/planner"))
import check_solution  # noqa: E402

STAGES = 6
BACKWARD = 2.0  # of a forward
LOSS = 0.25     # of a source's forward


class Machine:
    """Nodes that are alike on a network: what every problem here has in common."""

    def __init__(self, forward_s, transfer_s, memory, micro_batches):
        self.forward_s, self.transfer_s = forward_s, transfer_s
        self.memory, self.micro_batches = memory, micro_batches

    def nodes(self, forward_s=None, count=None):
        return [{"forward_s": forward_s or self.forward_s, "memory_micro_batches": self.memory}
                for _ in range(count or len(self.transfer_s))]

    def problem(self, sizes, path_length, **more):
        """Every stage but the first is visited equally often, give or take one."""
        quota = -(-self.micro_batches * (path_length - 1) // (STAGES - 1))
        return {"format": "ropewalk-problem/1", "nodes": self.nodes(), "transfer_s": self.transfer_s,
                "backward_factor": BACKWARD, "loss_factor": LOSS, "gap_s": 0, "gap_first_forward_s": 0,
                "stage_sizes": sizes, "path_length": path_length,
                "micro_batches_per_source": self.micro_batches // sizes[0],
                "rules": {"max_swaps": 0, "max_jump": STAGES - 1, "stage_quota": quota}, **more}

    def classic_times(self, stages, count):
        """For pipeline.emulate: the same model cut into another number of equal stages."""
        share = STAGES / stages
        return {"format": "ropewalk-problem/1", "nodes": self.nodes(self.forward_s * share, count),
                "transfer_s": [row[:count] for row in self.transfer_s[:count]], "backward_factor": BACKWARD,
                "loss_factor": LOSS / share}

    def sizes(self):
        """All sizes of the stages that use every node and give each source equally many micro-batches."""
        spare = len(self.transfer_s) - STAGES
        for extra in itertools.combinations_with_replacement(range(STAGES), spare):
            sizes = [1 + extra.count(stage) for stage in range(STAGES)]
            if self.micro_batches % sizes[0] == 0:
                yield sizes


class Planner:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.refusal = binary, pathlib.Path(folder), ""

    def solve(self, problem, seconds, start=None):
        """The planner's solution; None when the problem has none."""
        files = {name: self.folder / f"planner-{name}.json" for name in ("problem", "solution", "start")}
        files["problem"].write_text(json.dumps(problem))
        command = [self.binary, "plan", "--problem", files["problem"], "--out", files["solution"], "--time-limit-s", seconds]
        if start:
            files["start"].write_text(json.dumps(start))
            command += ["--start", files["start"]]
        done = subprocess.run(list(map(str, command)), check=False, text=True, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
        if done.returncode == 2:
            self.refusal = done.stderr.strip()
            return None
        if done.returncode:
            raise RuntimeError(done.stderr)
        return checked(problem, json.loads(files["solution"].read_text()))

    def best(self, machine, path_length, short_s, long_s, **more):
        """(problem, solution) of the best stage sizes: all of them tried for `short_s`, the best three for `long_s`."""
        tried = []
        for sizes in machine.sizes():
            problem = machine.problem(sizes, path_length, **more)
            solution = self.solve(problem, short_s)
            if solution:
                tried.append((solution["makespan_s"], sizes))
        if not tried:
            raise RuntimeError(f"no stage sizes can be planned; the last refusal: {self.refusal}")
        found = []
        for _, sizes in sorted(tried)[:3]:
            problem = machine.problem(sizes, path_length, **more)
            found.append((problem, self.solve(problem, long_s)))
        return min(found, key=lambda one: one[1]["makespan_s"])


def checked(problem, solution):
    broken = check_solution.check(problem, solution)
    if broken:
        raise RuntimeError(f"a solution breaks the rules: {broken[:3]}")
    return solution


def without_avoidance(problem, arrangement):
    """Paths by their cost alone, each node first come first served: SkipPipe without collision avoidance (papers/skippipe.md
    §2), on a given arrangement."""
    return checked(problem, served_in_turn(problem, arrangement, cheapest_paths(problem, arrangement)))


def round_trip(problem, path):
    """Of a micro-batch that never waits."""
    way = [problem["transfer_s"][a][b] for a, b in zip(path, path[1:])]
    home = problem["transfer_s"][path[-1]][path[0]] + problem["transfer_s"][path[0]][path[-1]]
    back = [problem["transfer_s"][b][a] for a, b in zip(path, path[1:])]
    work = sum((1 + problem["backward_factor"]) * problem["nodes"][node]["forward_s"] for node in path)
    return sum(way) + sum(back) + home + work + problem["loss_factor"] * problem["nodes"][path[0]]["forward_s"]


def cheapest_paths(problem, arrangement):
    """Micro-batch after micro-batch, sources in turn: the cheapest path that the quotas still allow, such that those to come
    find room too. A stage's visits are shared evenly by its nodes."""
    stages = range(1, len(arrangement))
    hops, quota = problem["path_length"] - 1, problem["rules"]["stage_quota"]
    count = problem["micro_batches_per_source"] * len(arrangement[0])
    visits = {node: 0 for group in arrangement for node in group}

    def room(stage):
        return quota - sum(visits[node] for node in arrangement[stage])

    def leaves_room(chosen, left):
        return sum(min(left, room(stage) - (stage in chosen)) for stage in stages) >= left * hops

    paths = []
    for m in range(count):
        source = arrangement[0][m % len(arrangement[0])]
        best = None
        for chosen in itertools.combinations(stages, hops):
            if any(room(stage) < 1 for stage in chosen) or not leaves_room(chosen, count - m - 1):
                continue
            for nodes in itertools.product(*(arrangement[stage] for stage in chosen)):
                if any(visits[node] >= -(-quota // len(arrangement[stage])) for node, stage in zip(nodes, chosen)):
                    continue
                path = [source, *nodes]
                best = min(best or (float("inf"), []), (round_trip(problem, path), path))
        for node in best[1][1:]:
            visits[node] += 1
        paths.append(best[1])
    return paths


def served_in_turn(problem, arrangement, paths):
    """The solution in which every node takes what came first; a forward that finds no memory waits aside."""
    length, nodes = problem["path_length"], problem["nodes"]
    held, busy = [0] * len(nodes), [False] * len(nodes)
    waiting = [[] for _ in nodes]  # per node: (when it came, micro-batch, operation)
    starts = [[] for _ in paths]
    events = []  # (time, 0: an operation ends / 1: its input is there, micro-batch, operation)

    def node_of(m, k):
        return paths[m][0 if k == length else k if k < length else 2 * length - k]

    def duration(m, k):
        factor = 1 if k < length else problem["loss_factor"] if k == length else problem["backward_factor"]
        return factor * nodes[node_of(m, k)]["forward_s"]

    def serve(node, now):
        fits = [one for one in sorted(waiting[node])
                if one[2] >= length or held[node] < nodes[node]["memory_micro_batches"]]
        if busy[node] or not fits:
            return
        waiting[node].remove(fits[0])
        _, m, k = fits[0]
        busy[node] = True
        held[node] += k < length
        starts[m].append(now)
        heapq.heappush(events, (now + duration(m, k), 0, m, k))

    for m in range(len(paths)):
        heapq.heappush(events, (0.0, 1, m, 0))
    makespan = 0.0
    while events:
        now, kind, m, k = heapq.heappop(events)
        node = node_of(m, k)
        if kind == 1:
            waiting[node].append((now, m, k))
        else:
            busy[node] = False
            held[node] -= k > length
            makespan = max(makespan, now)
            if k < 2 * length:
                after = node_of(m, k + 1)
                way = 0.0 if after == node else problem["transfer_s"][node][after]
                heapq.heappush(events, (now + way, 1, m, k + 1))
        if not events or events[0][0] > now:  # all that happens at this time has happened
            for each in range(len(nodes)):
                serve(each, now)
    batches = [{"path": path, "starts": start} for path, start in zip(paths, starts)]
    batches.sort(key=lambda one: arrangement[0].index(one["path"][0]))
    return {"arrangement": arrangement, "micro_batches": batches, "makespan_s": makespan, "iteration_s": makespan,
            "lower_bound_s": 0, "gap_percent": 0, "reduce_s": 0, "evaluations": 1, "solve_s": 0}
