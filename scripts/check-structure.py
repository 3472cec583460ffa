#!/usr/bin/env python3
"""No two files of a crate import each other, directly or in a circle; parent and child module aside.

Reads every Rust file with a parser, resolves each path (`use`, and in expressions, types and macros) to the file
that declares what it names, following re-exports, and reports the groups of files that import one another. Code
that exists only for tests is left out: a test may use what it tests. Prints the longest function, the longest file
and the medians. `--report` prints the cycles of each crate and never fails.
"""
import pathlib
import re
import statistics
import sys
import tomllib

import tree_sitter_rust
from tree_sitter import Language, Parser

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARSER = Parser(Language(tree_sitter_rust.language()))
# Pairs that were there when the check was switched on, one a line. The list only ever gets shorter.
PATH_IN_MACRO = re.compile(r"\b(?:crate|self|super)(?:\s*::\s*\w+)+")


def text(node):
    return node.text.decode()


class Module:
    """One module: its file, its child modules, what it declares, and what it brings into scope by `use`."""

    def __init__(self, path, file, parent):
        self.path, self.file, self.parent = path, file, parent
        self.children, self.declared, self.imported, self.globs = {}, set(), {}, []
        self.used = []  # paths as tuples of segments
        self.words = set()


class Crate:
    def __init__(self, name, entry):
        self.name, self.files, self.functions, self.test_files = name, {}, [], set()
        self.root = self.load((), entry, None, entry.parent)

    def load(self, path, file, parent, folder, test=False):
        """`folder` is where the files of this module's children lie."""
        source = file.read_bytes()
        self.files[file] = source.count(b"\n")
        if test:
            self.test_files.add(file)
        module = Module(path, file, parent)
        self.items(module, PARSER.parse(source).root_node.children, folder, test)
        return module

    def items(self, module, nodes, folder, test):
        attributes = []
        for node in nodes:
            if node.type == "attribute_item":
                attributes.append(text(node))
                continue
            if node.type in ("line_comment", "block_comment"):
                continue
            only_test = test or any(re.search(r"cfg\((?:all\()?test\b|\[(?:tokio::)?test\b", a) for a in attributes)
            if node.type == "mod_item":
                self.submodule(module, node, attributes, folder, only_test)
            else:
                name = node.child_by_field_name("name")
                if name is not None:
                    module.declared.add(text(name))
                self.functions_of(module, node)
                if not only_test:
                    self.visit(module, node)
            attributes = []

    def submodule(self, module, node, attributes, folder, test):
        name = text(node.child_by_field_name("name"))
        body = node.child_by_field_name("body")
        path = module.path + (name,)
        given = next((m.group(1) for a in attributes if (m := re.search(r'path\s*=\s*"(.*?)"', a))), None)
        if body is not None:
            child = Module(path, module.file, module)
            self.items(child, body.children, folder / (given or name), test)
        else:
            if given:
                file = folder / given
                if module.file.name not in ("mod.rs", "lib.rs", "main.rs") and not module_is_inline(module):
                    file = module.file.parent / given
                below = file.parent
            elif (folder / f"{name}.rs").exists():
                file, below = folder / f"{name}.rs", folder / name
            else:
                file, below = folder / name / "mod.rs", folder / name
            file = file.resolve()
            if given and file.name != "mod.rs":
                below = file.parent / file.stem
            if ROOT / "crates" / self.name not in file.parents and given:
                return  # another crate's file, included by path
            child = self.load(path, file, module, below, test)
        module.children[name] = child
        child.test = test

    def functions_of(self, module, node):
        if node.type == "function_item":
            lines = node.end_point.row - node.start_point.row + 1
            self.functions.append((lines, text(node.child_by_field_name("name")), module.file))
        for child in node.children:
            self.functions_of(module, child)

    def visit(self, module, node):
        kind = node.type
        if kind == "use_declaration":
            self.use(module, node.child_by_field_name("argument"), ())
            return
        if kind in ("scoped_identifier", "scoped_type_identifier"):
            segments = re.sub(r"<.*?>|\s", "", text(node))
            if re.fullmatch(r"[\w:]+", segments):
                module.used.append(tuple(segments.split("::")))
        elif kind == "token_tree":
            module.used += [tuple(re.split(r"\s*::\s*", m.group())) for m in PATH_IN_MACRO.finditer(text(node))]
            module.words.update(re.findall(r"\w+", text(node)))
            return
        elif kind in ("identifier", "type_identifier"):
            module.words.add(text(node))
        for child in node.children:
            self.visit(module, child)

    def use(self, module, node, prefix):
        kind = node.type
        if kind == "use_as_clause":
            path = prefix + tuple(text(node.child_by_field_name("path")).split("::"))
            module.imported[text(node.child_by_field_name("alias"))] = path
            module.used.append(path)
        elif kind == "use_list":
            for child in node.named_children:
                if "comment" not in child.type:
                    self.use(module, child, prefix)
        elif kind == "scoped_use_list":
            path = node.child_by_field_name("path")
            inner = prefix + tuple(text(path).split("::")) if path else prefix
            self.use(module, node.child_by_field_name("list"), inner)
        elif kind == "use_wildcard":
            module.globs.append(prefix + tuple(text(node.named_children[0]).split("::")))
        else:
            path = prefix + tuple(text(node).split("::"))
            if path[-1] == "self":
                path = path[:-1]
            module.imported[path[-1]] = path
            module.used.append(path)

    def resolve(self, module, path, depth=0):
        """The module that declares what this path names, or None for what lies outside the crate."""
        if depth > 12 or not path:
            return None
        head, rest = path[0], path[1:]
        if head == "crate":
            at = self.root
        elif head == "self":
            at = module
        elif head == "super":
            at = module.parent
        elif head in module.children:
            at, rest = module, path
        elif head in module.imported and module.imported[head] != path:
            at = self.resolve(module, module.imported[head], depth + 1)
            target = module.imported[head]
            if at is not None and at.path and target[-1] == at.path[-1]:
                return self.walk(at, rest, depth)
            return at
        else:
            return None
        return self.walk(at, rest, depth)

    def walk(self, at, rest, depth):
        while at is not None and rest:
            head = rest[0]
            if head == "super":
                at = at.parent
            elif head in at.children:
                at = at.children[head]
            elif head in at.declared:
                return at
            elif head in at.imported and depth < 12:
                target = self.resolve(at, at.imported[head], depth + 1)
                if target is not None and target.path and at.imported[head][-1] == target.path[-1]:
                    at = target
                else:
                    return target
            else:
                for glob in at.globs:
                    source = self.resolve(at, glob, depth + 1)
                    if source is not None and source is not at and head in (source.declared | set(source.imported) | set(source.children)):
                        return self.walk(source, rest, depth + 1)
                return at
            rest = rest[1:]
        return at

    def modules(self, module=None):
        module = module or self.root
        yield module
        for child in module.children.values():
            yield from self.modules(child)

    def edges(self):
        """file → files it imports, without parent and child."""
        home = {}
        for module in self.modules():
            home.setdefault(module.file, module.path)
        found = {}
        for module in self.modules():
            paths = list(module.used)
            for glob in module.globs:
                source = self.resolve(module, glob)
                if source is None:
                    continue
                # A glob brings in what the other module has: count the names that are really used.
                paths.append(glob)
                for name in module.words & (source.declared | set(source.imported)):
                    paths.append(glob + (name,))
            for path in paths:
                target = self.resolve(module, path)
                if target is None or target.file == module.file:
                    continue
                here, there = home[module.file], home[target.file]
                short = min(len(here), len(there))
                if here[:short] == there[:short]:
                    continue
                found.setdefault(module.file, {}).setdefault(target.file, set()).add("::".join(path))
        return found


