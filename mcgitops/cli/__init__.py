"""The verbs, one file each: read options, call one function, print; nothing else."""
