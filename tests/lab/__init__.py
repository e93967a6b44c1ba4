"""The test lab: real components (engine, base image, SSH hosts, S3 servers) on one plain machine.

Used by `make test`, `make demo` and the benchmarks. Bring-up needs the standard library only, since
it runs before the virtual environment exists. Its containers, networks and volumes carry the
label `mclab`, its images stand under `mcgitops-lab/`; `python -m tests.lab down` removes them.
"""
