"""Create the tables; fill empty ones with a year of orders that follow a pattern."""

import os
import random

import psycopg2
from psycopg2.extras import execute_values

SCHEMA = """
create table if not exists products (id integer primary key, name text not null);
create table if not exists orders (
    id serial primary key,
    customer integer not null,
    product integer not null references products,
    placed date not null default current_date,
    state text not null default 'new'
);
create index if not exists orders_by_customer on orders (customer);
"""
SHELVES = {
    "coffee": ["espresso", "filter coffee", "decaf", "milk frother", "mugs"],
    "tea": ["green tea", "black tea", "rooibos", "teapot", "honey"],
    "garden": ["tulip bulbs", "watering can", "potting soil", "secateurs", "gloves"],
    "office": ["notebook", "pens", "stapler", "folders", "desk lamp"],
}


def orders(rng):
    """Customers have one or two favourite shelves and stray now and then."""
    shelves = list(SHELVES)
    products = [name for names in SHELVES.values() for name in names]
    for customer in range(1, 401):
        favourites = rng.sample(shelves, rng.choice([1, 1, 2]))
        for _ in range(rng.randint(3, 12)):
            shelf = rng.choice(favourites) if rng.random() < 0.85 else rng.choice(shelves)
            product = products.index(rng.choice(SHELVES[shelf]))
            yield customer, product, f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}", "done"


def main():
    with psycopg2.connect(os.environ["DATABASE_URL"]) as connection:
        cursor = connection.cursor()
        cursor.execute(SCHEMA)
        cursor.execute("select count(*) from products")
        if cursor.fetchone()[0]:
            return print("the tables are there already")
        names = [name for names in SHELVES.values() for name in names]
        execute_values(cursor, "insert into products values %s", enumerate(names))
        rows = list(orders(random.Random(7)))
        columns = "insert into orders (customer, product, placed, state) values %s"
        execute_values(cursor, columns, rows)
        return print(f"{len(names)} products, {len(rows)} orders")


if __name__ == "__main__":
    main()
