"""Before a long run: what it will take, tried out and reckoned."""
