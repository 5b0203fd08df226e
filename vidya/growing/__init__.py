"""A trained model made bigger: the same function, with room to learn more."""
