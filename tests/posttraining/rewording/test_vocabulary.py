"""Words and spellings for others, and small words."""

import pytest
from support.rewording import outcomes

from vidya.posttraining.rewording.close_word_table import CLOSE_WORDS, LIKED_ACTIONS
from vidya.posttraining.rewording.shorthand_table import AT_LENGTH, SHORTHAND
from vidya.posttraining.rewording.small_words import other_small_words
from vidya.posttraining.rewording.spelling_table import MISSPELT, SPELLINGS
from vidya.posttraining.rewording.vocabulary import close_words, other_spelling, shorthand
from vidya.posttraining.rewording.word_table import WordTable, with_right_articles


@pytest.mark.parametrize(
    ("change", "text", "some"),
    [
        (close_words, "A movie?", {"A film?"}),
        (close_words, "are you smart?", {"are you clever?", "are you intelligent?"}),
        (close_words, "are you a smart person", {"are you an intelligent person"}),
        (close_words, "do you like to swim?", {"do you like swimming?"}),
        (other_spelling, "Favourite colour?", {"Favorite colour?", "Favorite color?"}),
        (shorthand, "what are you doing?", {"whatcha doing?", "what r u doing?"}),
        (shorthand, "Do you want to play?", {"Do u wanna play?", "Do you wanna play?"}),
        (shorthand, "are you going to sing", {"are you gonna sing"}),
        (shorthand, "do u like ppl", {"do you like people"}),
        (other_small_words, "do you have a dog?", {"do you have dog?"}),
        (other_small_words, "do you like rain?", {"do you like the rain?"}),
        (other_small_words, "do you have any pets?", {"do you have pets?"}),
        (other_small_words, "do you have pets?", {"do you have any pets?"}),
    ],
)
def test_words_are_changed(change, text, some):
    assert some <= outcomes(change, text, 400)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (close_words, "would you like to dance?"),
        (close_words, "a filmy jobless moviegoer"),
        (other_spelling, "discolourations"),
        (shorthand, "ewe areas"),
        (other_small_words, "do you have a lot of money?"),
        (other_small_words, "what would you do with a million dollars?"),
        (other_small_words, "do you like The Beatles?"),
        (other_small_words, "what is the time"),
        (other_small_words, "do you like this?"),
    ],
)
def test_other_words_stay(change, text):
    assert outcomes(change, text) == {text}


def test_going_to_a_place_is_not_gonna():
    assert not any("gonna" in form for form in outcomes(shorthand, "are you going to school"))


def test_groups_have_several_members_in_small_letters():
    for group in [*CLOSE_WORDS, *SPELLINGS, *LIKED_ACTIONS]:
        assert len(set(group)) == len(group) > 1
        assert all(word == word.lower().strip() and word for word in group)


@pytest.mark.parametrize("table", [SHORTHAND, MISSPELT, AT_LENGTH])
def test_no_word_stands_for_itself(table):
    for word, others in table.items():
        assert others
        assert word not in others
        assert all(others)


def test_no_word_of_meaning_is_put_for_another():
    kinds = ["not never no none", "who", "where", "when", "why", "how", "i me my mine"]
    for kind in map(set, map(str.split, kinds)):
        for group in [*CLOSE_WORDS, *SPELLINGS, *LIKED_ACTIONS]:
            assert len({bool(kind & set(word.split())) for word in group}) == 1, group


def test_the_same_word_is_replaced_by_the_same_one():
    table = WordTable.of_groups([("cat", "kitty", "puss")])
    forms = outcomes(lambda text, rng: table.replaced(text, rng, 0.5), "Cat or cat-like cat, cats")
    assert forms == {
        f"{word.capitalize()} or cat-like {word}, cats" for word in ("cat", "kitty", "puss")
    }


def test_articles_follow_the_word_behind_them():
    assert with_right_articles("a apple, an dog, An university") == "an apple, a dog, A university"
