"""Serve the model: GET /health, POST /predict with a JSON object of measurements."""

import hashlib
import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import joblib

MODEL = Path("model.joblib")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    trained: dict
    digest: str

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, {"status": "ok", "model": self.digest})
        else:
            self.answer(404, {"error": "GET /health or POST /predict"})

    def do_POST(self):
        if self.path != "/predict":
            return self.answer(404, {"error": "GET /health or POST /predict"})
        try:
            length = int(self.headers.get("Content-Length", 0))
            sample = json.loads(self.rfile.read(length))
            row = [float(sample[name]) for name in self.trained["columns"]]
        except KeyError as error:
            return self.answer(422, {"error": f"{error.args[0]} is missing"})
        except (TypeError, ValueError) as error:
            return self.answer(400, {"error": f"not a JSON object of numbers: {error}"})
        model = self.trained["model"]
        (chances,) = model.predict_proba(self.trained["scaler"].transform([row]))
        probabilities = dict(zip(model.classes_, map(float, chances), strict=True))
        cultivar = max(probabilities, key=probabilities.get)
        return self.answer(
            200, {"cultivar": cultivar, "probabilities": probabilities, "model": self.digest}
        )

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Requests are not logged: the proxy could do that."""


class Server(ThreadingHTTPServer):
    """Requests that are under way when the server stops are finished first."""

    daemon_threads = False
    request_queue_size = 128


def main():
    Handler.trained = joblib.load(MODEL)
    Handler.digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()[:12]
    with Server(("", 8080), Handler) as server:
        # shutdown() waits for serve_forever(), so it can't be called in the same thread.
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"serving model {Handler.digest} on port 8080")
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
