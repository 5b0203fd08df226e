"""What must survive a crash: checkpoints, run folders, metrics."""
