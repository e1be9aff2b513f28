"""Skipped stages as processes: the bits of threads, although ranks leave the planned order by timing; resume."""
import hashlib

import cli

SKIPS = ["parallel.pp=4", "pipeline.schedule=skippipe", "pipeline.skip_fraction=0.5"]


def weights(folder):
    return hashlib.sha256((folder / "final" / "model.safetensors").read_bytes()).hexdigest()


class SkippingMpiTest(cli.CliTestCase):
    def test_threads_processes_patience_and_resume_give_the_same_bits(self):
        self.corpus()
        ways = {"threads": ([], 0), "mpi": ([], 4), "eager": (["pipeline.patience_ms=0"], 4),
                "order": (["pipeline.patience_ms=-1"], 4), "half": (["train.max_steps=6"], 4)}
        for name, (more, ranks) in ways.items():
            self.assert_ok(cli.run("train", self.recipe(), f"output_dir={self.folder / name}", *SKIPS, *more,
                                   ranks=ranks))
        self.assert_ok(cli.run("train", self.recipe(), f"output_dir={self.folder / 'half'}", *SKIPS, "--resume", "auto",
                               ranks=4))
        want = cli.losses(self.folder / "threads")
        self.assertEqual(len(want), 12)
        for name in ("mpi", "eager", "order", "half"):
            self.assertEqual(cli.losses(self.folder / name), want, name)
            self.assertEqual(weights(self.folder / name), weights(self.folder / "threads"), name)
