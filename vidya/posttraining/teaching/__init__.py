"""Teaching: lessons learnt from a person, one at a time."""
