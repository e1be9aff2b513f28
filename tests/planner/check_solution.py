#!/usr/bin/env python3
"""Checks a solution of `ropewalk plan` against its problem, rule by rule.

Written from the rules of docs/formats/problem.md alone; it shares no code with the planner and simulates nothing: it looks
at the starts that the solution claims. As a program:

    check_solution.py PROBLEM.json SOLUTION.json [--track free|strict]

prints every rule that is broken and exits 1, or prints the times that it recomputed and exits 0.

    check_solution.py --lines FILE

does the same for every line {"problem", "solution", "track"} of a file, and ends with their number.
"""
import argparse
import json
import sys

TOLERANCE_S = 1e-3
# A relative one for figures that the solution states about itself.
STATED = 1e-6


def reduction(problem, members):
    """Max over members of the sum over peers of 2 (latency + bytes / (group size * bandwidth))."""
    reduce = problem.get("reduce")
    if not reduce or len(members) < 2:
        return 0.0
    share = reduce["gradient_bytes"] / len(members)
    costs = []
    for a in members:
        cost = 0.0
        for b in members:
            if a != b:
                cost += 2 * (reduce["latency_s"][a][b] + share / reduce["bandwidth_bytes_per_s"][a][b])
        costs.append(cost)
    return max(costs)


def arrivals(kind, transfers):
    """When transfers (ready, micro-batch, operation, from, to, seconds) are through, by micro-batch and operation.

    Seconds > 0 and two nodes each. serial: in the order of the tuples each begins when it is ready and the sender's outgoing
    and the receiver's incoming side are free of those before it. fair: each runs at the rate 1 / the larger number of
    transfers on its two sides.
    """
    done = {}
    if kind == "serial":
        out_free, in_free = {}, {}
        for ready, batch, operation, sender, receiver, seconds in sorted(transfers):
            end = max(ready, out_free.get(sender, 0.0), in_free.get(receiver, 0.0)) + seconds
            out_free[sender] = in_free[receiver] = done[batch, operation] = end
        return done
    waiting, under_way, now = sorted(transfers, reverse=True), [], 0.0
    while waiting or under_way:
        ends = []
        for way in under_way:
            shared = max(sum(other["from"] == way["from"] for other in under_way),
                         sum(other["to"] == way["to"] for other in under_way))
            way["rate"] = 1.0 / shared
            ends.append(now + max(0.0, way["left"]) * shared)
        next_end = min(ends, default=float("inf"))
        if waiting and waiting[-1][0] < next_end:
            then, joins = waiting[-1][0], waiting.pop()
        else:
            then, joins = next_end, None
        for way in under_way:
            way["left"] -= (then - now) * way["rate"]
        now = then
        if joins:
            _, batch, operation, sender, receiver, seconds = joins
            under_way.append({"key": (batch, operation), "from": sender, "to": receiver, "left": seconds})
        else:
            way = under_way.pop(ends.index(next_end))
            done[way["key"]] = now
    return done


