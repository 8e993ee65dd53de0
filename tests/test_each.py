"""`each` says for which of its values a test failed, and keeps them apart."""

from pathlib import Path

import pytest

from tests.each import each


def test_every_value_is_tried_and_each_that_fails_is_named() -> None:
    tried: list[int] = []

    @each("number", [1, 2, 3, 4])
    def even(number: int) -> None:
        tried.append(number)
        assert number % 2 == 0

    with pytest.raises(ExceptionGroup, match="2 of 4 values") as raised:
        even()
    assert tried == [1, 2, 3, 4]
    assert [error.__notes__ for error in raised.value.exceptions] == [
        ["the value: {'number': 1}"],
        ["the value: {'number': 3}"],
    ]


class Changed:
    name = "as it was"


@each(("name", "text"), [("a", "first"), ("b", "second")])
def test_a_value_finds_no_patch_and_no_file_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    assert (Changed.name, list(tmp_path.iterdir())) == ("as it was", [])
    monkeypatch.setattr(Changed, "name", name)
    (tmp_path / name).write_text(text)
