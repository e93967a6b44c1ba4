"""The health check: exit 0 where the server answers /health with 200."""

import sys
import urllib.request

with urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=4) as answer:
    sys.exit(answer.status != 200)
