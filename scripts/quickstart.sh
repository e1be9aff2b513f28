#!/usr/bin/env bash
# From a fresh clone to a trained small model: packages, build, a corpus of real English, training, a sample. Run it again at will.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\n== %s\n' "$*"; }

say "1/4 packages and build"
scripts/setup.sh
cmake --preset cpu >/dev/null
cmake --build --preset cpu --target ropewalk
ropewalk=build/cpu/ropewalk

say "2/4 a corpus of real English: the glosses of WordNet and the GNU dictionary"
mkdir -p corpora
if [[ ! -f corpora/first_run.h5 ]]; then
  scripts/first_corpus.sh "$ropewalk" corpora
fi
"$ropewalk" data inspect corpora/first_run.h5

say "3/4 training recipes/first_run.yaml"
"$ropewalk" train recipes/first_run.yaml --overwrite

say "4/4 what it writes after \"The meaning of\""
"$ropewalk" generate --model runs/first_run/final --prompt "The meaning of" --max-new-tokens 60 --temperature 0.8 --seed 1

cat <<'END'

Next:
  build/cpu/ropewalk eval --model runs/first_run/final --text README.md --seq-len 128
  mpirun --oversubscribe --allow-run-as-root -np 2 build/cpu/ropewalk train recipes/first_run.yaml parallel.pp=2 output_dir=runs/two_stages
  build/cpu/ropewalk train recipes/first_run.yaml train.max_steps=400 --resume auto
END
