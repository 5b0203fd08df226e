"""A run looked at from outside: its history, a frame of it, pictures."""
