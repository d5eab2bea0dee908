"""Which files Docker sends to a build, and which files `func` and azd publish, by the rules of each program.

Docker: the last pattern that fits a path or a directory above it decides. `func` (GitIgnoreParser of Azure Functions
Core Tools): a pattern fits from the root on, up to the end of a word, and `*` stands for one character or more.
azd: as git does.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pathspec import GitIgnoreSpec

Ignored = Callable[[str], bool]
"""Whether a file is left out, by its path from the root with `/` between names."""


def patterns(file: Path) -> list[str]:
    """The lines of an ignore file that are neither empty nor comments."""
    lines = (line.strip() for line in file.read_text("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def docker_rule(lines: Sequence[str]) -> Ignored:
    """By a .dockerignore."""
    rules = [(not line.startswith("!"), re.compile(_docker_expression(line.lstrip("!").strip("/")))) for line in lines]

    def ignored(path: str) -> bool:
        names = path.split("/")
        above = ["/".join(names[:length]) for length in range(1, len(names) + 1)]
        decided = False
        for leaves_out, expression in rules:
            if any(expression.fullmatch(part) for part in above):
                decided = leaves_out
        return decided

    return ignored


def _docker_expression(pattern: str) -> str:
    expression = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*")
    return expression.replace(r"\*", "[^/]*").replace(r"\?", "[^/]")


def func_rule(lines: Sequence[str]) -> Ignored:
    """By a .funcignore without exceptions, as Core Tools read it; some files they never publish."""
    assert not any(line.startswith("!") for line in lines)
    expressions = [
        re.compile(re.escape(line.lstrip("/")).replace(r"\*\*", ".+").replace(r"\*", "[^/]+") + r"\b", re.ASCII)
        for line in lines
    ]
    never = {".funcignore", ".gitignore", "local.settings.json", "project.lock.json"}

    def ignored(path: str) -> bool:
        names = path.split("/")
        if names[-1] in never or {".git", ".vscode"} & set(names[:-1]):
            return True
        return any(expression.match(path) for expression in expressions)

    return ignored


def git_rule(lines: Sequence[str]) -> Ignored:
    """By a .funcignore as azd reads it."""
    spec = GitIgnoreSpec.from_lines(lines)
    return lambda path: bool(spec.match_file(path))


def files_below(root: Path, ignored: Ignored) -> Iterator[str]:
    """Every file that is not left out; a directory at the root that cannot hold one is not looked into."""
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if not entry.is_dir():
            if not ignored(entry.name):
                yield entry.name
        elif not ignored(f"{entry.name}/x.py"):
            for directory, _, names in os.walk(entry.path):
                for name in sorted(names):
                    path = Path(directory, name).relative_to(root).as_posix()
                    if not ignored(path):
                        yield path
