"""Training as processes under mpirun: the same bits as threads, resume after kill -9, hangs and deaths end the job."""
import hashlib
import os
import signal

import cli


def weights(folder):
    return hashlib.sha256((folder / "final" / "model.safetensors").read_bytes()).hexdigest()


class TrainMpiTest(cli.CliTestCase):
    def train(self, out, *more, ranks=0, recipe=None):
        recipe = recipe or self.recipe()
        return cli.run("train", recipe, f"output_dir={self.folder / out}", *more, ranks=ranks)

    def test_escapes_are_for_terminals_only(self):
        self.corpus()
        done = cli.run("train", self.recipe(parallel="{dp: 2, pp: 1}"), ranks=2)
        self.assert_ok(done)
        self.assertNotIn("\033", done.stdout)
        self.assertEqual(sum(line.startswith("step ") for line in done.stdout.splitlines()), 12)

    def test_threads_and_mpi_give_the_same_bits(self):
        self.corpus()
        for dp, pp, schedule in ((2, 1, "1f1b"), (1, 2, "gpipe"), (2, 2, "zero_bubble")):
            with self.subTest(dp=dp, pp=pp):
                keys = [f"parallel.dp={dp}", f"parallel.pp={pp}", f"pipeline.schedule={schedule}"]
                tag = f"{dp}{pp}"
                self.assert_ok(self.train("threads" + tag, *keys))
                self.assert_ok(self.train("mpi" + tag, *keys, ranks=dp * pp))
                threads, mpi = self.folder / ("threads" + tag), self.folder / ("mpi" + tag)
                self.assertEqual(len(cli.losses(threads)), 12)
                self.assertEqual(cli.losses(threads), cli.losses(mpi))
                self.assertEqual(weights(threads), weights(mpi))

    def test_resume_after_kill_of_all_is_bit_identical(self):
        self.corpus()
        for ranks, keys in ((1, []), (2, ["parallel.dp=2"]), (4, ["parallel.dp=2", "parallel.pp=2"])):
            with self.subTest(ranks=ranks):
                whole, cut = self.folder / f"whole{ranks}", self.folder / f"cut{ranks}"
                keys = [*keys, "train.max_steps=60"]
                self.assert_ok(self.train(whole.name, *keys, ranks=ranks))
                job = self.job("train", self.recipe(), f"output_dir={cut}", *keys, ranks=ranks)
                self.assertTrue(cli.wait_until(lambda: len(cli.metrics(cut)) >= 9))
                job.kill_all()
                self.assertLess(len(cli.metrics(cut)), 60)
                self.assert_ok(self.train(cut.name, *keys, "--resume", "auto", ranks=ranks))
                self.assertEqual([r["step"] for r in cli.metrics(cut)], list(range(1, 61)))
                self.assertEqual(cli.losses(whole), cli.losses(cut))
                self.assertEqual(weights(whole), weights(cut))

    def test_a_killed_rank_ends_the_job(self):
        self.corpus()
        recipe = self.recipe(train="{seq_len: 32, micro_batch_size: 2, global_batch_size: 8, max_steps: 100000}")
        job = self.job("train", recipe, "parallel.dp=2", ranks=2)
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(self.folder / "run")) >= 3))
        os.kill(job.rank_pids()[1], signal.SIGKILL)
        text = job.wait(timeout=30)
        self.assertNotEqual(job.process.returncode, 0, text)
        self.assertIn("signal 9", text)

    def test_a_stopped_rank_ends_the_job_and_is_named(self):
        self.corpus()
        recipe = self.recipe(train="{seq_len: 32, micro_batch_size: 2, global_batch_size: 8, max_steps: 100000}",
                             watchdog="{step_s: 4}")
        job = self.job("train", recipe, "parallel.dp=2", ranks=2)
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(self.folder / "run")) >= 3))
        os.kill(job.rank_pids()[1], signal.SIGSTOP)
        text = job.wait(timeout=60)
        self.assertEqual(job.process.returncode, 72, text)
        self.assertIn("rank 1", text)

    def test_a_rank_stopped_before_it_began_ends_the_job_and_is_named(self):
        self.corpus()
        recipe = self.recipe(train="{seq_len: 32, micro_batch_size: 2, global_batch_size: 8, max_steps: 100000}",
                             watchdog="{init_s: 4, step_s: 4}")
        # Not ropewalk: mpirun wakes what it ends, and may itself hang when a process joins a job that is ending.
        stopped = "kill -STOP $$; sleep 1000"
        job = self.job("train", recipe, "parallel.dp=2", ":", "-np", "1", "sh", "-c", stopped, ranks=1)
        text = job.wait(timeout=60)
        self.assertEqual(job.process.returncode, 72, text)
        self.assertIn("rank 1 is stopped", text)

    def test_usr1_saves_and_leaves_with_75(self):
        self.corpus()
        recipe = self.recipe(train="{seq_len: 32, micro_batch_size: 2, global_batch_size: 8, max_steps: 100000}",
                             checkpoint="{interval: 0}")
        job = self.job("train", recipe, "parallel.dp=2", ranks=2)
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(self.folder / "run")) >= 3))
        os.kill(job.process.pid, signal.SIGUSR1)  # mpirun forwards it
        text = job.wait(timeout=60)
        self.assertEqual(job.process.returncode, 75, text)
        done = len(cli.metrics(self.folder / "run"))
        more = cli.run("train", recipe, "parallel.dp=2", f"train.max_steps={done + 2}", "--resume", "auto", ranks=2)
        self.assert_ok(more)
        self.assertEqual(len(cli.metrics(self.folder / "run")), done + 2)

    def test_recipe_complaints_come_once(self):
        self.corpus()
        done = cli.run("train", self.recipe(train="{seq_len: 32, max_steps: 3, micro_batch: 2}"), "parallel.dp=2", ranks=2)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stderr.count("unknown key 'micro_batch'"), 1, done.stderr)

    def test_ranks_must_match_dp_times_pp(self):
        self.corpus()
        done = cli.run("train", self.recipe(), "parallel.dp=4", ranks=2)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("parallel", done.stderr)
