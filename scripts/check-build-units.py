#!/usr/bin/env python3
"""No command of the Makefile compiles a third-party crate that another one has compiled already.

Asks cargo for the plan of each command (nothing is built) and compares the units: the same crate, target and role, with
other features or another profile, would be compiled once more. Code for the build itself (procedural macros, build
scripts) is another role: it is never optimised. Clippy reads sources and compiles none; fuzzers are instrumented, and a
workspace of their own (decision 158).
"""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMANDS = {
    "make ward": ["build"],
    "make test": ["test", "--no-run", "--workspace"],
    "make foreign": ["build", "-p", "aceso", "-p", "aceso-ward", "-p", "aceso-foreign-alloy"],
    "make bench": ["build", "-p", "aceso", "-p", "aceso-ward", "-p", "bench"],
    "make bench-store": ["bench", "--no-run", "--profile", "release", "--workspace", "--bench", "store"],
    "make pictures": ["build", "--workspace", "--example", "page_states"],
}


def plan(arguments):
    """Third-party units of a command: (package, target, mode, optimised) and an identity that covers what it uses."""
    release = [] if "--profile" in arguments else ["--release"]
    # cargo shows its plan to its own developers only; RUSTC_BOOTSTRAP lets us look. It builds nothing.
    done = subprocess.run(
        ["cargo", *arguments, *release, "--locked", "--unit-graph", "-Z", "unstable-options"],
        cwd=ROOT, env={**os.environ, "RUSTC_BOOTSTRAP": "1"}, capture_output=True, text=True,
    )
    if done.returncode:
        sys.exit(f"cargo {' '.join(arguments)}: {done.stderr}")
    units = json.loads(done.stdout)["units"]
    known = {}

    def identity(at):
        if at not in known:
            unit = units[at]
            uses = sorted((use["extern_crate_name"], identity(use["index"])) for use in unit["dependencies"])
            known[at] = json.dumps(
                [unit["pkg_id"], unit["target"]["name"], unit["mode"], unit["features"], unit["profile"], hash(str(uses))]
            )
        return known[at]

    found = {}
    for at, unit in enumerate(units):
        if unit["pkg_id"].startswith("registry+"):
            optimised = unit["profile"]["opt_level"] != "0"
            key = (unit["pkg_id"].split("#")[1], unit["target"]["name"], unit["mode"], optimised)
            if unit["target"]["kind"] == ["custom-build"] and unit["mode"] == "build":
                # A build script is never optimised; its own features tell whose it is.
                key += (str(unit["features"]),)
            found.setdefault(key, {})[identity(at)] = sorted(unit["features"])
    return found


def main():
    everything, wrong = {}, []
    for name, arguments in COMMANDS.items():
        units = plan(arguments)
        new = 0
        for key, variants in units.items():
            known = everything.setdefault(key, {})
            for variant, features in variants.items():
                if variant not in known:
                    new += 1
                    if known:
                        earlier = next(iter(known.values()))
                        change = set(features) ^ set(earlier) or "the same features, but of something it uses"
                        wrong.append(f"{name} compiles {key[0]} ({key[1]}) once more: {change}")
                    known[variant] = features
        count = sum(map(len, units.values()))
        print(f"{name}: {count} third-party units, {new} of them not compiled by the commands above")
    print("\n".join(wrong) or "nothing third-party is compiled twice")
    return bool(wrong)


sys.exit(main())
