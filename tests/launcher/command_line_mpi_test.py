"""Under mpirun what every rank would say alike before MPI starts is said once."""
import cli


class OnceTest(cli.CliTestCase):
    def once(self, word, *words):
        done = cli.run(*words, ranks=3)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual((done.stderr.count(word), done.stdout), (1, ""), done.stderr)

    def test_usage(self):
        self.once("nowhere.yaml", "train", self.folder / "nowhere.yaml")
        self.once("--resume: got 'sometimes'", "train", self.recipe(), "--resume", "sometimes")
        self.once("--frob", "train", self.recipe(), "--frob")
