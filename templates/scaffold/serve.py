"""Serve the model: GET /health, and POST /predict with {"rows": [[length, width], …]}."""

import json
import math
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8080
MOST_BYTES = 1_000_000


def predict(weights, row):
    """The probability of class 1."""
    score = weights[0] + sum(w * x for w, x in zip(weights[1:], row, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON."""

    weights = ()

    def do_GET(self):
        """Say that the model is loaded."""
        self.answer(200 if self.path == "/health" else 404, {"features": len(self.weights) - 1})

    def do_POST(self):
        """Predict each row."""
        try:
            size = int(self.headers.get("Content-Length", "0"))
            if self.path != "/predict" or size > MOST_BYTES:
                self.answer(404 if size <= MOST_BYTES else 413, {"error": "POST /predict"})
                return
            rows = json.loads(self.rfile.read(size))["rows"]
            found = [predict(self.weights, [float(x) for x in row]) for row in rows]
            self.answer(200, {"probabilities": found})
        except (ValueError, KeyError, TypeError) as error:
            self.answer(400, {"error": str(error)})

    def answer(self, status, value):
        """Send one JSON object."""
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """Health checks would fill the log."""
        if self.path != "/health":
            super().log_message(format, *args)


def main():
    """Load the model and serve it; with --probe ask a running server whether it is well."""
    if "--probe" in sys.argv:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2).close()
        return
    Handler.weights = json.loads(Path("model.json").read_text())["weights"]
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
