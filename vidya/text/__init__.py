"""From files to documents, token ids and batches."""
