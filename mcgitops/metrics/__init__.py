"""Reads what training scripts leave behind: one file format a module; values, params, plots."""
