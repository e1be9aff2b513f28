"""Resume from the outside: what it may change, what it refuses, and that nothing is lost on the way."""
import hashlib
import os
import shutil
import signal

import cli

CHECKPOINTS = "{interval: 3, keep_latest_k: 9}"


class ResumeTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()
        self.out = self.folder / "run"

    def train(self, *words, ranks=0):
        return cli.run("train", self.recipe(checkpoint=CHECKPOINTS), *words, ranks=ranks)

    def steps(self):
        return sorted(int(path.parent.name.split("-")[1]) for path in self.out.glob("checkpoints/step-*/MANIFEST.pb"))

    def everything(self):
        """All files of the run but its lock, with their digests; folders and links by name."""
        return {str(path.relative_to(self.out)): hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else ""
                for path in self.out.rglob("*") if path.name != ".lock"}

    def assert_unchanged(self, code, *words, args=("--resume", "auto"), ranks=0):
        before = self.everything()
        done = self.train(*args, ranks=ranks)
        self.assert_refused(done, code, *words)
        self.assertEqual(self.everything(), before)
        return done

    def flip(self, pattern, offset):
        for path in self.out.glob(pattern):
            data = bytearray(path.read_bytes())
            data[offset] ^= 1
            path.write_bytes(data)

    def test_auto_starts_anew_only_where_nothing_was_committed(self):
        self.assert_ok(self.train())
        shutil.copytree(self.out, self.folder / "good", symlinks=True)
        checkpoints = self.out / "checkpoints"

        def loop():
            for path in checkpoints.glob("step-*"):
                shutil.rmtree(path)
                path.symlink_to(path.name)

        def nowhere():
            checkpoints.rename(self.folder / "away")
            checkpoints.symlink_to(self.folder / "not mounted")

        def a_file():
            shutil.rmtree(checkpoints)
            checkpoints.write_text("")

        faults = {
            "layout": lambda: self.flip("checkpoints/layout-*.pb", 7),
            "no layout": lambda: [path.unlink() for path in checkpoints.glob("layout-*.pb")],
            "shards": lambda: self.flip("checkpoints/step-*/r*.shard", 5000),
            "manifests": lambda: [path.write_bytes(b"") for path in checkpoints.glob("step-*/MANIFEST.pb")],
            "loop": loop, "nowhere": nowhere, "a file": a_file}
        for name, fault in faults.items():
            with self.subTest(name):
                shutil.rmtree(self.out)
                shutil.copytree(self.folder / "good", self.out, symlinks=True)
                fault()
                named = [] if name in ("nowhere", "a file") else [f"step-{step:012}-0" for step in (3, 6, 9, 12)]
                self.assert_unchanged(74, *named)
                self.assertNotEqual(self.train().returncode, 0)  # nor does a start anew

    def test_an_older_one_that_holds_is_taken_and_the_newer_ones_named(self):
        self.assert_ok(self.train())
        first = cli.losses(self.out)
        self.flip("checkpoints/step-000000000012-0/r*.shard", 5000)
        (self.out / "checkpoints/step-000000000009-0/MANIFEST.pb").write_bytes(b"")
        done = self.train("--resume", "auto")
        self.assert_ok(done)
        for name in ("step-000000000012-0", "step-000000000009-0", "after step 6"):
            self.assertIn(name, done.stderr)
        self.assertEqual(cli.losses(self.out), first)
        self.assertEqual(self.steps(), [3, 6, 9, 12])
        self.assertIn("step-000000000012-0", (self.out / "log/rank-0.txt").read_text())

    def test_a_refused_resume_changes_nothing(self):
        self.assert_ok(self.train())
        (self.out / "SAVE").touch()
        for override, words in {
                "model.hidden_size=64": ("model.hidden_size", "got 64", "want 32"),
                "seed=9": ("command line", "seed", "got 9"),
                "train.seq_len=16": ("train.seq_len", "got 16", "want 32"),
                "train.global_batch_size=4": ("train.global_batch_size", "got 4", "want 8"),
                "data.order=sequential": ("data.order",),
                "parallel.dp=2": ("parallel.dp", "got 2", "want 1")}.items():
            with self.subTest(override):
                self.assert_unchanged(2, *words, args=(override, "--resume", "auto"))
        self.assert_unchanged(66, "there are: 3, 6, 9, 12", args=("--resume", "5"))
        self.assert_unchanged(2, "--resume auto", args=())
        self.assert_refused(self.train("seed=9", f"output_dir={self.folder}/new", "--resume", self.out), 2, "seed")
        self.assertFalse((self.folder / "new").exists())

    def test_another_corpus_is_refused_and_a_moved_one_is_not(self):
        self.assert_ok(self.train("train.max_steps=6"))
        other = self.corpus("other.h5", copies=3)
        self.assert_unchanged(2, "data.sources", "another run",
                              args=(f"data.sources=[{{path: {other}}}]", "--resume", "auto"))
        shutil.copy(self.folder / "corpus.h5", self.folder / "moved.h5")
        done = self.train(f"data.sources=[{{path: {self.folder}/moved.h5}}]", "--resume", "auto")
        self.assert_ok(done)
        self.assertNotIn("data.sources", done.stderr)

    def test_what_may_change_is_said_once(self):
        self.assert_ok(self.train("train.max_steps=6"))
        done = self.train("--resume", "auto", "optimizer.weight_decay=0.3", "lr_scheduler.name=cosine",
                          "train.clip_grad_norm=0.5", "precision=bf16", "checkpoint.interval=2")
        self.assert_ok(done)
        lines = [line for line in done.stderr.splitlines() if "differs from the checkpoint: " in line]
        self.assertEqual(len(lines), 1, done.stderr)
        for change in ("precision f32 -> bf16", "train.max_steps 6 -> 12", "train.clip_grad_norm ", " -> 0.5",
                       "lr_scheduler.name ", " -> cosine", "optimizer.weight_decay ", " -> 0.3",
                       "checkpoint.interval 3 -> 2"):
            self.assertIn(change, lines[0])
        self.assertNotIn("output_dir", lines[0])
        same = self.train("--resume", "auto", "optimizer.weight_decay=0.3", "lr_scheduler.name=cosine",
                          "train.clip_grad_norm=0.5", "precision=bf16", "checkpoint.interval=2")
        self.assertNotIn("differs", same.stderr)

    def go_back_and_die(self, *resume):
        """Goes back, and dies as soon as it trains."""
        job = self.job("train", self.recipe(checkpoint="{interval: 0, keep_latest_k: 9}"), "train.max_steps=1000000",
                       "--resume", *resume)
        self.assertTrue(cli.wait_until(lambda: 12 not in self.steps()))
        job.kill_all()

    def test_the_course_that_was_left_is_never_taken(self):
        self.assert_ok(self.train())
        first = cli.losses(self.out)
        self.go_back_and_die("6")
        self.assertEqual(self.steps(), [3, 6])
        done = self.train("--resume", "auto")
        self.assertIn("after step 6", done.stderr)
        self.assertEqual([record["step"] for record in cli.metrics(self.out)], list(range(1, 13)))
        self.assertEqual(cli.losses(self.out), first)
        left = self.out / "checkpoints/quarantine"
        self.assertEqual(len(list(left.glob("step-*"))), 2)
        # By its path it can be gone back to; a kill then does not fall back to the course in between.
        self.go_back_and_die(left / "step-000000000009-0")
        self.assertEqual(self.steps(), [9])
        self.assertIn("after step 9", self.train("--resume", "auto").stderr)
        self.assertEqual(cli.losses(self.out), first)

    def test_links_are_not_followed_on_the_way_to_a_deletion(self):
        self.assert_ok(self.train("train.max_steps=6"))
        precious = self.folder / "precious"
        shutil.copytree(self.out / "checkpoints/step-000000000003-0", precious / "committed")
        (precious / "other").mkdir()
        (precious / "other" / "file").write_text("kept")
        before = {path: path.read_bytes() for path in precious.rglob("*") if path.is_file()}
        (self.out / "checkpoints/step-000000000001-0").symlink_to(precious / "committed")
        (self.out / "checkpoints/step-000000000002-0").symlink_to(precious / "other")
        (self.out / "checkpoints/step-000000000004-0").mkdir()
        (self.out / "checkpoints/step-000000000004-0" / "link").symlink_to(precious)
        self.assert_ok(cli.run("ckpt", "gc", self.out))
        self.assert_ok(self.train("--resume", "auto", "checkpoint.keep_latest_k=1"))
        self.assertEqual({path: path.read_bytes() for path in precious.rglob("*") if path.is_file()}, before)
        self.assertEqual(self.steps(), [12])
        quarantine = self.out / "checkpoints/quarantine"
        self.assertFalse(quarantine.exists())
        self.assert_ok(self.train("--resume", "auto", "train.max_steps=15"))
        quarantine.symlink_to(precious)
        self.assert_refused(self.train("--resume", "12"), 74, "link")
        self.assertEqual({path: path.read_bytes() for path in precious.rglob("*") if path.is_file()}, before)

    def test_checkpoints_on_another_disk_by_a_link(self):
        elsewhere = self.folder / "disk"
        elsewhere.mkdir()
        self.out.mkdir()
        (self.out / "checkpoints").symlink_to(elsewhere)
        self.assert_ok(self.train("train.max_steps=6"))
        self.assert_ok(self.train("--resume", "auto", "checkpoint.keep_latest_k=1"))
        self.assertEqual(self.steps(), [12])
        self.assertTrue((elsewhere / "step-000000000012-0" / "MANIFEST.pb").exists())

    def leave_after(self, fault):
        job = self.job("train", self.recipe(checkpoint="{interval: 0}"), "train.max_steps=1000000")
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(self.out)) >= 2))
        os.kill(job.process.pid, signal.SIGUSR2)
        self.assertTrue(cli.wait_until(self.steps))
        self.assertTrue(cli.wait_until(lambda: (self.out / "latest").exists()))
        fault()
        os.kill(job.process.pid, signal.SIGUSR1)
        text = job.wait(60)
        self.assertEqual(job.process.returncode, 75, text)

    def test_what_was_removed_while_a_job_ran_is_written_again(self):
        checkpoints = self.out / "checkpoints"
        for fault in (lambda: shutil.rmtree(checkpoints),
                      lambda: [path.unlink() for path in checkpoints.glob("layout-*")],
                      lambda: self.out.rename(self.folder / "moved"), lambda: shutil.rmtree(self.out)):
            self.leave_after(fault)
            self.assert_ok(cli.run("ckpt", "verify", self.out))
            last = self.steps()[-1]
            self.assertIn(f"after step {last}", self.train("--resume", "auto", f"train.max_steps={last + 1}").stderr)
            shutil.rmtree(self.out)
            shutil.rmtree(self.folder / "moved", True)

    def test_a_slash_of_output_dir_changes_nothing(self):
        self.assert_ok(self.train("train.max_steps=3"))
        for number, name in enumerate((f"{self.out}/", f"{self.folder}/./run//", f"{self.folder}//run/."), 1):
            done = self.train("train.max_steps=3", "--overwrite", f"output_dir={name}")
            self.assert_ok(done)
            self.assertTrue((self.folder / f"run.old-{number}" / "checkpoints").is_dir())
        done = self.train("train.max_steps=6", "--resume", "auto", f"output_dir={self.out}/")
        self.assertIn("after step 3", done.stderr)
        self.assertNotIn("output_dir", done.stderr.split("differs", 1)[-1].splitlines()[0])

    def test_requests_of_a_job_that_is_gone_do_not_end_the_next(self):
        self.assert_ok(self.train("train.max_steps=3"))
        for request in ("STOP", "SAVE"):
            (self.out / request).touch()
        self.assert_ok(self.train("train.max_steps=6", "--resume", "auto"))
        self.assertEqual([(self.out / request).exists() for request in ("STOP", "SAVE")], [False, False])
        self.assertEqual(len(cli.metrics(self.out)), 6)

    def test_verify_counts_what_is_missing_as_damage(self):
        self.assert_ok(self.train("train.max_steps=3"))
        (self.out / "checkpoints/step-000000000003-0/r00000.shard").unlink()
        self.assertEqual(cli.run("ckpt", "verify", self.out).returncode, 65)
        shutil.rmtree(self.out / "checkpoints/step-000000000003-0")
        self.assertEqual(cli.run("ckpt", "verify", self.out).returncode, 66)

    def test_ranks_as_threads_and_under_mpirun(self):
        two = ("parallel.pp=2", "train.max_steps=6")
        self.assert_ok(self.train(*two))
        for ranks in (0, 2):
            self.assert_unchanged(2, "seed", args=(*two, "seed=9", "--resume", "auto"), ranks=ranks)
        self.flip("checkpoints/step-*/r00001.shard", 5000)
        for ranks in (0, 2):
            self.assert_unchanged(74, "step-000000000003-0", "step-000000000006-0", args=(*two, "--resume", "auto"),
                                  ranks=ranks)


if __name__ == "__main__":
    cli.unittest.main()
