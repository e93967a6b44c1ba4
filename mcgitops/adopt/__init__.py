"""Adoption: what `mcgitops init` proposes for a compose file, and the small project it scaffolds.

`look` gathers facts, `propose` decides, `notes` says what a person has to decide, `lines` turns the
decision into inserted lines, `scaffold` and `workflow` render new files, `write` is the only module
that changes a folder.
"""
