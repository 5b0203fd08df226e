"""What users' files are, and how they are read: as text, rows or messages."""
