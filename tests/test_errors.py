import pytest

from vidya.errors import PlaceError, UserError, place_chosen_with


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
