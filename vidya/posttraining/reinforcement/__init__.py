"""Reinforcement learning: replies that a Python function judges."""
