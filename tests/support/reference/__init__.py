"""What the kernels and the model are checked against: the formulas, written plainly."""
