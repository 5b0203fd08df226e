"""A trained model that changes: what fine-tuning, teaching and reinforcement learning share."""