class Checker:
    def __init__(self, problem, solution, track):
        self.problem, self.solution, self.track = problem, solution, track
        self.broken = []
        self.length = problem["path_length"]
        self.split = problem.get("split_backward")
        self.further = False  # one of several plans: without a gap and what all of them give together
        self.stage_of = {}

    def complain(self, rule, what):
        self.broken.append(f"{rule}: {what}")

    def run(self):
        self.arrangement()
        if not self.broken:
            self.paths()
        if not self.broken:
            self.starts()
        if not self.broken:
            self.nodes()
            if self.track == "strict":
                self.strict()
            self.figures()
        if not self.broken and not self.further:
            self.cycle()
        return self.broken

    def goal(self, plan):
        return plan["iteration_s" if self.problem.get("objective", "makespan") == "iteration" else "makespan_s"]

    def cycle(self):
        """The further plans of a rotation and of full iterations, each by all rules; what they add up to."""
        problem, solution = self.problem, self.solution
        turns = solution.get("rotations", [])
        if len(turns) != problem.get("rotation", 1) - 1:
            self.complain("rotations", f"{len(turns)}, want {problem.get('rotation', 1) - 1}")
        for i, plan in enumerate(turns):
            self.check_further(f"rotations[{i}]", plan, problem, self.track)
        if ("full_every" in problem) != ("full" in solution):
            self.complain("full", "is there without full_every, or the other way round")
        elif "full" in solution:
            batches = problem["stage_sizes"][0] * problem["micro_batches_per_source"]
            full = {**problem, "path_length": len(problem["stage_sizes"]), "rules": {**problem["rules"], "stage_quota": batches}}
            self.check_further("full", solution["full"], full, "free")
        if not self.broken and "rotation" in problem:
            self.coverage([solution] + turns)
        if not self.broken and ("rotation" in problem or "full_every" in problem):
            mean = sum(self.goal(plan) for plan in [solution] + turns) / (1 + len(turns))
            if "full" in solution:
                every = problem["full_every"]
                mean = ((every - 1) * mean + self.goal(solution["full"])) / every
            if abs(solution["mean_s"] - mean) > max(TOLERANCE_S, STATED * mean):
                self.complain("mean_s", f"stated {solution['mean_s']}, is {mean}")

    def check_further(self, name, plan, problem, track):
        whole = {**self.solution, **plan, "gap_percent": None}
        checker = Checker({key: value for key, value in problem.items() if key not in ("rotation", "full_every")}, whole, track)
        checker.further = True
        self.broken += [f"{name}: {broken}" for broken in checker.run()]

    def coverage(self, plans):
        sources, stages = self.solution["arrangement"][0], len(self.problem["stage_sizes"])
        visits = [[0] * (stages - 1) for _ in sources]
        for plan in plans:
            for batch in plan["micro_batches"]:
                for node in batch["path"][1:]:
                    visits[sources.index(batch["path"][0])][self.stage_of[node] - 1] += 1
        if self.solution["visits"] != visits:
            self.complain("visits", f"stated {self.solution['visits']}, are {visits}")
        if any(0 in row for row in visits):
            self.complain("rotation", f"a source leaves a stage out: {visits}")

    def arrangement(self):
        problem, groups = self.problem, self.solution["arrangement"]
        if [len(group) for group in groups] != problem["stage_sizes"]:
            self.complain("stage_sizes", f"groups of {[len(group) for group in groups]}")
        members = [node for group in groups for node in group]
        if sorted(members) != list(range(len(problem["nodes"]))):
            self.complain("arrangement", "not every node exactly once")
        for stage, group in enumerate(groups):
            for node in group:
                self.stage_of[node] = stage
        given = problem.get("arrangement")
        if given and [sorted(group) for group in given] != [sorted(group) for group in groups]:
            self.complain("arrangement", "is not the one that the problem fixes")
        if not self.broken and problem.get("objective", "makespan") == "makespan":
            cap = problem.get("reduce", {}).get("max_reduce_s", float("inf"))
            for stage, group in enumerate(groups):
                cost = reduction(problem, group)
                if cost > cap + TOLERANCE_S:
                    self.complain("max_reduce_s", f"stage {stage} takes {cost}, allowed {cap}")

    def paths(self):
        problem, rules = self.problem, self.problem["rules"]
        batches = self.solution["micro_batches"]
        per_source, visits = {node: 0 for node in self.solution["arrangement"][0]}, {}
        for i, batch in enumerate(batches):
            path = batch["path"]
            if len(path) != self.length:
                self.complain("path_length", f"micro-batch {i} has {len(path)} nodes")
                continue
            if path[0] not in per_source:
                self.complain("source", f"micro-batch {i} starts at {path[0]}")
                continue
            per_source[path[0]] += 1
            stages = [self.stage_of[node] for node in path]
            if 0 in stages[1:] or len(set(stages)) != self.length:
                self.complain("distinct stages", f"micro-batch {i} visits {stages}")
            furthest, swaps = 0, 0
            for stage in stages[1:]:
                visits[stage] = visits.get(stage, 0) + 1
                if abs(stage - furthest) > rules["max_jump"]:
                    self.complain("max_jump", f"micro-batch {i} visits {stages}")
                if stage < furthest:
                    swaps += 1
                    if stage != furthest - 1:
                        self.complain("order", f"micro-batch {i} visits {stages}")
                furthest = max(furthest, stage)
            if swaps > rules["max_swaps"]:
                self.complain("max_swaps", f"micro-batch {i} visits {stages}")
        for node, count in per_source.items():
            if count != problem["micro_batches_per_source"]:
                self.complain("micro_batches_per_source", f"source {node} trains {count}")
        for stage, count in visits.items():
            if count > rules["stage_quota"]:
                self.complain("stage_quota", f"stage {stage} is visited {count} times")

    def operations(self, batch):
        """(kind, node, duration, blocked after its end) in the order of `starts`."""
        problem, path = self.problem, batch["path"]
        forward = [problem["nodes"][node]["forward_s"] for node in path]
        out = []
        backward = self.split["input_factor"] if self.split else problem["backward_factor"]
        for k, node in enumerate(path):
            gap = problem["gap_first_forward_s"] if k == 0 else problem["gap_s"]
            out.append(("F", node, forward[k], gap))
        k = self.length - 1 if problem.get("loss_at", "source") == "last" else 0
        out.append(("loss", path[k], problem["loss_factor"] * forward[k], problem["gap_s"]))
        for k in reversed(range(self.length)):
            out.append(("B", path[k], backward * forward[k], problem["gap_s"]))
        return out

    def weight_gradients(self, batch):
        """(node, start, duration) of each, p0 first; empty when B is whole."""
        if not self.split:
            return []
        return [(node, start, self.split["weight_factor"] * self.problem["nodes"][node]["forward_s"])
                for node, start in zip(batch["path"], batch["weight_starts"])]

    def starts(self):
        batches = self.solution["micro_batches"]
        for i, batch in enumerate(batches):
            lists = [("starts", 2 * self.length + 1)]
            if self.split:
                lists.append(("weight_starts", self.length))
            elif "weight_starts" in batch:
                self.complain("weight_starts", f"micro-batch {i} has some, and its backward is whole")
            for name, wanted in lists:
                starts = batch[name]
                if len(starts) != wanted:
                    self.complain(name, f"micro-batch {i} has {len(starts)}")
                elif not all(isinstance(start, (int, float)) and start >= 0 for start in starts):
                    self.complain(name, f"micro-batch {i} has one below 0")
        if self.broken:
            return
        ready = self.ready_times()
        for i, batch in enumerate(batches):
            for k, start in enumerate(batch["starts"]):
                if k > 0 and start < ready[i, k] - TOLERANCE_S:
                    self.complain("transfer", f"micro-batch {i} operation {k} starts at {start}, ready at {ready[i, k]}")
            operations = self.operations(batch)
            for k, (_, start, _) in enumerate(self.weight_gradients(batch)):
                end = batch["starts"][2 * self.length - k] + operations[2 * self.length - k][2]
                if start < end - TOLERANCE_S:
                    self.complain("W after its B", f"micro-batch {i}, node {k} of its path: {start}, B ends at {end}")

    def ready_times(self):
        """When operation k >= 1 of each micro-batch has what the one before it sent."""
        kind, table = self.problem.get("contention", "none"), self.problem["transfer_s"]
        ready, transfers = {}, []
        for i, batch in enumerate(self.solution["micro_batches"]):
            operations = self.operations(batch)
            for k in range(1, len(operations)):
                sender, receiver = operations[k - 1][1], operations[k][1]
                end = batch["starts"][k - 1] + operations[k - 1][2]
                way = table[sender][receiver] if sender != receiver else 0.0
                if kind == "none" or way == 0:
                    ready[i, k] = end + way
                else:
                    transfers.append((end, i, k, sender, receiver, way))
        ready.update(arrivals(kind, transfers))
        return ready

    def nodes(self):
        on_node = {}
        for i, batch in enumerate(self.solution["micro_batches"]):
            for (kind, node, duration, gap), start in zip(self.operations(batch), batch["starts"]):
                on_node.setdefault(node, []).append((start, start + duration, gap, i, kind))
            for node, start, duration in self.weight_gradients(batch):
                on_node.setdefault(node, []).append((start, start + duration, self.problem["gap_s"], i, "W"))
        for node, operations in on_node.items():
            operations.sort()
            for before, now in zip(operations, operations[1:]):
                if now[0] < before[1] + before[2] - TOLERANCE_S:
                    self.complain("one at a time", f"node {node}: {now} starts before {before} and its gap are over")
            self.memory(node, operations)

    def memory(self, node, operations):
        limit = self.problem["nodes"][node]["memory_micro_batches"]
        events = []
        frees = "W" if self.split else "B"
        for start, end, _, _, kind in operations:
            if kind == "F":
                events.append((start, 1))
            elif kind == frees:
                # What ends within the tolerance of a start has ended.
                events.append((end - TOLERANCE_S, -1))
        held = 0
        for _, change in sorted(events):
            held += change
            if held > limit:
                self.complain("memory_micro_batches", f"node {node} holds {held}, at most {limit}")
                return

    def strict(self):
        problem, batches = self.problem, self.solution["micro_batches"]
        slots = problem["nodes"][self.solution["arrangement"][0][0]]["memory_micro_batches"]
        each = problem["micro_batches_per_source"]
        if any(problem["nodes"][node]["memory_micro_batches"] != slots for node in self.solution["arrangement"][0]):
            self.complain("strict: sources of equal memory", f"{self.solution['arrangement'][0]}")
            return
        if each % slots:
            self.complain("strict: whole waves", f"{each} micro-batches in {slots} slots")
            return
        waves = each // slots
        routed = {}
        for source in range(problem["stage_sizes"][0]):
            for slot in range(slots):
                first = source * each + slot * waves
                chain = batches[first:first + waves]
                path = chain[0]["path"]
                if any(batch["path"] != path for batch in chain):
                    self.complain("strict: one path a slot", f"source {source} slot {slot}")
                for node in path:
                    routed[node] = routed.get(node, 0) + 1
                unit = problem["nodes"][path[0]]["forward_s"]
                if chain[0]["starts"][0] < slot * unit - TOLERANCE_S:
                    self.complain("strict: slot k starts no sooner than k forwards", f"source {source} slot {slot}")
                for before, now in zip(chain, chain[1:]):
                    end = before["starts"][-1] + self.operations(before)[-1][2]
                    if now["starts"][0] < end - TOLERANCE_S:
                        self.complain("strict: waves one after the other", f"source {source} slot {slot}")
        for node, count in routed.items():
            if count > slots:
                self.complain("strict: slots routed through a node", f"node {node} has {count}, at most {slots}")

    def figures(self):
        problem, solution = self.problem, self.solution
        last, makespan = {}, 0.0
        for batch in solution["micro_batches"]:
            ends = [(node, start + duration) for (kind, node, duration, _), start
                    in zip(self.operations(batch), batch["starts"]) if kind == "B"]
            ends += [(node, start + duration) for node, start, duration in self.weight_gradients(batch)]
            for node, end in ends:
                stage = self.stage_of[node]
                last[stage] = max(last.get(stage, 0.0), end)
                makespan = max(makespan, end)
        if not self.further:
            for name, least in (("evaluations", 0), ("solve_s", 0)):
                value = solution.get(name)
                if not isinstance(value, (int, float)) or value < least:
                    self.complain(name, f"stated {value}")
        costs = [reduction(problem, group) for group in solution["arrangement"]]
        iteration = max(last.get(stage, 0.0) + cost for stage, cost in enumerate(costs))
        self.makespan, self.iteration = makespan, iteration
        for name, value in (("makespan_s", makespan), ("iteration_s", iteration), ("reduce_s", max(costs))):
            if abs(solution[name] - value) > max(TOLERANCE_S, STATED * value):
                self.complain(name, f"stated {solution[name]}, is {value}")
        goal = iteration if problem.get("objective", "makespan") == "iteration" else makespan
        bound = solution["lower_bound_s"]
        if bound > goal + TOLERANCE_S:
            self.complain("lower_bound_s", f"{bound} is above what was reached, {goal}")
        if not self.further and bound > 0 and abs(solution["gap_percent"] - 100 * (goal / bound - 1)) > 0.01:
            self.complain("gap_percent", f"stated {solution['gap_percent']}")


def check(problem, solution, track="free"):
    """The rules that `solution` breaks, as text; empty when it keeps them all."""
    return Checker(problem, solution, track).run()


def check_lines(path):
    """0 when every line of the file is sound."""
    count = failures = 0
    with open(path) as file:
        for number, line in enumerate(file, 1):
            case = json.loads(line)
            count += 1
            for broken in check(case["problem"], case["solution"], case["track"]):
                failures += 1
                print(f"{path}:{number}: {broken}")
    print(f"checked {count} solutions, {failures} rules broken")
    return 1 if failures or not count else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", nargs="?")
    parser.add_argument("solution", nargs="?")
    parser.add_argument("--track", choices=["free", "strict"], default="free")
    parser.add_argument("--lines")
    args = parser.parse_args()
    if args.lines:
        return check_lines(args.lines)
    if not args.problem or not args.solution:
        parser.error("give PROBLEM and SOLUTION, or --lines FILE")
    with open(args.problem) as file:
        problem = json.load(file)
    with open(args.solution) as file:
        solution = json.load(file)
    checker = Checker(problem, solution, args.track)
    for line in checker.run():
        print(line)
    if checker.broken:
        return 1
    print(f"sound: makespan {checker.makespan:.3f} s, iteration {checker.iteration:.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
