"""The training loop, what it needs, and what it costs."""
