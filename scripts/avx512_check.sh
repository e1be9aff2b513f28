#!/usr/bin/env bash
# avx512_check.sh [BUILD [MINUTES [FILTER]]]: the AVX-512 code on a machine without AVX-512. Boots Linux in Bochs, whose CPU has AVX512F,
# BW, CD, DQ and VL (no bf16 instructions), runs the tests of kernels, model and optim there, then trains, evaluates and generates with
# a tiny model and compares with this machine. BUILD is build/cpu unless given; an error after MINUTES (60). FILTER, of gtest, for
# kernels_test: its default leaves out what takes minutes. Installs nothing; ROPEWALK_KERNEL names a vmlinuz elsewhere than in /boot.
set -euo pipefail
build=$(realpath "${1:-$(dirname "$0")/../build/cpu}") minutes=${2:-60} filter=${3:--*EqualsF32OverSeveralBlocks*:MeetingTest.*}
cd "$(dirname "$0")/.."
packages=(bochs bochs-term bochsbios vgabios busybox-static isolinux syslinux-common xorriso cpio)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
kernel=${ROPEWALK_KERNEL:-$(find /boot -name 'vmlinuz-*' | sort -V | tail -n 1)}
[[ -f $kernel ]] || missing+=("linux-image-cloud-amd64 (or ROPEWALK_KERNEL=a vmlinuz)")
if ((${#missing[@]} > 0)); then
  echo "avx512_check: these Debian packages are missing: ${missing[*]}" >&2
  exit 66
fi
work=$(mktemp -d)
trap 'kill -KILL $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT  # Bochs in its debugger does not heed TERM

# What both machines do, in the same folder: numbers with a name before them, one a line.
root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp} "$root"/check/{build,tests}
head -c 6000 README.md >"$root/check/text"
head -c 1500 README.md >"$root/check/sample"
cat >"$root/check/recipe.yaml" <<'END'
method: pipeline
seed: 1
model: {name: llama, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 160, vocab_size: 264}
train: {seq_len: 48, micro_batch_size: 2, global_batch_size: 4, max_steps: 10}
optimizer: {name: adamw, lr: 0.003}
data: {sources: [{path: corpus.h5}]}
END
cat >"$root/check/numbers.sh" <<'END'
set -e
for precision in f32 bf16; do
  ropewalk train recipe.yaml precision=$precision output_dir="$1/$precision" >/dev/null
  sed -n "s/.*\"step\": \([0-9]*\), \"loss\": \([^,]*\),.*/number: $precision train \1 \2/p" "$1/$precision/metrics.jsonl"
  ropewalk eval --model model --text sample --seq-len 64 --precision $precision --json |
    sed -n "s/.*\"loss\":\([^,]*\),.*/number: $precision eval loss \1/p"
  ropewalk generate --model model --prompt 'The ' --temperature 0.8 --max-new-tokens 40 --precision $precision --json |
    sed "s/^/number: $precision text /"
done
END
cd "$root/check"
export OMP_NUM_THREADS=1
"$build/ropewalk" data build --tokenizer bytes --out corpus.h5 text >/dev/null
"$build/ropewalk" train recipe.yaml train.max_steps=200 output_dir="$work/model" >/dev/null
cp -rL "$work/model/final" model
PATH=$build:$PATH sh numbers.sh "$work" >"$work/here"

# The other machine: this program and its libraries, busybox around them.
cd "$OLDPWD"
cp -r tests/golden "$root/check/tests"
cp /bin/busybox "$root/bin"
for name in sh mount grep sed cat poweroff; do ln -s busybox "$root/bin/$name"; done
for program in kernels_test model_test optim_test ropewalk; do
  cp "$build/$program" "$root/check/build"
  for library in $(ldd "$build/$program" | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
done
cat >"$root/init" <<END
#!/bin/sh
export PATH=/bin:/check/build OMP_NUM_THREADS=1 ROPEWALK_SOURCE=/check GTEST_COLOR=no GTEST_BRIEF=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
cd /check
check() { if "\$@"; then echo "right: \$*"; else echo "wrong: \$* (exit code \$?)"; fi; }
gemm_runs_avx512() { ! kernels_test --gtest_brief=0 --gtest_filter='*Gemm*Avx512*' | grep -q 'SKIPPED\|FAILED'; }
check grep -q -m 1 avx512f /proc/cpuinfo
check gemm_runs_avx512
check kernels_test '--gtest_filter=$filter'
check model_test
check optim_test
check sh numbers.sh /tmp
echo end of the check
poweroff -f
END
chmod +x "$root/init"

# A CD that boots it. Bochs gives wrong sizes for two ways of saving registers, at which Linux would do without AVX altogether:
# clearcpuid keeps to the plain one.
mkdir -p "$work/cd/isolinux"
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$work/cd/initrd"
cp "$kernel" "$work/cd/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/cd/isolinux"
cat >"$work/cd/isolinux/isolinux.cfg" <<'END'
default linux
label linux
  kernel /vmlinuz
  initrd /initrd
  append console=ttyS0,115200 quiet nokaslr mitigations=off clearcpuid=pku,xsaves,xsavec
END
xorriso -as mkisofs -quiet -o "$work/cd.iso" -b isolinux/isolinux.bin -no-emul-boot -boot-load-size 4 -boot-info-table "$work/cd" 2>/dev/null
cat >"$work/bochsrc" <<END
config_interface: textconfig
display_library: term
cpu: model=corei7_skylake_x, count=1, ips=20000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path=$work/cd.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
clock: sync=none
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
log: $work/log
panic: action=fatal
END
echo c >"$work/go"  # Debian's Bochs waits in its debugger
touch "$work/serial"
echo "avx512_check: booting; the tests begin after a minute or two"
TERM=xterm bochs -q -f "$work/bochsrc" -rc "$work/go" </dev/null >"$work/screen" 2>&1 &
bochs=$!
until screen=$(grep -o '/dev/pts/[0-9]*' "$work/screen") || ! kill -0 $bochs 2>/dev/null; do sleep 1; done
cat "$screen" >/dev/null 2>&1 &  # Bochs stands still where nobody takes what it draws
tail -f "$work/serial" --pid=$bochs &
until ! kill -0 $bochs 2>/dev/null || grep -q 'end of the check' "$work/serial"; do
  if ((SECONDS > minutes * 60)); then
    echo "avx512_check: not done within $minutes minutes" >&2
    exit 1
  fi
  sleep 2
done

tr -d '\r' <"$work/serial" >"$work/there"
python3 - "$work/here" "$work/there" <<'END'
"""Every check passed, and the losses are those of this machine but for rounding; texts are shown, a close draw may differ."""
import math
import sys

here, there = ([line.rstrip("\n") for line in open(name, errors="replace")] for name in sys.argv[1:])
passed = [line for line in there if line.startswith("right: ")]
failed = [line for line in there if line.startswith("wrong: ")]
want, got = ([line.split(" ", 3)[1:] for line in lines if line.startswith("number: ")] for lines in (here, there))
worst = {"f32": 0.0, "bf16": 0.0}
if [w[:2] for w in want] != [g[:2] for g in got]:
    failed.append(f"wrong: {len(got)} numbers, want {len(want)}")
for (precision, kind, w), (_, _, g) in zip(want, got):
    if kind == "text":
        same = "as here" if w == g else f"{g}, here {w}"
        print(f"avx512_check: text in {precision}: {same}")
        continue
    w, g = (float(text.split()[1]) for text in (w, g))
    apart = abs(w - g) / w
    worst[precision] = max(worst[precision], math.inf if math.isnan(apart) else apart)
print(f"avx512_check: {len(passed)} of 6 checks passed; losses differ from this machine's by at most", worst)
if worst["f32"] > 1e-5 or worst["bf16"] > 2e-3:
    failed.append("wrong: losses differ by more than rounding")
for line in failed:
    print(line)
sys.exit(1 if failed or len(passed) != 6 else 0)
END
