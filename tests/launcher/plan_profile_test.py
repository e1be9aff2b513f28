"""Plans for recipes: measured or written topologies, problems and solutions that training takes."""
import json
import shlex

import cli

SKIPS = ["parallel.pp=4", "pipeline.schedule=skippipe", "pipeline.skip_fraction=0.25"]


class PlanProfileTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()
        self.out = self.folder / "run"
        self.words = [self.recipe(), *SKIPS, f"output_dir={self.out}"]

    def plan(self, *more):
        return cli.run("plan", *self.words, "--evaluations", "3000", *more)

    def test_profile_plan_train(self):
        done = self.plan("--profile", "data.sources=[{path: " + str(self.folder / "corpus.h5") + "}]")
        self.assert_ok(done)
        topology = json.loads((self.out / "plan" / "topology.json").read_text())
        self.assertEqual(len(topology["nodes"]), 4)
        for node in topology["nodes"]:
            self.assertEqual(len(node["forward_s"]), 4)
            self.assertTrue(all(seconds > 0 for seconds in node["forward_s"] + node["backward_weight_s"]))
            self.assertGreater(node["memory_micro_batches"], 0)
        solution = json.loads((self.out / "plan" / "solution.json").read_text())
        self.assertEqual({len(one["path"]) for one in solution["micro_batches"]}, {3})
        said = next(line for line in done.stdout.splitlines() if line.startswith("train with: ropewalk "))
        command = shlex.split(said)[3:]
        self.assertIn("'data.sources=[{path: ", said)
        self.assertEqual(command[:2], ["train", str(self.words[0])])
        self.assertIn(f"pipeline.solution={self.out / 'plan' / 'solution.json'}", command)
        self.assert_ok(cli.run(*command))
        losses = cli.losses(self.out)
        self.assertLess(losses[-1], losses[0])

    def test_measured_memory_suits_the_strict_track(self):
        self.assert_ok(self.plan("--profile", "--track", "strict"))
        topology = json.loads((self.out / "plan" / "topology.json").read_text())
        self.assertGreater(min(node["memory_micro_batches"] for node in topology["nodes"]), 4)  # of a step: 4
        problem = json.loads((self.out / "plan" / "problem.json").read_text())
        self.assertEqual([node["memory_micro_batches"] for node in problem["nodes"]], [4] * 4)

    def test_a_slow_node_in_a_written_topology_is_visited_less(self):
        nodes = [{"forward_s": 1, "memory_micro_batches": 4} for _ in range(8)]
        nodes[5]["forward_s"] = 4
        table = [[0 if i == j else 0.01 for j in range(8)] for i in range(8)]
        wide = [[1e9] * 8 for _ in range(8)]
        path = self.folder / "topology.json"
        path.write_text(json.dumps({"format": "ropewalk-topology/1", "nodes": nodes, "latency_s": table,
                                    "bandwidth_bytes_per_s": wide}))
        self.assert_ok(self.plan("parallel.dp=2", "train.global_batch_size=16", "--topology", path))
        solution = json.loads((self.out / "plan" / "solution.json").read_text())
        visits = [sum(one["path"].count(node) for one in solution["micro_batches"]) for node in range(8)]
        self.assertEqual(visits[5], min(visits))
        nodes[5]["forward_s"] = -4
        path.write_text(json.dumps({"format": "ropewalk-topology/1", "nodes": nodes, "latency_s": table,
                                    "bandwidth_bytes_per_s": wide}))
        self.assert_refused(self.plan("parallel.dp=2", "--topology", path), 2, "nodes[5].forward_s: got -4")
        self.assert_refused(self.plan("--topology", self.folder / "none.json"), 66, "none.json")
        self.assert_refused(self.plan(), 2, "topology.json is not there yet; want --profile")

    def test_a_single_rank_has_nothing_to_plan(self):
        done = cli.run("plan", self.recipe(), "--profile")
        self.assert_refused(done, 2, "parallel: got dp 1 and pp 1", "at least two", "parallel.pp=2")
        self.assertNotIn("problem.json", done.stderr)
        self.assertFalse((self.folder / "run" / "plan" / "topology.json").exists())

    def test_a_topology_of_other_ranks_is_refused(self):
        nodes = [{"forward_s": 1, "memory_micro_batches": 4} for _ in range(3)]
        path = self.folder / "topology.json"
        path.write_text(json.dumps({"format": "ropewalk-topology/1", "nodes": nodes, "latency_s": [[0] * 3] * 3,
                                    "bandwidth_bytes_per_s": [[1] * 3] * 3}))
        self.assert_refused(self.plan("--topology", path), 2, "got 3 nodes, want 4")
        self.assert_refused(cli.run("plan", "--profile"), 2, "want RECIPE.yaml")
