"""Makes the comment that README.md shows: trains examples/wine twice and reports, for real.

`BASE_IMAGE=… python -m docs.comment` writes docs/images/comment.md and the part of README.md
between its markers. With `--mermaid path/to/mermaid.min.js` (npm's `mermaid`) it also takes the
picture, with headless Chromium.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
START, END = "<!-- comment: made by docs/comment.py -->", "<!-- end of comment -->"
GATE_FAILED = 3

STYLE = """
body { font: 14px/1.5 "DejaVu Sans", "Noto Color Emoji", sans-serif; color: #1f2328; margin: 0;
       background: #fff; padding: 16px; width: 1040px; }
.comment { border: 1px solid #d1d9e0; border-radius: 6px; }
.head { background: #f6f8fa; border-bottom: 1px solid #d1d9e0; padding: 8px 16px; color: #59636e;
        border-radius: 6px 6px 0 0; }
.head b { color: #1f2328; }
.label { border: 1px solid #d1d9e0; border-radius: 2em; font-size: 12px; padding: 0 7px; }
.body { padding: 0 16px 16px; }
h3 { font-size: 1.25em; margin: 16px 0 8px; }
table { border-collapse: collapse; margin: 12px 0; font-size: 13px; }
th, td { border: 1px solid #d1d9e0; padding: 5px 11px; }
tr:nth-child(2n) { background: #f6f8fa; }
code { background: #818b981f; border-radius: 6px; padding: .2em .4em;
       font: 85% "DejaVu Sans Mono", monospace; }
td:first-child { font-family: "Noto Color Emoji", sans-serif; }
.mermaid { text-align: center; } .mermaid svg { max-height: 300px; }
details { margin: 8px 0; }
"""


def comment() -> str:
    """The report's Markdown on examples/wine, of a branch that trains for five epochs only."""
    with tempfile.TemporaryDirectory(prefix="mcgitops-comment-") as name:
        folder = Path(name) / "wine"
        ignored = shutil.ignore_patterns(".mcgitops", "__pycache__", "*.joblib", "*.json")
        shutil.copytree(ROOT / "examples/wine", folder, ignore=ignored)

        def run(*argv: str, codes: tuple[int, ...] = (0,)) -> str:
            done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode not in codes:
                sys.exit(f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr}")
            return done.stdout

        tool = (sys.executable, "-m", "mcgitops")
        run("git", "init", "--quiet", "--initial-branch=main")
        run("git", "add", ".")
        run("git", "commit", "--quiet", "--message", "A wine classifier")
        run(*tool, "train")
        run("git", "switch", "--quiet", "--create", "shorter")
        params = folder / "params.yaml"
        text = re.sub(r"(?m)^lr: .*$", "lr: 0.001", params.read_text())
        params.write_text(re.sub(r"(?m)^epochs: .*$", "epochs: 5", text))
        run("git", "commit", "--quiet", "--all", "--message", "Train for five epochs only")
        run(*tool, "train")
        return run(*tool, "report", "--format", "markdown", codes=(GATE_FAILED,))


def picture(markdown: str, mermaid: Path, target: Path) -> None:
    """The comment as a page like GitHub's, taken with headless Chromium."""
    from markdown_it import MarkdownIt

    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    html = re.sub(
        r'<pre><code class="language-mermaid">(.*?)</code></pre>',
        r'<div class="mermaid">\1</div>', html, flags=re.DOTALL,
    )  # fmt: skip
    page = (
        f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><div class="comment">'
        '<div class="head"><b>github-actions</b> <span class="label">bot</span> commented</div>'
        f'<div class="body">{html}</div></div><script>{mermaid.read_text()}</script>'
        "<script>mermaid.initialize({startOnLoad: false}); mermaid.run().then(() => "
        "document.body.dataset.height = document.documentElement.offsetHeight)</script>"
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "comment.html"
        source.write_text(page)
        shot = Path(folder) / "shot.png"

        def chromium(*options: str) -> str:
            done = subprocess.run(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                 "--virtual-time-budget=8000", *options, source.as_uri()],
                check=True, capture_output=True, text=True, env={**os.environ, "HOME": folder},
            )  # fmt: skip
            return done.stdout

        found = re.search(r'data-height="(\d+)"', chromium("--window-size=1104,100", "--dump-dom"))
        height = int(found[1]) if found else 2000
        chromium(f"--window-size=1104,{height}", f"--screenshot={shot}")
        shutil.copy(shot, target)


def main() -> None:
    """Write the Markdown, README's part and, where asked for, the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mermaid", type=Path, help="mermaid.min.js: take the picture, too")
    options = parser.parse_args()
    text = comment()
    (IMAGES / "comment.md").write_text(text)
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(START)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{START}\n\n{text}\n{END}{after}")
    if options.mermaid:
        picture(text, options.mermaid, IMAGES / "comment.png")


if __name__ == "__main__":
    main()
