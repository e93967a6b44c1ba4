"""The CI event as a type, and the forge's side of a report: comments, summaries, annotations."""
