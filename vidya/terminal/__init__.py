"""What any command shows and reads: command lines, progress, tables, edited lines."""
