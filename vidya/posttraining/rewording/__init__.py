"""Rewording: the forms in which a person may ask a question that is taught."""
