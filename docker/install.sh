#!/bin/sh
# Install vsr from SOURCE into a new environment at PREFIX, with torch for "cpu" or for "cuda".
# CPU_INDEX is PyTorch's index of CPU builds; empty where pip finds such builds itself.
# EXTRAS are those of pyproject.toml, such as "hub" or "hub,models".
# usage: install.sh SOURCE PREFIX cpu|cuda [CPU_INDEX [EXTRAS]]
set -eu
source=$1 prefix=$2 kind=$3 index=${4:-} extras=${5:-}
case $kind in
  cpu) ;;
  cuda) index= ;; # on Linux on x86-64 the ordinary index has the builds for CUDA
  *)
    echo "error: TORCH is cpu or cuda, not $kind" >&2
    exit 2
    ;;
esac
python3 -m venv "$prefix"
# 2.13.0+cpu is taken before 2.13.0 where both are found.
install() {
  "$prefix/bin/pip" install --no-cache-dir --disable-pip-version-check \
    --constraint "$source/constraints.txt" ${index:+--extra-index-url "$index"} "$@"
}
if [ "$kind" = cpu ] && install --dry-run torch | grep -q 'Would install.* nvidia-'; then
  rm -r "$prefix"
  echo "error: pip finds torch for CUDA only, which is several GB" >&2
  echo "hint: CPU_INDEX is PyTorch's index of CPU builds; or take it: TORCH=cuda" >&2
  exit 3
fi
install "$source${extras:+[$extras]}"
"$prefix/bin/vsr" --version
