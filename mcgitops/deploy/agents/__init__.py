"""Hosts that deploy themselves: what is wanted, what to do about it, and doing it."""
