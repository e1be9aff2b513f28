"""50 times: kill -9 at a random moment, one rank or all, resume, and the end is the same to the bit."""
import os
import random
import signal
import time

import cli


class KillTest(cli.CliTestCase):
    """Seconds per kill on 2 cores, so under the label slow."""

    STEPS = 40

    def state(self, run):
        newest = sorted((self.folder / run / "checkpoints").glob("step-*"))[-1]
        shards = {path.name: path.read_bytes()[4096:] for path in newest.glob("*.shard")}
        return cli.losses(self.folder / run), (self.folder / run / "final" / "model.safetensors").read_bytes(), shards

    def interrupted(self, recipe, run, keys, ranks, dice):
        """One job that is killed once; then it goes on to its end."""
        job = self.job("train", recipe, f"output_dir={run}", *keys, ranks=ranks)
        moment = dice.randint(0, self.STEPS - 2)
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(run)) >= moment or job.process.poll() is not None))
        time.sleep(dice.random() * 0.02)
        victims = job.rank_pids()
        if dice.random() < 0.5:
            victims = [dice.choice(victims)]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        job.wait(timeout=60)
        done = cli.run("train", recipe, f"output_dir={run}", *keys, "--resume", "auto", ranks=ranks)
        self.assert_ok(done)

    def check(self, ranks, keys, times):
        self.corpus()
        recipe = self.recipe(train=f"{{seq_len: 32, micro_batch_size: 2, global_batch_size: 8, max_steps: {self.STEPS}}}")
        self.assert_ok(cli.run("train", recipe, f"output_dir={self.folder / 'whole'}", *keys, ranks=ranks))
        whole = self.state("whole")
        for i in range(times):
            run = self.folder / f"cut{i}"
            self.interrupted(recipe, run, keys, ranks, random.Random(1000 * ranks + i))
            losses, weights, shards = self.state(run.name)
            self.assertEqual(losses, whole[0], f"kill {i}")
            self.assertEqual(weights, whole[1], f"kill {i}")
            self.assertEqual(shards.keys(), whole[2].keys())
            for name, payload in shards.items():  # all but the pages that name the run
                self.assertEqual(payload[:len(payload) - 8192], whole[2][name][:len(payload) - 8192], f"kill {i}: {name}")

    def test_one_rank_18_times(self):
        self.check(1, [], 18)

    def test_two_ranks_16_times(self):
        self.check(2, ["parallel.dp=2"], 16)

    def test_four_ranks_16_times(self):
        self.check(4, ["parallel.dp=2", "parallel.pp=2", "pipeline.schedule=zero_bubble"], 16)
