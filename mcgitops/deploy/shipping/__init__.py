"""Images to hosts: layer by layer out of the store, or by digest through a registry."""
