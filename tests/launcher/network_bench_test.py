"""What the scripts of benchmarks/network do without a network: refusals, plans without collision avoidance, readings of traces."""
import contextlib
import io
import json
import sys
import unittest.mock

import cli

sys.path.insert(0, str(cli.SOURCE / "benchmarks/network"))
import hosts  # noqa: E402
import plans  # noqa: E402
import skippipe  # noqa: E402
import traces  # noqa: E402


class NetworkBenchTest(cli.CliTestCase):
    def machine(self):
        transfer = [[0.0 if a == b else 0.01 + 0.003 * abs(a - b) for b in range(8)] for a in range(8)]
        return plans.Machine(0.06, transfer, 3, 12)

    def test_without_root_it_says_so(self):
        for script in (skippipe.main, lambda: hosts.needs_root("benchmarks/network/skippipe.py")):
            with unittest.mock.patch("os.geteuid", return_value=1), unittest.mock.patch("sys.argv", ["skippipe.py"]), \
                    self.assertRaises(SystemExit) as ended:
                script()
            self.assertIn("benchmarks/network/skippipe.py: needs root", str(ended.exception))

    def test_an_unknown_part_is_refused_at_the_start(self):
        errors = io.StringIO()
        with unittest.mock.patch("sys.argv", ["skippipe.py", "--parts", "table,x"]), contextlib.redirect_stderr(errors), \
                self.assertRaises(SystemExit) as ended:
            skippipe.main()
        self.assertEqual(ended.exception.code, 2)
        self.assertIn("got 'x', want some of table,planned,straggler", errors.getvalue())

    def test_paths_without_avoidance_keep_the_rules(self):
        machine = self.machine()
        for sizes in machine.sizes():
            arrangement, first = [], 0
            for size in sizes:
                arrangement.append(list(range(first, first + size)))
                first += size
            for length in (6, 4, 3):
                problem = machine.problem(sizes, length)
                solution = plans.without_avoidance(problem, arrangement)  # the checker has been over it
                self.assertEqual(len(solution["micro_batches"]), 12)
                shortest = min(plans.round_trip(problem, one["path"]) for one in solution["micro_batches"])
                self.assertGreaterEqual(solution["makespan_s"], shortest - 1e-9)

    def test_the_planner_is_no_worse_and_all_stage_sizes_are_tried(self):
        machine, planner = self.machine(), plans.Planner(cli.BINARY, self.folder)
        self.assertEqual(len(list(machine.sizes())), 21)
        problem = machine.problem([3, 1, 1, 1, 1, 1], 4)
        solution = planner.solve(problem, 1)
        plain = plans.without_avoidance(problem, solution["arrangement"])
        self.assertLess(solution["makespan_s"], plain["makespan_s"])
        problem["rules"]["stage_quota"] = 1
        self.assertIsNone(planner.solve(problem, 1))

    def test_steps_of_a_trace(self):
        events = [("forward", "compute", 0, 2), ("backward", "compute", 3, 4), ("reduce", "comm", 7, 9),
                  ("update", "compute", 16, 1), ("forward", "predicted", 0, 50), ("wait", "wait", 0, 3),
                  ("forward", "compute", 20, 2), ("backward_weight", "compute", 23, 1), ("update", "compute", 30, 1)]
        (self.folder / "trace").mkdir()
        for rank, late in ((0, 0), (1, 1)):
            (self.folder / "trace" / f"rank-{rank}.json").write_text(json.dumps(
                [{"ph": "X", "name": name, "cat": category, "ts": (begin + late) * 1e6, "dur": length * 1e6, "args": {"stage": 0}}
                 for name, category, begin, length in events]))
        ranks = traces.of_ranks(self.folder, 2)
        self.assertEqual([len(step) for step in ranks[0]], [4, 3])
        self.assertEqual([traces.passes_s(ranks, step) for step in (0, 1)], [8, 5])

    def test_runs_stay_in_a_folder_of_their_own(self):
        self.assertEqual(skippipe.folder_name("skippipe, patience 1 ms", 33, 3), "skippipe-patience-1-ms-skip-33-memory-3")
        work = skippipe.work_folder(self.folder / "new" / "work")
        self.assertTrue(work.is_dir())
        (work / "something").touch()
        with self.assertRaises(SystemExit) as ended:
            skippipe.work_folder(work)
        self.assertIn("which is not empty", str(ended.exception))

    def test_the_page_has_the_runs_of_the_table_in_its_order(self):
        self.corpus()
        runs = [self.folder / "02-second", self.folder / "01-first"]
        for run in runs:
            self.assert_ok(cli.run("train", self.recipe(), f"output_dir={run}", "train.max_steps=2"))
        bench = skippipe.Bench.__new__(skippipe.Bench)  # without a network
        bench.args, bench.folder, bench.table_runs = unittest.mock.Mock(binary=cli.BINARY), self.folder, []
        self.assertIsNone(bench.side_by_side())
        bench.table_runs = runs
        page = bench.side_by_side().read_text()
        self.assertIn("Plans side by side", page)
        self.assertLess(page.index(">02-second</a>"), page.index(">01-first</a>"))


if __name__ == "__main__":
    unittest.main()
