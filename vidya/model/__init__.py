"""The mathematics: architecture, forward and backward passes, objectives, Adam, learning rate."""
