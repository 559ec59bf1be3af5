"""Strict YAML: what is read, and what is refused."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneshot_vos.errors import UserError
from oneshot_vos.strict_yaml import read_yaml


def read(folder: Path, content: bytes) -> object:
    path = folder / "x.yaml"
    path.write_bytes(content)
    return read_yaml(path)


def test_numbers_and_words_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    content = b"a: 1e-5\nb: 010\nc: yes\nd: 1:30\ne: true\nf: '!x'\n"
    assert read(tmp_path, content) == {"a": 1e-5, "b": 10, "c": "yes", "d": "1:30", "e": True, "f": "!x"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"profile: [", "not valid YAML: .*line"),
        (b"a: 1\na: 2\n", r"a key stands twice: .*a.* \(line 2\)"),
        (b"runs: {a: {seed: 1, seed: 2}}\n", "a key stands twice: .*seed"),
        (b"a: \xff\xfe\n", "not readable"),
        (b"a: !!python/object/apply:os.system [ls]\n", "tags such as"),
        (b"a: !!bool maybe\n", "tags such as"),
        (b"a: !!str 3\n", "tags such as"),
        (b"%YAML 1.1\n---\na: yes\n", ".*directives such as"),
        (b"a: 0b_\n", "not readable"),
        (b"[" * 1500, "not "),
        (b"a: 1\n---\nb: 2\n", "not valid YAML"),
    ],
)
def test_what_could_mean_something_else_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(UserError, match=rf"x\.yaml: {expected}"):
        read(tmp_path, content)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_yaml(tmp_path / "x.yaml")
    with pytest.raises(UserError, match="directory"):
        read_yaml(tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text(alphabet="{}[]&*!|>:-?#,'\"%@` ab01.~\n", max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    with suppress(UserError):
        read(tmp_path, content)
