"""ZeRO-1 and bf16 gradients through the program: threads and processes, resume, changing over at a checkpoint."""
import hashlib
import json

import cli


def digest(folder):
    return hashlib.sha256((folder / "final" / "model.safetensors").read_bytes()).hexdigest()


class ZeroTest(cli.CliTestCase):
    def train(self, out, *more, ranks=0):
        return cli.run("train", self.recipe(), f"output_dir={self.folder / out}", *more, ranks=ranks)

    def same_state(self, a, b):
        """Every tensor of two checkpoints of the last step, moments included."""
        done = cli.run("ckpt", "diff", self.folder / a, self.folder / b, "--json")
        self.assert_ok(done)
        return json.loads(done.stdout)["different"]

    def test_threads_and_processes_and_a_whole_optimizer_give_the_same_bits(self):
        self.corpus()
        for wire in ("f32", "bf16"):
            keys = ["parallel.dp=2", "parallel.pp=2", f"parallel.reduce_dtype={wire}", "model.tie_word_embeddings=true"]
            whole, threads, mpi = f"whole-{wire}", f"threads-{wire}", f"mpi-{wire}"
            self.assert_ok(self.train(whole, *keys))
            self.assert_ok(self.train(threads, *keys, "parallel.zero=1"))
            self.assert_ok(self.train(mpi, *keys, "parallel.zero=1", "pipeline.bucket_bytes=1000", ranks=4))
            for other in (threads, mpi):
                self.assertEqual(cli.losses(self.folder / whole), cli.losses(self.folder / other))
                self.assertEqual(digest(self.folder / whole), digest(self.folder / other))
                self.assertEqual(self.same_state(whole, other), [])
        self.assertNotEqual(digest(self.folder / "whole-f32"), digest(self.folder / "whole-bf16"))

    def test_resume_after_kill_is_bit_identical(self):
        self.corpus()
        for ranks in (2, 4):
            keys = [f"parallel.dp={ranks}", "parallel.zero=1", "train.max_steps=40"]
            whole, cut = f"whole{ranks}", f"cut{ranks}"
            self.assert_ok(self.train(whole, *keys, ranks=ranks))
            job = self.job("train", self.recipe(), f"output_dir={self.folder / cut}", *keys, ranks=ranks)
            self.assertTrue(cli.wait_until(lambda: len(cli.metrics(self.folder / cut)) >= 9))
            job.kill_all()
            self.assert_ok(self.train(cut, *keys, "--resume", "auto", ranks=ranks))
            self.assertEqual(cli.losses(self.folder / whole), cli.losses(self.folder / cut))
            self.assertEqual(self.same_state(whole, cut), [])

    def test_a_checkpoint_goes_on_with_and_without_sharding(self):
        self.corpus()
        keys = ["parallel.dp=2", "train.max_steps=8"]
        self.assert_ok(self.train("whole", *keys))
        for first, then in ((0, 1), (1, 0)):
            out = f"from{first}"
            self.assert_ok(self.train(out, "parallel.dp=2", "train.max_steps=4", f"parallel.zero={first}"))
            self.assert_ok(self.train(out, *keys, f"parallel.zero={then}", "--resume", "auto"))
            self.assertEqual(cli.losses(self.folder / "whole"), cli.losses(self.folder / out))
            self.assertEqual(self.same_state("whole", out), [])

    def test_a_sharded_checkpoint_verifies_and_exports(self):
        self.corpus()
        self.assert_ok(self.train("run", "parallel.dp=2", "parallel.zero=1"))
        self.assert_ok(cli.run("ckpt", "verify", self.folder / "run"))
        out = self.folder / "exported"
        self.assert_ok(cli.run("ckpt", "export", self.folder / "run", "--out", out))
        exported = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
        self.assertEqual(exported, digest(self.folder / "run"))
