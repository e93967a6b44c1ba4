"""Confirm new orders, one at a time; any number of workers may run."""

import os
import signal
import sys
import time

import psycopg2

CONFIRM = """
update orders set state = 'confirmed' where id = (
    select id from orders where state = 'new' order by id limit 1 for update skip locked
) returning id
"""


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    cursor = connection.cursor()
    while True:
        cursor.execute(CONFIRM)
        if row := cursor.fetchone():
            print(f"order {row[0]} confirmed")
        else:
            time.sleep(0.5)


if __name__ == "__main__":
    main()
