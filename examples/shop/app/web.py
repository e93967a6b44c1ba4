"""The shop's web app: health, products, orders and recommendations as JSON over HTTP."""

import json
import os
import signal
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2


def query(statement, *values):
    """Run one statement in a transaction of its own; returns its rows."""
    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection, connection:
        cursor = connection.cursor()
        cursor.execute(statement, values)
        return cursor.fetchall()


def recommendations(customer):
    """What the job recommends to a customer; nothing before it has run for the first time."""
    path = Path(os.environ["RECOMMENDATIONS"])
    found = json.loads(path.read_text()) if path.is_file() else {}
    return found.get(customer, [])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        match self.path.strip("/").split("/"):
            case ["health"]:
                query("select 1")
                self.answer({"status": "ok", "shop": os.environ["SHOP_NAME"]})
            case ["products"]:
                self.answer([name for (name,) in query("select name from products order by id")])
            case ["orders", number] if number.isdigit():
                rows = query("select state from orders where id = %s", int(number))
                self.answer({"state": rows[0][0]} if rows else {"error": "no such order"})
            case ["recommendations", customer] if customer.isdigit():
                self.answer(recommendations(customer))
            case _:
                self.answer({"error": "not found"}, 404)

    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ((number,),) = query(
            "insert into orders (customer, product)"
            " select %s, id from products where name = %s returning id",
            order["customer"],
            order["product"],
        )
        self.answer({"order": number}, 201)

    def answer(self, body, status=200):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *values):
        if os.environ.get("LOG_REQUESTS"):
            super().log_message(*values)


if __name__ == "__main__":
    with ThreadingHTTPServer(("", 8000), Handler) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever(poll_interval=0.1)
