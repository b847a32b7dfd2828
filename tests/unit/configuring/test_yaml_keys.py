"""Files written by hand: the line that is no YAML, and what YAML would read as something else."""

from pathlib import Path

import pytest

from stronglens.configuring.yaml_keys import misread, read_yaml
from stronglens.running.errors import InputError


@pytest.mark.parametrize(
    "number", ["0", "-0", "42", "1e-3", "1.0E+5", ".5", "0.5", "5.", "-1", ".inf", "'042'", "a042", "1e"]
)
def test_plain_numbers_and_text_are_not_refused(tmp_path: Path, number: str) -> None:
    (tmp_path / "my.yaml").write_text(f"a: [{number}]\n{number}: 1\n2020-01-01: g\nb: |\n  042\n")
    assert misread(tmp_path / "my.yaml") == []


def test_an_alias_that_leads_to_itself_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("a: &x [*x, 042]\nb: *x\n")
    assert len(misread(tmp_path / "my.yaml")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n\tb: 1\n", "config.yaml, line 2, column 1: a tab; indent with spaces\n   b: 1\n  ^"),
        ("a:\n    b: 1\n   c: 2\n", "config.yaml, line 3, column 4: "),
        ("a: b: c\n", "config.yaml, line 1, column 5: a colon where no key can be"),
        ("a: [1, 2\nb: 3\n", "config.yaml, line 1, column 4: [ is never closed\n  a: [1, 2\n     ^"),
        ("a: 'b\nc: 1\n", "config.yaml, line 1, column 4: a quotation mark is never closed\n  a: 'b"),
        ("a: b\n\tc\n:", "config.yaml, line "),
    ],
)
def test_a_file_that_is_no_yaml_is_shown_at_the_line_that_is_wrong(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as found:
        read_yaml(path)
    assert str(found.value).startswith(f"{tmp_path}/{expected}")


def test_yaml_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: [1, 2]\n")
    assert read_yaml(path) == {"a": [1, 2]}
    with pytest.raises(InputError, match=r"other\.yaml: expected a text file"):
        read_yaml(tmp_path / "other.yaml")
