"""This machine and this process: cores, memory, files that survive a crash, signals."""
