"""How blocks, marks and commands are found in a page."""

from __future__ import annotations

import pytest

from tests.docs.blocks import FENCE, MARKS, NEEDS, SHELL, SHOWN, SNIPPETS, blocks_of, commands_of, pages, read_blocks

PAGE = """\
# Page

<!-- needs: docker -->
<!-- exits: 0, 0/1 -->
```sh
# a comment
docker build \\
    --tag x .
docker run x   # another one
```

1. In a list:

   ```console
   $ relay-monitor status
   All 3 relays are up.

   eu-1  up
   $ relay-monitor maintenance list \\
       --relay eu-1
   ```
"""


def test_blocks_have_their_line_marks_and_text_without_indentation() -> None:
    first, second = blocks_of("docs/page.md", PAGE)
    assert (first.where, first.language, first.marks) == (
        "docs/page.md:5",
        "sh",
        {"needs": "docker", "exits": "0, 0/1"},
    )
    assert (second.where, second.language, second.marks) == ("docs/page.md:14", "console", {})
    assert second.text.startswith("$ relay-monitor status\n")


def test_commands_have_their_line_continuations_and_what_is_shown_after_them() -> None:
    first, second = blocks_of("docs/page.md", PAGE)
    assert [(command.where, command.text, command.statuses) for command in commands_of(first)] == [
        ("docs/page.md:7", "docker build \\\n    --tag x .", (0,)),
        ("docs/page.md:9", "docker run x   # another one", (0, 1)),
    ]
    assert [(command.where, command.text, command.shown) for command in commands_of(second)] == [
        ("docs/page.md:15", "relay-monitor status", ("All 3 relays are up.", "", "eu-1  up")),
        ("docs/page.md:19", "relay-monitor maintenance list \\\n    --relay eu-1", ()),
    ]


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("```sh\nls\n", "the block has no end"),
        ("<!-- needs: docker -->\n\n```sh\nls\n```\n", "a mark stands directly before a block"),
    ],
)
def test_a_page_that_is_not_understood_is_rejected(page: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(blocks_of("docs/page.md", page))


def test_a_console_without_a_prompt_and_a_status_too_many_are_rejected() -> None:
    (block,) = blocks_of("docs/page.md", "```console\nrelay-monitor status\n```\n")
    with pytest.raises(ValueError, match="no command"):
        commands_of(block)
    (block,) = blocks_of("docs/page.md", "<!-- exits: 0, 1 -->\n```sh\nls\n```\n")
    with pytest.raises(ValueError, match="2 numbers for 1 commands"):
        commands_of(block)


def test_every_block_of_the_documentation_has_a_place() -> None:
    """A new language is a new kind of snippet: say how it is checked."""
    blocks = [block for path in pages() for block in read_blocks(path)]
    assert len(blocks) > 150
    assert {block.language for block in blocks} <= SHELL | SNIPPETS | SHOWN
    assert [block.where for block in blocks if block.marks.get("needs", NEEDS[0]) not in NEEDS] == []
    shell = [block for block in blocks if block.language in SHELL]
    assert [block.where for block in shell if {"file", "into"} & block.marks.keys()] == []
    assert [command.where for block in shell for command in commands_of(block) if not command.text.strip()] == []


def test_every_fence_and_mark_in_the_documentation_is_found() -> None:
    """A fence in a quotation, or a misspelled mark, would be a block that nobody checks."""
    for path in pages():
        text = path.read_text("utf-8")
        fences = [line for line in text.splitlines() if "```" in line and not FENCE.match(line)]
        assert [line for line in fences if line.lstrip("> -*").startswith("```")] == [], path
        marks = [line for line in text.splitlines() if line.strip().startswith("<!--") and ": " in line]
        known = [line for line in marks if line.split()[1].rstrip(":") in MARKS]
        assert sorted(marks) == sorted(known), path
