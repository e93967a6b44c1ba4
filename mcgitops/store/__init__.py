"""Content-addressed objects and immutable records, in a folder or a bucket: one interface."""
