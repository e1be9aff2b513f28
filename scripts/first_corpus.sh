#!/usr/bin/env bash
# first_corpus.sh BINARY OUT_FOLDER: real English from Debian packages (scripts/setup.sh installs them) as a corpus:
# the GNU Collaborative International Dictionary (dict-gcide) and the glosses of WordNet (wordnet-base). Writes
# OUT_FOLDER/first_run.h5, first_run.validation.h5 (1 % of the documents) and first_run.tokenizer.json (4096 entries).
# Does nothing when they are there; each appears whole or not at all. About 20 seconds.
set -euo pipefail
if (($# != 2)); then
  echo "usage: first_corpus.sh BINARY OUT_FOLDER" >&2
  exit 2
fi
binary=$1 out=$2
dictionary=${ROPEWALK_GCIDE:-/usr/share/dictd/gcide.dict.dz}
wordnet=${ROPEWALK_WORDNET:-/usr/share/wordnet}
if [[ -s $out/first_run.h5 && -s $out/first_run.validation.h5 && -s $out/first_run.tokenizer.json ]]; then
  echo "first_corpus: $out/first_run.h5 is there"
  exit 0
fi
for file in "$dictionary" "$wordnet/data.noun"; do
  if [[ ! -s $file ]]; then
    echo "first_corpus: $file is not there; run scripts/setup.sh (packages dict-gcide and wordnet-base)" >&2
    exit 66
  fi
done
mkdir -p "$out"
work=$(mktemp -d "$out/first_run.XXXXXX")
trap 'rm -rf "$work"' EXIT

python3 - "$dictionary" "$wordnet" "$work" <<'END'
"""Entries and glosses -> one JSON line each; every fourth one also into the text the tokenizer learns from."""
import gzip
import json
import re
import sys

dictionary, wordnet, work = sys.argv[1:]
# Bytes that are no UTF-8 go through as they are: `data build --invalid replace` sees them.
how = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}


def entries():
    """An entry begins with a line that is not indented; its paragraphs become one line each."""
    entry = []
    with gzip.open(dictionary, "rt", **how) as file:
        for paragraph in file.read().split("\n\n"):
            paragraph = paragraph.strip("\n")
            text = re.sub(r"\[1913 Webster\]|\[PJC\]|\[WordNet 1\.5\]|\[Webster 1913 Suppl\.\]", "", paragraph)
            text = " ".join(re.sub(r"[{}]", "", text).split())
            if paragraph[:1] not in ("", " ") and entry:
                yield "\n".join(entry) + "\n"
                entry = []
            if text:
                entry.append(text)
    if entry:
        yield "\n".join(entry) + "\n"


def glosses():
    for kind in ("adj", "adv", "noun", "verb"):
        with open(f"{wordnet}/data.{kind}", **how) as file:
            for line in file:
                if line.startswith("  "):
                    continue  # the licence
                facts, _, gloss = line.partition(" | ")
                fields = facts.split()
                words = [re.sub(r"\(.*\)$", "", fields[4 + 2 * i]) for i in range(int(fields[3], 16))]
                yield ", ".join(words).replace("_", " ") + ": " + " ".join(gloss.split()) + "\n"


with open(f"{work}/text.jsonl", "w", **how) as lines, open(f"{work}/sample.txt", "w", **how) as sample:
    number = 0
    for source in (entries, glosses):
        for text in source():
            lines.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            number += 1
            if number % 4 == 0 and not re.search("[\udc80-\udcff]", text):
                sample.write(text)
END
"$binary" data train-tokenizer --vocab-size 4096 --out "$work/first_run.tokenizer.json" "$work/sample.txt"
"$binary" data build --tokenizer "$work/first_run.tokenizer.json" --invalid replace --validation-share 0.01 \
  --out "$work/first_run.h5" "$work/text.jsonl"
mv "$work/first_run.tokenizer.json" "$out/first_run.tokenizer.json"
mv "$work/first_run.validation.h5" "$out/first_run.validation.h5"
mv "$work/first_run.h5" "$out/first_run.h5"
