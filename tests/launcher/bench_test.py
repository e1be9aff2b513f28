"""`ropewalk bench train`: the parts of a step, and the process that obeys lines. No time is asserted."""
import json
import os
import struct
import subprocess

import cli

PARTS = ["gemm", "attention", "rms_norm", "rope", "swiglu", "cross_entropy", "embedding", "element-wise", "optimizer",
         "gradient norm", "data wait", "exposed communication", "rest", "step"]


def as_printed(loss):
    """What metrics.jsonl holds of a loss: the f32 next to it, nine digits."""
    return float(f"{struct.unpack('f', struct.pack('f', loss))[0]:.9g}")


class Served:
    """`bench train --serve` in the background."""

    def __init__(self, *args, env=None):
        self.process = subprocess.Popen([cli.BINARY, "bench", "train", *map(str, args), "--serve"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**cli.os.environ, **(env or {})})

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def environment(self):
        with open(f"/proc/{self.process.pid}/environ", encoding="utf-8") as file:
            return dict(one.split("=", 1) for one in file.read().split("\0") if "=" in one)

    def close(self):
        self.process.communicate(timeout=60)
        return self.process.returncode


class BenchTest(cli.CliTestCase):
    def parts(self, *args, ranks=0):
        done = cli.run("bench", "train", *args, "--steps", 3, "--json", ranks=ranks)
        self.assert_ok(done)
        report = json.loads(done.stdout)
        self.assertEqual([part["name"] for part in report["parts"]], PARTS)
        return report, {part["name"]: part for part in report["parts"]}

    def test_parts_make_up_the_step(self):
        self.corpus()
        report, parts = self.parts(self.recipe())
        self.assertEqual(report["ranks"], 1)
        self.assertAlmostEqual(sum(part["ms"] for part in report["parts"][:-1]), parts["step"]["ms"], delta=1e-3)
        self.assertAlmostEqual(report["tokens_per_s"] * parts["step"]["ms"] / 1e3, 8 * 32, delta=0.01)
        for name in ("gemm", "attention", "rms_norm", "optimizer"):
            self.assertGreater(parts[name]["ms"], 0, name)
            self.assertGreater(parts[name]["limit_ms"], 0, name)
        self.assertFalse((self.folder / "run").exists(), "a measurement needs no output_dir")

    def test_random_data_needs_no_corpus(self):
        _, parts = self.parts(self.recipe(), "--random-data")
        self.assertGreater(parts["gemm"]["ms"], 0)
        self.assert_refused(cli.run("bench", "train", self.recipe()), 2, "no such file")

    def test_several_ranks_as_threads_and_as_processes(self):
        for ranks in (0, 2):
            report, parts = self.parts(self.recipe(parallel="{dp: 2, pp: 1}"), "--random-data", ranks=ranks)
            self.assertEqual(report["ranks"], 2)
            self.assertGreater(parts["exposed communication"]["ms"], 0)

    def test_the_table_has_every_part(self):
        done = cli.run("bench", "train", self.recipe(), "--random-data", "--steps", 2)
        self.assert_ok(done)
        for name in PARTS:
            self.assertIn("\n" + name + " ", done.stdout)

    def test_serves_the_losses_that_train_gives(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        side = Served(self.recipe())
        losses = side.ask(do="steps", count=2)["loss"] + side.ask(do="steps", count=1)["loss"]
        self.assertEqual(list(map(as_printed, losses)), cli.losses(self.folder / "run")[:3])
        self.assertGreater(side.ask(do="gemm")["gemm_flops"], 0)
        before = side.ask(do="memory")
        self.assertGreaterEqual(before["peak_bytes"], before["base_bytes"])
        self.assertEqual(side.ask(do="reset_memory"), {})
        counted_late = 64 * 4096 * os.cpu_count()  # pages that the kernel adds up per core before it counts them
        self.assertLessEqual(side.ask(do="memory")["peak_bytes"], before["peak_bytes"] + counted_late)
        self.assertEqual(side.close(), 0)

    def test_refuses_lines_and_ranks_that_it_cannot_serve(self):
        for line in ('{"do": "dance"}', '{"do": "steps", "count": "x"}', '{"do": "steps", "count": 0}', '{"do": 3}'):
            side = Served(self.recipe(), "--random-data")
            _, error = side.process.communicate(line + "\n", timeout=120)
            self.assertEqual(side.process.returncode, 2, error)
            self.assertIn(f"got '{json.dumps(json.loads(line), separators=(',', ':'))}'", error)
        self.assert_refused(cli.run("bench", "train", self.recipe(parallel="{dp: 2}"), "--random-data", "--serve"), 2,
                            "got 2 ranks, want 1")


class WaitingPolicyTest(cli.CliTestCase):
    def setUp(self):  # the tests' own policy goes, so that the program's shows
        super().setUp()
        kept = os.environ.pop("OMP_WAIT_POLICY", None)
        if kept is not None:
            self.addCleanup(os.environ.__setitem__, "OMP_WAIT_POLICY", kept)

    def environment(self, env=None):
        side = Served(self.recipe(), "--random-data", env=env)
        side.ask(do="steps", count=1)
        environment = side.environment()
        self.assertEqual(side.close(), 0)
        return environment

    def test_a_command_that_computes_sets_the_policy_and_keeps_its_arguments(self):
        self.assertTrue(int(self.environment()["GOMP_SPINCOUNT"]) >= 0)

    def test_the_users_own_policy_stands(self):
        self.assertNotIn("GOMP_SPINCOUNT", self.environment({"OMP_WAIT_POLICY": "passive"}))
        self.assertEqual(self.environment({"GOMP_SPINCOUNT": "7"})["GOMP_SPINCOUNT"], "7")

    def test_no_policy_changes_a_number(self):
        self.corpus()
        losses = []
        for name, env in (("default", {}), ("long", {"GOMP_SPINCOUNT": "100000"}),
                          ("passive", {"OMP_WAIT_POLICY": "passive"})):
            out = self.folder / name
            self.assert_ok(cli.run("train", self.recipe(), f"output_dir={out}", "train.max_steps=4",
                                   env={"OMP_NUM_THREADS": "2", **env}))
            losses.append(cli.losses(out))
        self.assertEqual(losses[0], losses[1])
        self.assertEqual(losses[0], losses[2])
