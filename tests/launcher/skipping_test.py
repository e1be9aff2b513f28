"""Training with skipped stages, reports, and models with stages left out."""
import json
import re

import cli

SKIPS = ["parallel.pp=4", "pipeline.schedule=skippipe", "pipeline.skip_fraction=0.25"]


class SkippingTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()

    def train(self, *more, out="run", ranks=0):
        done = cli.run("train", self.recipe(), f"output_dir={self.folder / out}", *SKIPS, *more, ranks=ranks)
        self.assert_ok(done)
        return self.folder / out

    def test_loss_falls_and_the_report_has_plan_and_measure(self):
        run = self.train("train.max_steps=20", "log.timeline_interval=5")
        losses = cli.losses(run)
        self.assertEqual(len(losses), 20)
        self.assertLess(losses[-1], losses[0] - 0.5)
        lines = [json.loads(line) for line in (run / "plan" / "timeline.jsonl").read_text().splitlines()]
        self.assertEqual([line["step"] for line in lines], [2, 5, 10, 15, 20])
        self.assertEqual([len(line["ranks"]) for line in lines], [4] * 5)
        done = cli.run("report", run, "--json")
        self.assert_ok(done)
        told = json.loads(done.stdout)
        self.assertEqual((told["report"], told["steps"]), (str(run / "report.html"), 20))
        self.assertEqual([one["step"] for one in told["timelines"]], [2, 5, 10, 15, 20])
        self.assertNotIn("predicted_s", told["timelines"][0])
        self.assertGreater(told["timelines"][-1]["predicted_s"], 0)
        page = (run / "report.html").read_text()
        self.assertEqual(page.count("<svg"), 2)
        self.assertIn("<title>planned, forward", page)
        self.assertRegex(page, "for an? (activation|gradient) of rank [0-3]")
        lanes = set(re.findall(r'"cat":"(\w+)"', (run / "trace" / "rank-1.json").read_text()))
        self.assertLessEqual({"compute", "predicted", "wait"}, lanes)

    def test_replanning_keeps_training(self):
        run = self.train("train.max_steps=25", "pipeline.replan_share=0.000001")
        self.assertIn("planning anew in the background", (run / "log" / "rank-0.txt").read_text())
        self.assertLess(cli.losses(run)[-1], cli.losses(run)[0] - 0.5)

    def test_a_planners_solution(self):
        nodes = [{"name": f"n{i}", "forward_s": 1, "memory_micro_batches": 2} for i in range(3)]
        transfer = [[0.0] * 3 for _ in range(3)]
        problem, solution = self.folder / "problem.json", self.folder / "solution.json"
        problem.write_text(json.dumps({"format": "ropewalk-problem/1", "nodes": nodes, "transfer_s": transfer,
                                       "backward_factor": 2, "loss_factor": 0}))
        # Micro-batch m goes to node 1 or 2 and back, one after the other.
        walks = [{"path": [0, 1 + m % 2], "starts": [6 * m + t for t in (0, 1, 2, 2, 4)]} for m in range(4)]
        solution.write_text(json.dumps({"arrangement": [[0], [1], [2]], "micro_batches": walks}))
        keys = ["parallel.pp=3", "pipeline.schedule=skippipe", f"pipeline.problem={problem}",
                f"pipeline.solution={solution}"]
        recipe = self.recipe()
        self.assert_ok(cli.run("train", recipe, *keys))
        plan = json.loads((self.folder / "run" / "plan" / "plan.json").read_text())
        self.assertEqual(plan["paths"][1], [[0, 0], [2, 2], [3, 0]])
        self.assertEqual(len(plan["predicted"][0]), len(plan["operations"][0]))
        losses = cli.losses(self.folder / "run")
        self.assertLess(losses[-1], losses[0])
        # Another plan than that of the steps before is said when training goes on.
        done = cli.run("train", recipe, *keys[:2], "pipeline.skip_fraction=0.3333", f"output_dir={self.folder / 'run'}",
                       "--resume", "8")
        self.assert_ok(done)
        self.assertIn("resume: on another plan", (self.folder / "run" / "log" / "rank-0.txt").read_text())
        # What does not fit is named.
        self.assert_refused(cli.run("check", recipe, *keys, "parallel.pp=2"), 2, "pipeline.problem", "want 2 nodes")
        self.assert_refused(cli.run("check", recipe, *keys[:3]), 2, "pipeline.problem", "want both or neither")
        solution.write_text("{")
        self.assert_refused(cli.run("check", recipe, *keys), 65, "pipeline.solution", "solution.json:1:2: got the end")
        problem.write_text(json.dumps({"nodes": nodes}))
        self.assert_refused(cli.run("check", recipe, *keys), 65, "problem.json", "no `transfer_s`")

    def test_a_topology_is_planned_for_when_training_starts(self):
        nodes = [{"forward_s": 0.1 * (1 + i), "head_s": 0.05, "memory_micro_batches": 3} for i in range(3)]
        topology = self.folder / "topology.json"
        topology.write_text(json.dumps({"format": "ropewalk-topology/1", "nodes": nodes, "latency_s": [[0.01] * 3] * 3,
                                        "bandwidth_bytes_per_s": [[1e9] * 3] * 3}))
        keys = ["parallel.pp=3", "pipeline.schedule=skippipe", "pipeline.skip_fraction=0.33", f"pipeline.topology={topology}"]
        recipe = self.recipe()
        plans = []
        for out, ranks in (("threads", 0), ("processes", 3)):
            self.assert_ok(cli.run("train", recipe, *keys, f"output_dir={self.folder / out}", ranks=ranks))
            plans.append(json.loads((self.folder / out / "plan" / "plan.json").read_text()))
        self.assertEqual(plans[0], plans[1])
        self.assertTrue(all(len(path) == 3 for path in plans[0]["paths"]))  # two of three stages, and the head
        self.assertEqual(cli.losses(self.folder / "threads"), cli.losses(self.folder / "processes"))
        for more, words in ((["parallel.pp=2", "pipeline.skip_fraction=0"], ["topology", "got 3 nodes, want 2"]),
                            ([f"pipeline.problem={topology}", f"pipeline.solution={topology}"],
                             ["pipeline.topology", "want one of them"]),
                            (["pipeline.schedule=1f1b", "pipeline.skip_fraction=0"], ["pipeline.topology", "skippipe alone"]),
                            (["pipeline.topology=/nowhere.json"], ["pipeline.topology", "want a JSON file"])):
            self.assert_refused(cli.run("check", recipe, *keys, *more), 2, *words)

    def test_plans_take_turns(self):
        keys = ["parallel.pp=3", "pipeline.skip_fraction=0.33", "pipeline.rotation=2", "pipeline.full_every=3",
                "train.max_steps=7", "checkpoint.interval=2", "checkpoint.keep_latest_k=9"]
        run = self.train(*keys)
        names = ["plan.json", "plan.2.json", "plan.3.json"]
        paths = [json.loads((run / "plan" / name).read_text())["paths"] for name in names]
        self.assertEqual([[stage for stage, _ in plan[0]] for plan in paths], [[0, 1, 3], [0, 2, 3], [0, 1, 2, 3]])
        self.assertEqual(len(list((run / "plan").glob("plan*.json"))), 3)
        whole = cli.losses(run)
        lines = [json.loads(line) for line in (run / "plan" / "timeline.jsonl").read_text().splitlines()]
        self.assertEqual([line["plan"] for line in lines][:1], ["plan 2 of 2"])  # step 2
        # Which turn a step takes is known from its number alone.
        self.train(*keys, "--resume", "4")
        self.assertEqual(cli.losses(run), whole)
        log = (run / "log" / "rank-0.txt").read_text()
        self.assertIn("resume: going on after step 4", log)
        self.assertNotIn("another plan", log)

    def test_a_solution_with_turns_is_run(self):
        nodes = [{"forward_s": 1.0, "memory_micro_batches": 3} for _ in range(3)]
        problem = {"format": "ropewalk-problem/1", "nodes": nodes, "transfer_s": [[0.0] * 3] * 3, "backward_factor": 2,
                   "loss_factor": 0.25, "gap_s": 0, "gap_first_forward_s": 0, "stage_sizes": [1, 1, 1], "path_length": 2,
                   "micro_batches_per_source": 4, "rules": {"max_swaps": 0, "max_jump": 2, "stage_quota": 2},
                   "rotation": 2, "full_every": 3}
        file, solution = self.folder / "p.json", self.folder / "s.json"
        file.write_text(json.dumps(problem))
        self.assert_ok(cli.run("plan", "--problem", file, "--out", solution, "--evaluations", "2000"))
        keys = ["parallel.pp=3", "pipeline.schedule=skippipe", f"pipeline.problem={file}", f"pipeline.solution={solution}"]
        recipe = self.recipe()
        self.assert_ok(cli.run("train", recipe, *keys))
        plan = json.loads((self.folder / "run" / "plan" / "plan.3.json").read_text())
        self.assertTrue(all(len(path) == 4 for path in plan["paths"]))
        good = json.loads(solution.read_text())
        for wrong, word in (({}, "s.json: has no `arrangement`"), ({**good, "micro_batches": None}, "s.json.micro_batches: got null"),
                            ({**good, "micro_batches": []}, "s.json.micro_batches: got an empty list"),
                            ({**good, "rotations": [{}]}, "s.json.rotations[0]: has no `micro_batches`"),
                            ({**good, "full": 1}, "s.json.full: got 1, want an object")):
            solution.write_text(json.dumps(wrong))
            done = cli.run("check", recipe, *keys)
            self.assert_refused(done, 65, word)
            self.assertNotIn("json.exception", done.stderr)
        solution.write_text(json.dumps(good))
        self.assertEqual(len(good["rotations"]), 1)
        # A share of skipped stages beside a solution has to be the solution's; full iterations do not count.
        self.assert_ok(cli.run("check", recipe, *keys, "pipeline.skip_fraction=0.3333"))
        self.assert_refused(cli.run("check", recipe, *keys, "pipeline.skip_fraction=0.01"), 2,
                            "pipeline.skip_fraction: got 0.01", "visit 2 of 3 stages; want 0.3333")
        by_turns = cli.losses(self.folder / "run")
        # The loss where paths end: other ranks, the same step by step but for the order of sums, once the paths are the same.
        file.write_text(json.dumps({**problem, "loss_at": "last"}))
        self.assert_ok(cli.run("train", recipe, *keys, f"output_dir={self.folder / 'last'}"))
        plan = json.loads((self.folder / "last" / "plan" / "plan.json").read_text())
        self.assertTrue(all(path[-1] == [3, path[-2][1]] for path in plan["paths"]), plan["paths"])
        for one, other in zip(cli.losses(self.folder / "last"), by_turns, strict=True):
            self.assertAlmostEqual(one, other, delta=1e-4)
        file.write_text(json.dumps(problem))
        for more, words in (("pipeline.rotation=2", ["pipeline.rotation", "beside pipeline.solution"]),
                            ("pipeline.replan_share=0.2", ["pipeline.replan_share", "with 3 plans that take turns"])):
            self.assert_refused(cli.run("check", recipe, *keys, more), 2, *words)
        file.write_text(json.dumps({**problem, "full_every": 0}))
        self.assert_refused(cli.run("check", recipe, *keys), 65, "p.json.full_every", "got 0; want a whole number >= 1")
        for more, words in ((["pipeline.rotation=2"], ["pipeline.rotation", "skippipe alone"]),
                            (["pipeline.schedule=skippipe", "parallel.pp=4", "pipeline.skip_fraction=0.5",
                              "pipeline.rotation=2"], ["pipeline.rotation", "want at least 3"]),
                            (["pipeline.schedule=skippipe", "pipeline.rotation=2", "pipeline.replan_share=1"],
                             ["pipeline.replan_share", "take turns"])):
            self.assert_refused(cli.run("check", recipe, *more), 2, *words)

    def test_weight_gradients_in_turns_of_their_own_train_the_same(self):
        nodes = [{"forward_s": 1, "memory_micro_batches": 2} for _ in range(3)]
        problem = {"format": "ropewalk-problem/1", "nodes": nodes, "transfer_s": [[0.0] * 3] * 3, "backward_factor": 2,
                   "loss_factor": 0}
        paths = [[0, 1 + m % 2] for m in range(4)]
        whole = [{"path": path, "starts": [6 * m + t for t in (0, 1, 2, 2, 4)]} for m, path in enumerate(paths)]
        # The source goes on to the next micro-batch before it comes to its weight gradient.
        split = [{"path": path, "starts": [5 * m + t for t in (0, 1, 2, 2, 3)], "weight_starts": [5 * m + 6, 5 * m + 3]}
                 for m, path in enumerate(paths)]
        losses = {}
        for name, micro_batches, keys in (("whole", whole, {}), ("split", split, {"split_backward": {"input_factor": 1,
                                                                                                     "weight_factor": 1}})):
            (self.folder / "p.json").write_text(json.dumps({**problem, **keys}))
            (self.folder / "s.json").write_text(json.dumps({"arrangement": [[0], [1], [2]], "micro_batches": micro_batches}))
            self.assert_ok(cli.run("train", self.recipe(), "parallel.pp=3", "pipeline.schedule=skippipe",
                                   f"pipeline.problem={self.folder / 'p.json'}", f"pipeline.solution={self.folder / 's.json'}",
                                   f"output_dir={self.folder / name}"))
            plan = json.loads((self.folder / name / "plan" / "plan.json").read_text())
            self.assertEqual("backward_weight" in json.dumps(plan), name == "split")
            losses[name] = cli.losses(self.folder / name)
        for one, other in zip(losses["whole"], losses["split"], strict=True):
            self.assertAlmostEqual(one, other, delta=1e-5)

    def test_times_of_a_problem_are_played(self):
        nodes = [{"forward_s": 0.004, "memory_micro_batches": 2} for _ in range(2)]
        problem = self.folder / "problem.json"
        problem.write_text(json.dumps({"format": "ropewalk-problem/1", "nodes": nodes, "transfer_s": [[0, 0], [0, 0]],
                                       "backward_factor": 2, "loss_factor": 0.5}))
        recipe = self.recipe()
        keys = ["parallel.pp=2", "train.max_steps=3", "log.timeline_interval=1"]
        plays = ["pipeline.emulate=true", f"pipeline.problem={problem}", "pipeline.emulate_slow=[1, 3, 2]"]
        for schedule in ("zero_bubble", "skippipe"):
            runs = []
            for name, more in (("free", []), ("played", plays)):
                out = self.folder / f"{schedule}-{name}"
                done = cli.run("train", recipe, f"output_dir={out}", f"pipeline.schedule={schedule}", *keys, *more)
                self.assert_ok(done)
                runs.append(out)
            self.assertEqual(cli.losses(runs[0]), cli.losses(runs[1]))
            lines = [json.loads(line) for line in (runs[1] / "plan" / "timeline.jsonl").read_text().splitlines()]
            for step, rank, least in ((2, 0, 0.004), (2, 1, 0.004), (3, 1, 0.008)):
                line = next(line for line in lines if line["step"] == step)
                forwards = [one for one in line["ranks"][rank]["operations"] if one[0] == "forward"]
                self.assertGreater(len(forwards), 0)
                self.assertGreaterEqual(min(one[4] - one[3] for one in forwards), least)
        for keys, words in (([plays[0]], ["pipeline.emulate", "without pipeline.problem"]),
                            (plays[:2], ["pipeline.problem", "want 1 nodes"]),
                            (["parallel.pp=2", *plays[:2], "pipeline.emulate_slow=[2, 3, 2]"],
                             ["pipeline.emulate_slow", "a rank below 2"]),
                            (["parallel.pp=2", plays[2]], ["pipeline.emulate_slow", "without pipeline.emulate"])):
            self.assert_refused(cli.run("check", recipe, *keys), 2, *words)

    def test_what_cannot_be_skipped_is_refused_at_its_key(self):
        recipe = self.recipe()
        self.assert_refused(cli.run("check", recipe, *SKIPS, "pipeline.skip_fraction=0.3"), 2,
                            "pipeline.skip_fraction: got 0.3", "try one of 0, 0.25, 0.5")
        self.assert_refused(cli.run("check", recipe, "pipeline.skip_fraction=0.5", "parallel.pp=4"), 2,
                            "pipeline.skip_fraction", "skippipe alone")

    def test_a_report_of_nothing_is_refused(self):
        self.assert_refused(cli.run("report", self.folder / "none"), 66, "metrics.jsonl", "output_dir of a training")


class KeepStagesTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(), "train.max_steps=3"))
        self.text = self.folder / "text.txt"
        self.text.write_text((cli.SOURCE / "README.md").read_text()[:3000])

    def eval(self, *more):
        done = cli.run("eval", "--model", self.folder / "run" / "final", "--text", self.text, "--seq-len", 64, "--json",
                       *more)
        self.assert_ok(done)
        return json.loads(done.stdout)

    def test_all_stages_are_the_model_itself(self):
        whole = self.eval()
        kept = self.eval("--stages", 2, "--keep-stages", "0,1")
        self.assertEqual(kept["loss"], whole["loss"])
        self.assertEqual(kept["layers_kept_mean"], 4)
        self.assertEqual(self.eval("--stages", 2, "--keep-stages", "random:2")["loss"], whole["loss"])

    def test_left_out_stages_change_the_loss_and_lots_repeat(self):
        whole = self.eval()
        half = self.eval("--stages", 2, "--keep-stages", 0)
        self.assertNotEqual(half["loss"], whole["loss"])
        self.assertEqual(half["predicted_tokens"], whole["predicted_tokens"])
        self.assertEqual(half["layers_kept_mean"], 2)
        lots = [self.eval("--stages", 4, "--keep-stages", f"random:2:{seed}") for seed in (1, 1, 2)]
        self.assertEqual(lots[0]["loss"], lots[1]["loss"])
        self.assertNotEqual(lots[0]["loss"], lots[2]["loss"])
        named = [self.eval("--keep-stages", f"0,{other}")["loss"] for other in (1, 2, 3)]
        self.assertTrue(min(named) < lots[0]["loss"] < max(named))  # each window is one of these

    def test_nonsense_is_refused(self):
        for word in ("1,2", "0,9", "0,0", "x", "random:0", "random:9", "random:2:x", "random"):
            done = cli.run("eval", "--model", self.folder / "run" / "final", "--text", self.text, "--keep-stages", word)
            self.assert_refused(done, 2, "--keep-stages: got", "0 among them")
        done = cli.run("eval", "--model", self.folder / "run" / "final", "--text", self.text, "--stages", 9,
                       "--keep-stages", "0")
        self.assert_refused(done, 2, "--stages: got 9")
        done = cli.run("eval", "--model", self.folder / "run" / "final", "--text", self.text, "--stages", 4,
                       "--keep-stages", "")
        self.assert_refused(done, 2, "--keep-stages: got an empty text, want stages such as 0,2,3")
