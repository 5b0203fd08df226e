"""What a model says, in words."""

from vidya.measuring.quality_in_words import what_it_says


def test_fewer_bits_say_more():
    assert len({what_it_says(bits) for bits in (1.6, 1.9, 2.3, 4.0)}) == 4
    assert what_it_says(1.75) == what_it_says(0.5)
