"""What the benchmarks share: environments, measured processes, comparisons, tables, projects."""
