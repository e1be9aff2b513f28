"""ropewalk plan: a problem in, a solution out that the independent checker accepts."""
import json
import pathlib
import signal
import sys

import cli

sys.path.insert(0, str(cli.SOURCE / "tests/planner"))
import check_solution  # noqa: E402


def ring(nodes=6):
    """Six nodes in a ring, three stages of two; every path leaves one stage out."""
    way = [[0.25 * min(abs(a - b), nodes - abs(a - b)) for b in range(nodes)] for a in range(nodes)]
    return {
        "format": "ropewalk-problem/1", "name": "ring",
        "nodes": [{"forward_s": 1.0, "memory_micro_batches": 2} for _ in range(nodes)], "transfer_s": way,
        "backward_factor": 2, "loss_factor": 0.25, "gap_s": 0.125, "gap_first_forward_s": 0.0625, "stage_sizes": [2, 2, 2],
        "path_length": 2, "micro_batches_per_source": 4, "rules": {"max_swaps": 0, "max_jump": 2, "stage_quota": 4},
        "reduce": {"latency_s": way, "bandwidth_bytes_per_s": [[1e6] * nodes] * nodes, "gradient_bytes": 1000000},
    }


def catches(pid, numbers):
    """Whether the process has handlers of its own for all these signals (of INT alone Python has one too)."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            caught = int(line.split()[1], 16)
            return all(caught >> (number - 1) & 1 for number in numbers)
    return False


class PlanTest(cli.CliTestCase):
    def plan(self, problem, *options, name="s.json"):
        (self.folder / "p.json").write_text(json.dumps(problem))
        return cli.run("plan", "--problem", self.folder / "p.json", "--out", self.folder / name, *options)

    def solution(self, name="s.json"):
        return json.loads((self.folder / name).read_text())

    def test_both_tracks_and_objectives_pass_the_checker(self):
        for track in ("free", "strict"):
            for objective in ("makespan", "iteration"):
                problem = {**ring(), "objective": objective}
                done = self.plan(problem, "--track", track, "--evaluations", "20000")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("makespan_s", done.stdout)
                self.assertEqual(check_solution.check(problem, self.solution(), track), [])

    def test_the_checker_refuses_what_is_wrong(self):
        problem = ring()
        self.assertEqual(self.plan(problem, "--evaluations", "2000").returncode, 0)
        good = self.solution()

        def broken(change):
            solution = json.loads(json.dumps(good))
            change(solution)
            return " ".join(check_solution.check(problem, solution))

        first = good["micro_batches"][0]
        self.assertIn("transfer", broken(lambda s: s["micro_batches"][0].update(starts=[0.0] + first["starts"][1:2] * 4)))
        self.assertIn("makespan_s", broken(lambda s: s.update(makespan_s=s["makespan_s"] - 1)))
        self.assertIn("evaluations", broken(lambda s: s.pop("evaluations")))
        self.assertIn("solve_s", broken(lambda s: s.update(solve_s=-1)))
        self.assertIn("lower_bound_s", broken(lambda s: s.update(lower_bound_s=s["makespan_s"] + 1)))
        self.assertIn("arrangement", broken(lambda s: s["arrangement"][0].reverse() or s["arrangement"][1].__setitem__(0, 99)))
        # All micro-batches of a source at once: no node does two things, and none holds five.
        later = broken(lambda s: [b.update(starts=first["starts"]) for b in s["micro_batches"] if b["path"] == first["path"]])
        self.assertTrue("one at a time" in later or len({str(b["path"]) for b in good["micro_batches"]}) == 8, later)

    def test_extensions_pass_the_checker(self):
        split = {"split_backward": {"input_factor": 1, "weight_factor": 1}}
        for extension in ({"loss_at": "last"}, split, {"contention": "fair"}, {"contention": "serial", **split},
                          {"rotation": 2, "full_every": 5, **split}):
            for track in ("free", "strict"):
                problem = {**ring(), **extension}
                done = self.plan(problem, "--track", track, "--evaluations", "5000")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual("mean_s" in done.stdout, "full_every" in extension)
                self.assertEqual(check_solution.check(problem, self.solution(), track), [])
                self.assertEqual("weight_starts" in self.solution()["micro_batches"][0], "split_backward" in extension)

    def test_the_checker_refuses_wrong_extensions(self):
        problem = {**ring(), "split_backward": {"input_factor": 1, "weight_factor": 1}, "contention": "serial", "rotation": 2,
                   "full_every": 5}
        self.assertEqual(self.plan(problem, "--evaluations", "5000").returncode, 0)
        good = self.solution()

        def broken(change, **keys):
            solution = json.loads(json.dumps(good))
            change(solution)
            return " ".join(check_solution.check({**problem, **keys}, solution))

        def early(solution):
            batch = solution["micro_batches"][0]
            batch["weight_starts"][0] = batch["starts"][-1]

        self.assertEqual(broken(lambda s: None), "")
        self.assertIn("W after its B", broken(early))
        self.assertIn("weight_starts", broken(lambda s: s["micro_batches"][0]["weight_starts"].pop()))
        self.assertIn("mean_s", broken(lambda s: s.update(mean_s=s["mean_s"] + 1)))
        self.assertIn("visits", broken(lambda s: s["visits"][0].reverse() or s["visits"][0].append(0)))
        self.assertIn("rotations", broken(lambda s: s["rotations"].pop()))
        self.assertIn("rotations[0]: ", broken(lambda s: s["rotations"][0].update(makespan_s=1)))
        self.assertIn("full", broken(lambda s: s.pop("full")))
        self.assertIn("full: ", broken(lambda s: s["full"]["micro_batches"][0]["path"].pop()))
        # Twice as slow a way: what was in time is not, with or without turns.
        slower = [[2 * way for way in row] for row in problem["transfer_s"]]
        self.assertIn("transfer", broken(lambda s: None, transfer_s=slower))

    def test_evaluations_give_the_same_bytes(self):
        for name in ("a.json", "b.json"):
            self.assertEqual(self.plan(ring(), "--evaluations", "5000", "--seed", "3", "--threads", "2", name=name).returncode, 0)
        self.assertEqual((self.folder / "a.json").read_bytes(), (self.folder / "b.json").read_bytes())

    def test_json_on_stdout_is_the_solution(self):
        done = self.plan(ring(), "--evaluations", "500", "--json")
        self.assertEqual(json.loads(done.stdout), self.solution())

    def test_a_former_solution_keeps_its_arrangement(self):
        self.assertEqual(self.plan(ring(), "--evaluations", "5000").returncode, 0)
        slower = ring()
        slower["nodes"][0]["forward_s"] = 2
        done = self.plan(slower, "--evaluations", "5000", "--start", self.folder / "s.json", name="t.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.solution("t.json")["arrangement"], self.solution()["arrangement"])
        self.assertEqual(check_solution.check(slower, self.solution("t.json")), [])

    def test_a_signal_ends_the_search_with_the_best_plan_so_far(self):
        both = (signal.SIGINT, signal.SIGTERM)
        for number in both:
            out = self.folder / f"{number}.json"
            (self.folder / "p.json").write_text(json.dumps(ring()))
            job = self.job("plan", "--problem", self.folder / "p.json", "--evaluations", 10**12, "--out", out)
            cli.wait_until(lambda job=job: catches(job.process.pid, both))
            job.process.send_signal(number)
            said = job.wait()
            self.assertEqual(job.process.returncode, 75, said)
            self.assertIn("stopped by a signal", said)
            self.assertEqual(check_solution.check(ring(), json.loads(out.read_text())), [])

    def test_what_cannot_be_met_is_named(self):
        def refused(change, *words, options=()):
            problem = ring()
            change(problem)
            self.assert_refused(self.plan(problem, "--evaluations", "500", *options), 2, *words)

        refused(lambda p: p["nodes"][1].update(forward_s=-1), "nodes[1].forward_s", "-1")
        refused(lambda p: p["nodes"][1].update(memory_micro_batches=0), "nodes[1].memory_micro_batches")
        refused(lambda p: p["rules"].update(stage_quota=3), "stage_quota", "at least 4")
        refused(lambda p: p["reduce"].update(max_reduce_s=0.1), "p.json.reduce.max_reduce_s", "0.100")
        strict = ("--track", "strict")
        refused(lambda p: p.update(micro_batches_per_source=3), "p.json.nodes: got memory_micro_batches 2 (6 nodes)", "strict",
                "micro_batches_per_source, which is 3", options=strict)
        refused(lambda p: p.update(arrangement=[[0, 1], [2, 3], [4, 5]]) or p["nodes"][1].update(memory_micro_batches=4),
                "got memory_micro_batches 2 (node 0), 4 (node 1) of the arrangement's sources", options=strict)
        refused(lambda p: p.update(rules={"max_swaps": 0, "max_jump": 2, "stage_quota": 7}, stage_sizes=[3, 2, 1],
                                   nodes=[{"forward_s": 1, "memory_micro_batches": 1} for _ in range(6)]),
                "p.json.rules.stage_quota: got 7", "repeats each path 4 times", options=strict)
        refused(lambda p: None, "--seed", "-1", options=("--seed", "-1"))
        refused(lambda p: p.update(format="x"), "format")
        refused(lambda p: p["rules"].update(stage_qota=1), "`stage_qota` is no key", "did you mean `stage_quota`?")
        refused(lambda p: p.update(contention="some"), "contention", "none | fair | serial")
        refused(lambda p: p.update(full_every=0), "full_every")
        refused(lambda p: p.update(split_backward={"input_factor": 1}), "split_backward", "weight_factor")
        refused(lambda p: p.update(path_length=1, rotation=2), "rotation", "2 stages to visit")

    def test_limits_out_of_range_are_refused(self):
        def refused(*words, got, want):
            self.assert_refused(self.plan(ring(), *words), 2, words[0], f"got {got}, want {want}")

        for text in ("99999999999999999999", "1.5", "0", "-1", "1e3"):
            refused("--evaluations", text, got=text, want="a whole number from 1 to 1000000000000000")
        for text in ("1e300", "0", "nan", "x"):
            refused("--time-limit-s", text, got=text, want="seconds above 0, at most 31536000")
        refused("--threads", "2.5", got="2.5", want="a whole number from 1 to 256")
        refused("--seed", "18446744073709551616", got="18446744073709551616",
                want="a whole number from 0 to 18446744073709551615")

    def test_a_recipe_and_a_problem_exclude_each_other(self):
        (self.folder / "p.json").write_text("mine")
        done = cli.run("plan", self.recipe(), "--problem", self.folder / "p.json")
        self.assert_refused(done, 2, "got the recipe", "p.json, want one of them")
        self.assertEqual((self.folder / "p.json").read_text(), "mine")

    def test_a_start_that_is_no_solution_names_file_and_key(self):
        def refused(solution, *words):
            (self.folder / "s.json").write_text(json.dumps(solution))
            done = self.plan(ring(), "--evaluations", "500", "--start", self.folder / "s.json", name="t.json")
            self.assert_refused(done, 2, *words)
            self.assertNotIn("json.exception", done.stderr)

        places = [[0, 1], [2, 3], [4, 5]]
        refused({}, "s.json: has no `arrangement`")
        refused([1], "s.json: got [1], want an object")
        refused({"arrangement": places, "micro_batches": None}, "s.json.micro_batches: got null, want a list of micro-batches")
        refused({"arrangement": [[0, 9]]}, "s.json.arrangement[0][1]: got 9, want a whole number from 0 to 5")
        refused({"arrangement": places, "micro_batches": [{"path": "x"}]}, "s.json.micro_batches[0].path: got \"x\"")

    def test_files_that_are_not_there_or_not_json(self):
        self.assertEqual(cli.run("plan", "--problem", self.folder / "none.json").returncode, 66)
        (self.folder / "p.json").write_text("")
        self.assert_refused(cli.run("plan", "--problem", self.folder / "p.json"), 66, "--problem", "p.json", "empty")
        (self.folder / "p.json").write_text("{")
        self.assert_refused(cli.run("plan", "--problem", self.folder / "p.json"), 2, "p.json:1:2: got the end")
        self.assert_refused(cli.run("plan", "--problem", self.folder), 66, "--problem", "is a folder; want a JSON file")
        (self.folder / "p.json").write_text(json.dumps(ring())[:-1] + ', "gap_s": 1}')
        self.assert_refused(cli.run("plan", "--problem", self.folder / "p.json"), 2, "p.json", "the key \"gap_s\" a second time")
