"""A trained model in the files of other programs, checked after they are written."""
