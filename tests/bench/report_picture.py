"""Take the README's picture of the report: the worst tal and stg cases of the demo, as a browser shows them.

make demo && python -m tests.bench.report_picture       needs Chromium
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no browser found: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.goto((ROOT / "demo/prior/report.html").as_uri(), wait_until="domcontentloaded")
        cases = page.locator(".case")
        shots = [Image.open(io.BytesIO(cases.nth(k).screenshot())).convert("RGB") for k in (0, 1, 3)]
        browser.close()
    picture = Image.new("RGB", (shots[0].width, sum(shot.height + 12 for shot in shots) - 12), "white")
    top = 0
    for shot in shots:
        picture.paste(shot, (0, top))
        top += shot.height + 12
    picture.save(ROOT / "tests/bench/report.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main()
