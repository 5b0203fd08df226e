"""Corpora: converted from other sources, and mixed."""
