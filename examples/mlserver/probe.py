"""The health check: exit 0 where MLServer says that it is alive."""

import sys
import urllib.request

with urllib.request.urlopen("http://127.0.0.1:8080/v2/health/live", timeout=4) as answer:
    sys.exit(answer.status != 200)
