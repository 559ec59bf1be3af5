"""Commands in README and documents can be given as they stand: program, command, options and kinds of values exist."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from oneshot_vos.cli import app

PROGRAM = "oneshot-vos"
ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(file: Path) -> Iterator[str]:
    """Whole lines of code blocks that call the program, and calls with arguments in running text."""
    text = file.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"(?:^(?: {4}|\t).*\n)+", text, re.MULTILINE)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||;|\|(?=\s)", line):
                words = part.strip().removeprefix("$ ")
                if words.startswith(f"{PROGRAM} "):
                    yield words
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for words in re.findall(rf"`({PROGRAM} [^`]+)`", outside):
        yield " ".join(words.split())


def refusal(command: str) -> str:
    """What the command line says against a command, files and missing arguments aside; empty for nothing."""
    words = shlex.split(re.sub(r"[\[\]…]|\.\.\.", " ", command), comments=True)[1:]  # of a synopsis, all that may stand
    group: Any = typer.main.get_command(app)
    for each in group.commands.values():
        each.callback = None  # read the words, and do nothing
    try:
        group.main(words, prog_name=PROGRAM, standalone_mode=False)
    except Exception as error:  # noqa: BLE001 typer's are no part of its interface
        kind = getattr(getattr(error, "param", None), "type", None)
        # Running text leaves out what does not matter there; files are not those of whoever tests.
        if type(error).__name__ == "MissingParameter" or "Path" in type(kind).__name__:
            return ""
        message = str(getattr(error, "format_message", error.__str__)())
        # So is a word in capitals, which stands for a value.
        return "" if message.startswith("Invalid value") and any(word.isupper() for word in words) else message
    return ""


CASES = [(file.relative_to(ROOT).as_posix(), command) for file in DOCUMENTS for command in commands(file)]


@pytest.mark.parametrize("document", sorted({document for document, _ in CASES}))
def test_every_command_of_a_document_parses(document: str) -> None:
    refused = {command: refusal(command) for name, command in CASES if name == document}
    assert {command: message for command, message in refused.items() if message} == {}


def test_commands_are_found_and_wrong_ones_told() -> None:
    assert len(CASES) > 30
    assert refusal(f"{PROGRAM} segment VIDEO [--mask MASK …] --short-side PIXELS --out there  # so") == ""
    assert "No such option: --maks" in refusal(f"{PROGRAM} segment clip.mp4 --maks first.png")
    assert "No such command 'segmnet'" in refusal(f"{PROGRAM} segmnet clip.mp4")
    assert "'blue' is not one of" in refusal(f"{PROGRAM} segment clip.mp4 --format blue")
    assert "should be a valid integer" in refusal(f"{PROGRAM} segment clip.mp4 --short-side blue")


def test_the_table_of_attacks_is_what_was_recorded() -> None:
    recorded = json.loads((ROOT / "results/benchmarks/attack.json").read_text(encoding="utf-8"))["table"]
    rows = [f"| {row['test']} | {row['tries']} | {row['outcome']} |" for row in recorded if row["held"]]
    shown = (ROOT / "docs/pipeline.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) == len(recorded) > 20
    assert [row for row in rows if row not in shown] == []
