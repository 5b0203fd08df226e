import pytest

from vidya.errors import (
    PlaceError,
    UserError,
    options_named_as_arguments,
    place_chosen_with,
)


@pytest.mark.parametrize(
    ("error", "alone", "with_option"),
    [
        (PlaceError("x is a file", "name another"), "x is a file: name another",
         "x is a file: use another --out"),
        (PlaceError("full", "free some space", " or ", after="; y is untouched"),
         "full: free some space; y is untouched",
         "full: free some space or use another --out; y is untouched"),
    ],
)  # fmt: skip
def test_a_command_names_the_option_that_it_has(error, alone, with_option):
    @place_chosen_with("--out")
    def command():
        raise error

    assert str(error) == alone
    with pytest.raises(UserError) as caught:
        command()
    assert str(caught.value) == with_option


def test_other_errors_are_as_they_were():
    with pytest.raises(UserError, match="no"), place_chosen_with("--out"):
        raise UserError("no")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("--max-tokens must be 1"), "max_tokens must be 1"),
        (UserError("--n: `python -m vidya.teach x --out y`, or --ask"),
         "n: `python -m vidya.teach x --out y`, or ask"),
        (PlaceError("full", "free some space", " or "), "full: free some space or use another out"),
        (UserError("a -- b"), "a -- b"),
    ],
)  # fmt: skip
def test_a_caller_in_python_is_told_of_arguments(error, told):
    with pytest.raises(type(error)) as caught, options_named_as_arguments():
        raise error
    assert str(caught.value) == told
