"""One file format a module, each following `mcgitops.metrics.readers.Format`."""
