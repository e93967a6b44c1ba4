"""1,000,000 scalars by tensorboardX: 10 tags, 100,000 steps each; for the benchmark only."""

import sys
from pathlib import Path

from tensorboardX import SummaryWriter

writer = SummaryWriter(str(Path(sys.argv[1])), max_queue=10_000, flush_secs=600)
for step in range(100_000):
    for tag in range(10):
        writer.add_scalar(f"group/tag{tag}", 1 / (step + tag + 1), step, walltime=1.7e9 + step)
writer.close()