def module_is_inline(module):
    return module.parent is not None and module.parent.file == module.file


def groups(edges):
    """Strongly connected components with more than one file (Tarjan)."""
    index, low, stack, on, out = {}, {}, [], set(), []

    def go(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on.add(node)
        for target in edges.get(node, {}):
            if target not in index:
                go(target)
                low[node] = min(low[node], low[target])
            elif target in on:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = []
            while True:
                last = stack.pop()
                on.discard(last)
                group.append(last)
                if last == node:
                    break
            if len(group) > 1:
                out.append(sorted(group))

    for node in list(edges):
        if node not in index:
            go(node)
    return out


def crates():
    for manifest in sorted([*ROOT.glob("crates/*/Cargo.toml"), ROOT / "bench/Cargo.toml", ROOT / "fuzz/Cargo.toml"]):
        name = tomllib.loads(manifest.read_text())["package"]["name"]
        for entry in ("src/lib.rs", "src/main.rs", "tests/it/main.rs"):
            file = manifest.parent / entry
            if file.exists():
                yield Crate(manifest.parent.name, file.resolve()), name + (" tests" if "tests" in entry else "")


def main():
    report = "--report" in sys.argv
    sys.setrecursionlimit(10_000)
    lines, functions, cycles = {}, [], 0
    for crate, name in crates():
        lines.update(crate.files)
        functions += crate.functions
        edges = crate.edges()
        base = ROOT
        short = lambda file: str(file.relative_to(base))  # noqa: E731
        pairs = sorted({tuple(sorted((a, b))) for a in edges for b in edges[a] if a in edges.get(b, {})})
        found = groups(edges)
        if report:
            print(f"{name}: {len(pairs)} pairs, {len(found)} circles of {sum(map(len, found))} files")
        for a, b in pairs:
            cycles += 1
            print(f"  {short(a)} ↔ {short(b)}")
            for x, y in ((a, b), (b, a)):
                print(f"      {x.name} uses {', '.join(sorted(edges[x][y]))[:160]}")
        for group in found:
            # Two files are a pair and were named as one.
            if len(group) == 2:
                continue
            inside = set(group)
            cycles += 1
            print(f"  circle of {len(group)}: {' '.join(sorted(short(file) for file in group))}")
            for a in group:
                for b in sorted(set(edges[a]) & inside):
                    print(f"      {short(a)} → {short(b)}: {', '.join(sorted(edges[a][b]))[:120]}")
    longest = max(functions)
    print(f"longest function: {longest[0]} lines, {longest[1]} in {longest[2].relative_to(ROOT)}")
    file = max(lines, key=lines.get)
    print(f"longest file: {lines[file]} lines, {file.relative_to(ROOT)}")
    print(
        f"median: {statistics.median(lines.values()):.0f} lines of {len(lines)} files, "
        f"{statistics.median(f[0] for f in functions):.0f} lines of {len(functions)} functions"
    )
    if report:
        return 0
    if cycles:
        print(f"{cycles} groups of files that import each other")
    else:
        print("no two files of a crate import each other")
    return 1 if cycles else 0


sys.exit(main())
