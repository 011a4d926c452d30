"""What the documentation names exists: paths, definitions, anchors, commands."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import typer.main

from monitor.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
MAPS: Final = ("CONTRIBUTING.md", "docs/architecture.md", "docs/security.md")
"""The pages that say which file does what."""

CODE: Final = re.compile(r"`([^`\n]+)`")
A_PATH: Final = re.compile(r"(?:monitor|tests|bench|fuzz|docs|deploy|alerts|dashboards)/[\w./-]*")


def code_of(text: str) -> list[str]:
    """Return what is set as code within a paragraph or a table's row."""
    return CODE.findall(re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def definitions(path: Path) -> set[str]:
    """Return the names that a module defines; those in a class as `Class.name`."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        *_names(tree.body),
        *(f"{c.name}.{n}" for c in tree.body if isinstance(c, ast.ClassDef) for n in _names(c.body)),
    }


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for item in body:
        match item:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("page", MAPS)
def test_every_path_in_a_page_about_the_code_exists(page: str) -> None:
    named = [code for code in code_of((ROOT / page).read_text("utf-8")) if A_PATH.fullmatch(code)]
    assert named
    assert [path for path in named if not (ROOT / path).exists() and not path.startswith("build/")] == []


def test_every_name_in_the_table_of_questions_is_defined_in_its_file() -> None:
    rows = [
        line.split("|")[1:4] for line in (ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines() if "? |" in line
    ]
    assert rows
    wrong = []
    for question, files, names in rows:
        modules = [ROOT / path for path in CODE.findall(files) if path.startswith("monitor/") and path.endswith(".py")]
        defined = {name for module in modules for name in definitions(module)}
        wrong += [f"{question.strip()} {name}" for name in CODE.findall(names) if name not in defined]
    assert wrong == []


def test_every_name_beside_a_file_in_the_architecture_is_defined_there() -> None:
    """`Name` in `path`, or a path with (`Name` after it."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    pairs = [*re.findall(r"`([A-Z][\w.]*)`\s+(?:in|\()\s*`(monitor/[\w/]+\.py)`", text)]
    pairs += [(name, path) for name, path in re.findall(r"`([\w.]+)`\s+\(`(monitor/[\w/]+\.py)`", text)]
    assert pairs
    assert [f"{path}: {name}" for name, path in pairs if name not in definitions(ROOT / path)] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_to_a_heading_leads_to_one() -> None:
    broken = []
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text("utf-8")):
            if ":" not in target and anchor not in anchors(page.parent / target if target else page):
                broken.append(f"{page.relative_to(ROOT)}: {target}#{anchor}")
    assert broken == []


def test_the_readme_leads_to_every_page() -> None:
    """Runbooks have a list of their own."""
    linked = set(re.findall(r"\]\(([^)#\s]+\.md)", (ROOT / "README.md").read_text("utf-8")))
    pages = {page.relative_to(ROOT).as_posix() for page in PAGES if page.name != "README.md"}
    assert sorted(page for page in pages - linked if not page.startswith("docs/runbooks/")) == []


def commands() -> Iterator[tuple[Path, str]]:
    """Yield each command line that a page shows, in a block or as code."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            yield from ((page, line) for line in block.replace("\\\n", " ").splitlines())
        yield from ((page, code) for code in code_of(text))


def test_every_make_target_in_the_documentation_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {(page, found) for page, line in commands() for found in re.findall(r"^make ([a-z0-9-]+)", line)}
    assert named
    assert [f"{page.relative_to(ROOT)}: make {target}" for page, target in sorted(named) if target not in targets] == []


def test_every_command_in_the_documentation_exists_with_its_options() -> None:
    group = typer.main.get_command(app)
    known = {
        name: {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for name, command in group.commands.items()  # type: ignore[attr-defined] # a group
    }
    wrong, seen = [], 0
    for page, line in commands():
        found = re.match(r"(?:\.venv/bin/)?relay-monitor ([a-z]+)(.*)", line)
        if found is None:
            continue
        seen += 1
        options = [word.partition("=")[0] for word in shlex.split(found[2], comments=True) if word.startswith("--")]
        if found[1] not in known or not set(options) <= known[found[1]]:
            wrong.append(f"{page.relative_to(ROOT)}: {line}")
    assert seen
    assert wrong == []
