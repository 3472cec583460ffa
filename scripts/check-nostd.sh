#!/bin/sh
# Fails when vitals, device or anything they depend on brings std.
#
# The probe has its own workspace, so that features chosen for other crates do not hide or bring std,
# but takes its versions from ours: its lock file is a copy, which cargo only cuts down.
set -eu
cd "$(dirname "$0")/.."
: "${CARGO_TARGET_DIR:=$PWD/target}"
export CARGO_TARGET_DIR

check() {
    cargo check --quiet --manifest-path "$1/Cargo.toml"
}

cp Cargo.lock nostd-probe/Cargo.lock
check nostd-probe
echo "vitals and device build without std"

# A check that cannot fail proves nothing: with a crate that brings std, the same probe must be refused.
control="$CARGO_TARGET_DIR/nostd-control"
rm -rf "$control"
mkdir -p "$control/src" "$control/brings-std/src"
sed "s#\.\./crates#$PWD/crates#" nostd-probe/Cargo.toml > "$control/Cargo.toml"
sed -i 's#^\[profile.dev\]#brings-std = { path = "brings-std" }\n&#' "$control/Cargo.toml"
sed 's#^use device as _;#use brings_std as _;\n&#' nostd-probe/src/lib.rs > "$control/src/lib.rs"
printf '[package]\nname = "brings-std"\nversion = "0.1.0"\nedition = "2024"\n' > "$control/brings-std/Cargo.toml"
echo 'pub fn now() -> std::time::Instant { std::time::Instant::now() }' > "$control/brings-std/src/lib.rs"
cp Cargo.lock "$control/Cargo.lock"
if check "$control" 2> "$control/errors"; then
    echo "the control brings std and was not refused: this check proves nothing" >&2
    exit 1
fi
if ! grep -q E0152 "$control/errors"; then
    echo "the control was refused for another reason:" >&2
    cat "$control/errors" >&2
    exit 1
fi
echo "and the same probe with std in it is refused (E0152)"
