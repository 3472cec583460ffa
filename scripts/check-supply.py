#!/usr/bin/env python3
"""Every third-party crate comes from the registry and has a licence that deny.toml allows.

`cargo deny` reads the same file; this check needs nothing but cargo and Python, so it always runs.
"""
import json
import pathlib
import re
import subprocess
import sys
import tomllib

root = pathlib.Path(__file__).resolve().parent.parent
rules = tomllib.loads((root / "deny.toml").read_text())
allowed = set(rules["licenses"]["allow"])
banned = {entry["crate"] for entry in rules["bans"]["deny"]}
metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"],
        cwd=root, check=True, capture_output=True,
    ).stdout
)


def permits(expression: str) -> bool:
    """Evaluates an SPDX expression: OR needs one side, AND both."""
    text = expression.replace("/", " OR ")
    tokens = re.findall(r"\(|\)|[A-Za-z0-9.+-]+", text)
    terms = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token in ("(", ")"):
            terms.append(token)
        elif token in ("AND", "OR"):
            terms.append(token.lower())
        else:
            if tokens[position + 1 : position + 2] == ["WITH"]:
                token = f"{token} WITH {tokens[position + 2]}"
                position += 2
            terms.append(str(token in allowed))
        position += 1
    return bool(eval(" ".join(terms), {"__builtins__": {}}))  # only True, False, and, or, brackets


problems = []
outside = 0
for package in metadata["packages"]:
    source = package["source"]
    if source is None:
        continue
    outside += 1
    name = f"{package['name']} {package['version']}"
    if not source.startswith("registry+"):
        problems.append(f"{name}: does not come from the registry but from {source}")
    if package["name"] in banned:
        problems.append(f"{name}: banned by deny.toml")
    if not permits(package["license"] or "none"):
        problems.append(f"{name}: licence {package['license']!r} is not in deny.toml")
if outside == 0:
    problems.append("cargo named no third-party crate: nothing was checked")
print("\n".join(problems) or f"{outside} third-party crates: all from the registry, all licences allowed")
sys.exit(bool(problems))
