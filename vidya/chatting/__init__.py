"""A conversation with a model, and the file that it is kept in."""
