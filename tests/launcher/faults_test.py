"""Signals and faults in each phase of a run: the exit code, and what is on disk (docs/faults.md)."""
import os
import shutil
import signal
import time

import cli

STEPS = 1000000


class FaultsTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()
        self.out = self.folder / "run"

    def start(self, *more, ranks=0, **sections):
        if "--resume" not in more:  # what is there belongs to this job
            shutil.rmtree(self.out, True)
        return self.job("train", self.recipe(**sections), *more, ranks=ranks)

    def long(self, *more, ranks=0, **sections):
        """A training in its steps, which has saved nothing yet."""
        job = self.start(f"train.max_steps={STEPS}", "checkpoint.interval=0", *more, ranks=ranks, **sections)
        self.assertTrue(cli.wait_until(lambda: cli.metrics(self.out)))
        return job

    def handles(self, job):
        """Whether every rank answers signals already."""
        def caught(pid):
            try:
                with open(f"/proc/{pid}/status", encoding="ascii") as status:
                    mask = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
            except (OSError, StopIteration):
                return 0
            return mask >> (signal.SIGUSR1 - 1) & 1 and mask >> (signal.SIGUSR2 - 1) & 1
        pids = job.rank_pids()
        return all(caught(pid) for pid in pids)

    def committed(self):
        return sorted(path.parent.name for path in self.out.glob("checkpoints/step-*/MANIFEST.pb"))

    def assert_ends(self, job, code, *words, timeout=30):
        text = job.wait(timeout)
        self.assertEqual(job.process.returncode, code, text[-2000:])
        for word in words:
            self.assertIn(word, text)
        self.assertNotIn("a bug", text)
        return text

    def save(self, job):
        job.process.send_signal(signal.SIGUSR2)
        self.assertTrue(cli.wait_until(self.committed))

    # Start: from the first moment on.

    def early(self, number, code, *words):
        for delay in (0, 0.02, 0.1):
            job = self.start(f"train.max_steps={STEPS}", "checkpoint.interval=0")
            self.assertTrue(cli.wait_until(lambda: self.handles(job), 10))
            time.sleep(delay)
            job.process.send_signal(number)
            if code is None:
                self.assertTrue(cli.wait_until(lambda: "nothing new to save" in self.log_of(job) or self.committed()))
                job.process.send_signal(signal.SIGTERM)
                self.assert_ends(job, 143)
                continue
            text = job.wait(30)
            self.assertEqual(job.process.returncode, code, text)
            if not self.committed():
                self.assertTrue(any(word in text for word in words), text)

    @staticmethod
    def log_of(job):
        job.log.flush()
        with open(f"/proc/self/fd/{job.log.fileno()}", encoding="utf-8") as log:
            return log.read()

    def test_usr1_in_a_start_ends_it_with_75(self):
        self.early(signal.SIGUSR1, 75, "asked to leave before the first step: nothing to save")

    def test_usr2_in_a_start_is_answered(self):
        self.early(signal.SIGUSR2, None)

    def test_term_in_a_start_ends_it_with_143(self):
        self.early(signal.SIGTERM, 143, "")

    def test_int_in_a_start_ends_it_with_130(self):
        self.early(signal.SIGINT, 130, "asked to leave at once: nothing was saved")

    # Restore: a resume that has its checkpoint and no step yet.

    def test_signals_in_a_restore(self):
        self.assert_ok(cli.run("train", self.recipe()))
        before = self.committed()
        lines = len(cli.metrics(self.out))
        for number, code in ((signal.SIGUSR1, 75), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
            job = self.start(f"train.max_steps={STEPS}", "checkpoint.interval=0", "--resume", "auto")
            self.assertTrue(cli.wait_until(lambda job=job: self.handles(job), 10))
            job.process.send_signal(number)
            text = self.assert_ends(job, code)
            if number == signal.SIGUSR1 and self.committed() == before:
                self.assertIn("nothing new to save, step 12 is committed", text)
            self.assertTrue(set(before[1:]) <= set(self.committed()))
        self.assert_ok(cli.run("ckpt", "verify", self.out))
        self.assertGreaterEqual(len(cli.metrics(self.out)), lines)

    # Steps.

    def test_signals_in_steps(self):
        job = self.long()
        self.save(job)
        job.process.send_signal(signal.SIGTERM)
        self.assert_ends(job, 143)
        self.assertEqual(len(self.committed()), 1)
        job = self.start(f"train.max_steps={STEPS}", "checkpoint.interval=0", "--resume", "auto")
        lines = len(cli.metrics(self.out))
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(self.out)) > lines))
        job.process.send_signal(signal.SIGUSR1)
        self.assert_ends(job, 75, "the checkpoint is committed")
        self.assertEqual(len(self.committed()), 2)
        self.assertFalse((self.out / "final").exists())
        job = self.start(f"train.max_steps={STEPS}", "checkpoint.interval=0", "--resume", "auto")
        lines = len(cli.metrics(self.out))
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(self.out)) > lines))
        job.process.send_signal(signal.SIGINT)
        self.assert_ends(job, 130, "nothing was saved")
        self.assert_ok(cli.run("ckpt", "verify", self.out))

    def test_term_ends_a_step_that_takes_longer_than_a_second(self):
        job = self.start(train="{seq_len: 512, micro_batch_size: 2, global_batch_size: 4000, max_steps: 100}",
                         checkpoint="{interval: 0}")
        self.assertTrue(cli.wait_until(lambda: (self.out / "metrics.jsonl").exists()))
        time.sleep(0.5)
        job.process.send_signal(signal.SIGTERM)
        self.assert_ends(job, 143, "asked to leave at once: nothing was saved")
        self.assertEqual(cli.metrics(self.out), [])

    def test_a_corpus_truncated_in_steps(self):
        for more in ((), ("parallel.pp=2",)):
            job = self.long(*more)
            self.save(job)
            os.truncate(self.folder / "corpus.h5", 0)
            self.assert_ends(job, 65, "corpus.h5: became shorter")
            self.assert_ok(cli.run("ckpt", "verify", self.out))
            self.corpus()

    # Saves.

    def test_signals_in_saves(self):
        for number, code in ((signal.SIGUSR1, 75), (signal.SIGUSR2, None), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
            job = self.start(f"train.max_steps={STEPS}", "checkpoint.interval=1")
            self.assertTrue(cli.wait_until(lambda: len(self.committed()) >= 2))
            job.process.send_signal(number)
            if code is None:
                step = len(cli.metrics(self.out))
                self.assertTrue(cli.wait_until(lambda step=step: len(cli.metrics(self.out)) > step + 2))
                job.process.send_signal(signal.SIGTERM)
                code = 143
            self.assert_ends(job, code)
            self.assert_ok(cli.run("ckpt", "verify", self.out))

    # Validation.

    def validating(self):
        """In its first validation, which takes long."""
        text = (cli.SOURCE / "README.md").read_text() * 400
        self.corpus("long.h5", text=text)
        job = self.start(data=f"{{sources: [{{path: {self.folder}/corpus.h5}}], validation_interval: 1, validation_rows: 100000, "
                         f"validation: [{{path: {self.folder}/long.h5}}]}}")
        self.assertTrue(cli.wait_until(lambda: (self.out / "metrics.jsonl").exists()))
        time.sleep(0.5)
        return job

    def test_signals_in_validation(self):
        job = self.validating()
        job.process.send_signal(signal.SIGTERM)
        self.assert_ends(job, 143)
        self.assertEqual(self.committed(), [])
        job = self.validating()
        job.process.send_signal(signal.SIGINT)
        self.assert_ends(job, 130)
        job = self.validating()
        os.truncate(self.folder / "long.h5", 0)
        self.assert_ends(job, 65, "long.h5: became shorter")


if __name__ == "__main__":
    import unittest
    unittest.main()
