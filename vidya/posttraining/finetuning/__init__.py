"""Fine-tuning: a persona learnt from files."""
