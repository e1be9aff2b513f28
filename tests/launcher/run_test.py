"""One run from the outside: files it leaves, resume, requests, exit codes."""
import json
import os
import signal

import cli


class RunTest(cli.CliTestCase):
    def test_writes_what_the_readme_promises(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        out = self.folder / "run"
        for name in ("recipe.resolved.yaml", "env.json", "metrics.jsonl", "log/rank-0.txt", "trace/rank-0.json",
                     "final/config.json", "final/model.safetensors", "final/tokenizer.json", "checkpoints", "tb"):
            self.assertTrue((out / name).exists(), name)
        records = cli.metrics(out)
        self.assertEqual([r["step"] for r in records], list(range(1, 13)))
        self.assertLess(records[-1]["loss"], records[0]["loss"])
        for key in ("grad_norm", "lr", "tokens", "tokens_per_s", "step_ms", "bubble_pct", "data_wait_ms",
                    "ckpt_blocked_ms", "mem_peak_bytes"):
            self.assertIn(key, records[0])
        events = json.loads((out / "trace" / "rank-0.json").read_text())
        self.assertGreater(len(events), 12)

    def test_the_resolved_recipe_gives_the_same_run(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        again = self.folder / "again"
        self.assert_ok(cli.run("train", self.folder / "run" / "recipe.resolved.yaml", f"output_dir={again}"))
        self.assertEqual(cli.losses(self.folder / "run"), cli.losses(again))

    def test_refuses_to_start_over_checkpoints(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        self.assert_refused(cli.run("train", self.recipe()), 2, "--resume auto", "--overwrite")

    def test_overwrite_moves_the_old_run_aside(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        first = cli.losses(self.folder / "run")
        self.assert_ok(cli.run("train", self.recipe(), "--overwrite"))
        self.assertEqual(cli.losses(self.folder / "run"), first)
        self.assertEqual(cli.losses(self.folder / "run.old-1"), first)

    def test_overwrite_leaves_the_inputs_of_the_command(self):
        self.corpus()
        out = self.folder / "run"
        recipe = self.recipe()
        (out / "plan").mkdir(parents=True)
        inside = out / "mine.yaml"
        recipe.rename(inside)
        problem, solution = out / "plan" / "problem.json", out / "plan" / "solution.json"
        problem.write_text(json.dumps({
            "format": "ropewalk-problem/1", "nodes": [{"forward_s": 1, "memory_micro_batches": 4}] * 2,
            "transfer_s": [[0.0] * 2] * 2, "backward_factor": 2, "loss_factor": 0}))
        walks = [{"path": [0, 1], "starts": [6 * m + t for t in (0, 1, 2, 2, 4)]} for m in range(4)]
        solution.write_text(json.dumps({"arrangement": [[0], [1]], "micro_batches": walks}))
        words = ["train", inside, "parallel.pp=2", "pipeline.schedule=skippipe", f"pipeline.problem={problem}",
                 f"pipeline.solution={solution}"]
        kept = {path: path.read_text() for path in (inside, problem, solution)}
        self.assert_ok(cli.run(*words))
        losses = cli.losses(out)
        for number in (1, 2):
            self.assert_ok(cli.run(*words, "--overwrite"))
            self.assertEqual({path: path.read_text() for path in kept}, kept)
            self.assertEqual(cli.losses(self.folder / f"run.old-{number}"), losses)
            self.assertTrue((self.folder / f"run.old-{number}" / "plan" / "solution.json").exists())
        self.assert_ok(cli.run(*words, "--resume", "auto"))
        # A topology too: training plans for it.
        topology = out / "plan" / "topology.json"
        topology.write_text(json.dumps({
            "format": "ropewalk-topology/1", "nodes": [{"forward_s": 1, "memory_micro_batches": 4}] * 2,
            "latency_s": [[0] * 2] * 2, "bandwidth_bytes_per_s": [[1e9] * 2] * 2}))
        self.assert_ok(cli.run(*words[:4], f"pipeline.topology={topology}", "--overwrite"))
        self.assertTrue(topology.exists())

    def test_resume_auto_without_a_checkpoint_starts_anew(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(), "--resume", "auto"))
        self.assertEqual(len(cli.metrics(self.folder / "run")), 12)

    def test_resume_goes_on_bit_for_bit(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        half = self.folder / "half"
        self.assert_ok(cli.run("train", self.recipe(), f"output_dir={half}", "train.max_steps=7"))
        self.assert_ok(cli.run("train", self.recipe(), f"output_dir={half}", "--resume", "auto"))
        self.assertEqual(cli.losses(self.folder / "run"), cli.losses(half))
        left, right = (folder / "final" / "model.safetensors" for folder in (self.folder / "run", half))
        self.assertEqual(left.read_bytes(), right.read_bytes())

    def test_resume_from_an_earlier_step(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(checkpoint="{interval: 4, keep_latest_k: 5}")))
        first = cli.losses(self.folder / "run")
        recipe = self.recipe(checkpoint="{interval: 4, keep_latest_k: 5}")
        self.assert_ok(cli.run("train", recipe, "--resume", "4"))
        self.assertEqual(cli.losses(self.folder / "run"), first)

    def test_a_checkpoint_beyond_max_steps_is_told(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        done = cli.run("train", self.recipe(), "train.max_steps=8", "--resume", "auto")
        self.assert_ok(done)
        self.assertIn("warning: resume: the checkpoint at step 12 is beyond train.max_steps 8: nothing is trained", done.stderr)
        self.assertNotIn("beyond", cli.run("train", self.recipe(), "--resume", "auto").stderr)

    def test_torn_and_late_lines_are_cut(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(), "train.max_steps=6"))
        path = self.folder / "run" / "metrics.jsonl"
        path.write_text(path.read_text() + '{"step": 7, "loss": 1.0}\n{"step": 8, "lo')
        self.assert_ok(cli.run("train", self.recipe(), "--resume", "auto"))
        self.assertEqual([r["step"] for r in cli.metrics(self.folder / "run")], list(range(1, 13)))

    def test_checkpoint_of_another_model_is_refused(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        done = cli.run("train", self.recipe(), "model.hidden_size=64", "--resume", "auto")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("model", done.stderr)
        self.assertIn("64", done.stderr)

    def test_checkpoint_of_another_rope_is_refused(self):
        self.corpus()
        rope = ["model.rope_parameters.rope_type=linear", "model.rope_parameters.factor=%d"]
        two, four = ([key % factor if "%" in key else key for key in rope] for factor in (2, 4))
        self.assert_ok(cli.run("train", self.recipe(), *two))
        self.assert_refused(cli.run("train", self.recipe(), *four, "--resume", "auto"), 2, "another run", "got 4",
                            "want 2", "model.rope_parameters.factor")
        self.assert_refused(cli.run("train", self.recipe(), *two, "model.rms_norm_eps=1e-3", "--resume", "auto"), 2,
                            "another run", "eps")

    def test_a_stop_file_saves_and_leaves(self):
        self.corpus()
        job = self.job("train", self.recipe(checkpoint="{interval: 0}"), "train.max_steps=100000")
        out = self.folder / "run"
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(out)) >= 3))
        (out / "STOP").touch()
        text = job.wait(60)
        self.assertEqual(job.process.returncode, 75, text)
        self.assertFalse((out / "STOP").exists())
        self.assertEqual(len(list((out / "checkpoints").glob("step*"))), 1)

    def test_usr2_saves_and_goes_on(self):
        self.corpus()
        job = self.job("train", self.recipe(checkpoint="{interval: 0}"), "train.max_steps=100000")
        out = self.folder / "run"
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(out)) >= 3))
        os.kill(job.process.pid, signal.SIGUSR2)
        self.assertTrue(cli.wait_until(lambda: list((out / "checkpoints").glob("step*"))))
        before = len(cli.metrics(out))
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(out)) > before + 2))
        job.kill_all()

    def test_two_jobs_do_not_share_a_folder(self):
        self.corpus()
        job = self.job("train", self.recipe(), "train.max_steps=100000")
        self.assertTrue(cli.wait_until(lambda: len(cli.metrics(self.folder / "run")) >= 1))
        done = cli.run("train", self.recipe(), "--resume", "auto")
        job.kill_all()
        self.assert_refused(done, 74, "another job")

    def test_a_huge_learning_rate_ends_with_70(self):
        self.corpus()
        done = cli.run("train", self.recipe(optimizer="{lr: 1e30}", train="{seq_len: 32, micro_batch_size: 2, "
                                            "global_batch_size: 8, max_steps: 50, clip_grad_norm: 0}"))
        self.assert_refused(done, 70, "step")

    def test_validation_loss_is_recorded(self):
        corpus = self.corpus()
        recipe = self.recipe(data="{sources: [{path: " + str(corpus) + "}], validation: [{path: " + str(corpus) +
                             "}], validation_interval: 6}")
        self.assert_ok(cli.run("train", recipe))
        with_loss = [r["step"] for r in cli.metrics(self.folder / "run") if r.get("validation_loss") is not None]
        self.assertEqual(with_loss, [6, 12])

    def test_no_command_is_usage(self):
        self.assertEqual(cli.run().returncode, 2)

    def test_later_commands_are_not_in_this_version(self):
        for name in ("merge", "boom", "spsa", "launch", "top", "doctor"):
            self.assert_refused(cli.run(name, "x.yaml"), 2, "not in this version")
