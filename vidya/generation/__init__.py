"""Token ids in, token ids out, then text."""
