#!/usr/bin/env python3
"""What a reviewer should not have to look for:

  - includes follow the arrow of the stages (a stage includes itself and the stages before it);
  - no source file has more than 1,000 lines;
  - relative links of the documents lead somewhere, and the files and functions that they name exist;
  - the reference of the language mentions every function, that of the command line every option.

    check.py ROOT
"""
import os
import re
import sys

# What each folder may include beside itself. Public headers (mp.h, mpc.h) are listed as `include`.
STAGES = {
    "runtime": ["include"],
    "compiler/support": [],
    "compiler/lexer": ["compiler/support"],
    "compiler/parser": ["compiler/support", "compiler/lexer"],
    "compiler/sema": ["compiler/support", "compiler/parser"],
    "compiler/ir": ["compiler/support"],
    "compiler/derive": ["compiler/support", "compiler/ir"],
    "compiler/lower": ["compiler/support", "compiler/sema", "compiler/ir", "compiler/derive"],
    "compiler/passes": ["compiler/support", "compiler/ir"],
    "compiler/train": ["compiler/support", "compiler/ir", "compiler/derive", "compiler/passes"],
    "compiler/plan": ["compiler/support", "compiler/ir", "compiler/passes", "runtime"],     # what work costs; the description
    "codegen/cpu": ["compiler/support", "compiler/ir", "compiler/plan", "runtime"],
    "codegen/cuda": ["compiler/support", "compiler/ir", "compiler/plan", "runtime"],
    "compiler/driver": ["include", "runtime", "codegen/cpu", "codegen/cuda"] + [
        "compiler/" + stage for stage in "support lexer parser sema ir derive lower passes train plan".split()],
}
SOURCES = (".c", ".h", ".re", ".y", ".def", ".py", ".sh")
SKIPPED = {".git", "__pycache__"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
# `codegen/cpu/math.c` or `codegen/cpu/math.c:math_emit` in a document
POINTER = re.compile(r"`((?:include|compiler|codegen|runtime|examples|tests|bench|cmake|scripts|docs)/[\w./-]+\.\w+)(?::(\w+))?`")


def files_of(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in SKIPPED and not f.startswith("build")]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def check_includes(root, path, text):
    stage = os.path.dirname(path)
    if stage not in STAGES:
        return
    for name in INCLUDE.findall(text):
        folder = os.path.dirname(name)
        if not folder:      # a public header, or one that re2c or Bison makes
            folder = "include" if os.path.exists(os.path.join(root, "include", name)) else stage
        if folder != stage and folder not in STAGES[stage]:
            yield f"{path}: {stage} may not include {name}"


def check_size(path, text):
    lines = text.count("\n")
    if lines > 1000:
        yield f"{path}: {lines} lines: look for the seam"


def anchors(text):
    """The anchors that GitHub gives to headings."""
    plain = re.sub(r"```.*?```", "", text, flags=re.S)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", plain, re.M)}


def check_document(root, path, text):
    for target in (a or b for a, b in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.S))):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        to = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        if not os.path.exists(os.path.join(root, to)):
            yield f"{path}: link to {target}, which is not there"
        elif anchor and to.endswith(".md") and anchor not in anchors(read(root, to)):
            yield f"{path}: link to {target}: no such heading"
    for file, function in POINTER.findall(text):
        if not os.path.exists(os.path.join(root, file)):
            yield f"{path}: names {file}, which is not there"
        elif function and not re.search(rf"\b{function}\b", read(root, file)):
            yield f"{path}: names {function} of {file}, which has none"


def check_mentioned(root, table, pattern, document):
    """Every row of a table is mentioned, as code, in the document."""
    if not os.path.exists(os.path.join(root, table)) or not os.path.exists(os.path.join(root, document)):
        return
    code = " ".join(re.findall(r"`([^`]*)`|^```.*?^```", read(root, document), re.M | re.S))
    for name in dict.fromkeys(re.findall(pattern, read(root, table), re.M)):
        if not re.search(rf"(?<![\w-]){re.escape(name)}(?!\w)", code):
            yield f"{document}: says nothing of {name} ({table})"


def main():
    root = sys.argv[1]
    wrong = []
    for path in sorted(files_of(root)):
        if path.endswith(".md"):
            wrong += check_document(root, path, read(root, path))
        elif path.endswith(SOURCES):
            text = read(root, path)
            wrong += check_size(path, text)
            wrong += check_includes(root, path, text)
    wrong += check_mentioned(root, "compiler/sema/functions.def", r'^FN\(\w+, +(?!OP)\w+, .*"(\w+)"\)$', "docs/language.md")
    wrong += check_mentioned(root, "compiler/driver/options.def", r'^OPTION\(\w+, +"([^"]+)"', "docs/commands.md")
    print("\n".join(wrong) if wrong else "style: nothing to say")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
