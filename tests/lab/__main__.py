"""`python -m tests.lab`: bring components up and take them down by hand.

engine       a Docker engine with compose and buildx: find, start or install it
base-image   the base image; prints its tag
mini-image   an image of 2 MB that holds busybox; prints its tag
proxy-image  the same with HAProxy; prints its tag
host-image   the image of the SSH hosts; prints its tag
ceph         the programs of Ceph's S3 gateway; the tests start and end it
writers      an environment with the packages whose files are read in tests
down         remove what the lab made: containers, networks, volumes, images
"""  # the text is also the command's help

from __future__ import annotations

import argparse
import sys

from tests.lab import ceph, down, engine, images, tools, writers
from tests.lab.program import LabError, say


def main(argv: list[str] | None = None) -> int:
    """Run one verb of the lab; 2 where this machine can't have the component."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in (
        "venv",
        "tools",
        "engine",
        "base-image",
        "mini-image",
        "proxy-image",
        "host-image",
        "ceph",
        "writers",
    ):
        verbs.add_parser(verb)
    removal = verbs.add_parser("down")
    removal.add_argument("--images", action="store_true", help="the images as well")
    removal.add_argument("--engine", action="store_true", help="and the dockerd the lab started")
    options = parser.parse_args(argv)
    try:
        if options.verb == "venv":
            tools.make_venv()
        elif options.verb == "tools":
            tools.provide()
        elif options.verb == "engine":
            found = engine.bring_up()
            numbers = [engine.number(text) for text in (found.compose, found.buildx)]
            say(f"engine {found.version}, compose {numbers[0]}, buildx {numbers[1]}")
        elif options.verb == "base-image":
            print(images.base_image())
        elif options.verb == "mini-image":
            print(images.mini_image())
        elif options.verb == "proxy-image":
            print(images.proxy_image())
        elif options.verb == "host-image":
            print(images.host_image())
        elif options.verb == "ceph":
            ceph.provide()
        elif options.verb == "writers":
            writers.python()
        else:
            down.remove(with_images=options.images or options.engine)
            ceph.stop()
            if options.engine:
                engine.stop()
    except LabError as error:
        say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
