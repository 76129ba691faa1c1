// The devices' page with a large fleet: how many rows are in the page, and how long it
// takes from a key to the answer on the screen.
//
// Start a gateway and `farrier-sim run --devices 10000 --report-interval-ms 1000`, then
//   FARRIER_URL=… FARRIER_LOGIN_URL=… node many.mjs
// with a login link of `farrier dashboard`. Not part of `cargo xtask test`: ten thousand
// devices that report each second fill more than one processor.

import { launch, watchComplaints } from "./browser.mjs";
import { Checks, expect } from "./checks.mjs";

const ROWS_MAX = 60;
const PAINT_MS_P95_MAX = 100;
const ROUNDS = 8;

const url = process.env.FARRIER_URL.replace(/\/$/, "");
const { context, close } = await launch(process.env.CHROMIUM ?? "/usr/bin/chromium");
const page = context.pages()[0] ?? (await context.newPage());
const checks = new Checks(page, process.env.FARRIER_SCREENSHOTS);
const check = checks.check.bind(checks);
const { complaints } = watchComplaints(page);

/** Milliseconds from this change of the search until its answer has been painted. */
function typed(text) {
  return page.evaluate(async (text) => {
    const box = document.querySelector("#search");
    const rows = () => [...document.querySelectorAll("[data-device-row] th a")].map((a) => a.innerText);
    const total = () => document.querySelector("[data-total]")?.innerText ?? "";
    const before = total();
    const begun = performance.now();
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((done) => {
      const seen = new MutationObserver(() => {
        if (total() === before || !rows().every((name) => name.includes(text))) return;
        seen.disconnect();
        // The frame that shows it, and the one behind it, which begins after its painting.
        requestAnimationFrame(() => requestAnimationFrame(done));
      });
      seen.observe(document.body, { subtree: true, childList: true, characterData: true });
    });
    return performance.now() - begun;
  }, text);
}

try {
  let total;
  let blankMs;
  await check("a page of a large fleet is painted soon", async () => {
    const painted = () =>
      page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
    await page.goto(`${url}/healthz`);
    await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
    blankMs = await painted();
    await page.goto(process.env.FARRIER_LOGIN_URL);
    await page.locator("[data-link=live]").waitFor();
    await page.goto(`${url}/devices`);
    await page.locator("[data-device-row]").first().waitFor();
    console.log(`      first paint ${Math.round(await painted())} ms, of a line of text ${Math.round(blankMs)} ms`);
    total = await page.evaluate(async () => (await (await fetch("/api/v1/devices?limit=1")).json()).total);
  });

  await check("few rows of many devices are in the page", async () => {
    const rows = await page.locator("tbody tr").count();
    console.log(`      ${rows} rows of ${total} devices`);
    expect(rows <= ROWS_MAX && total > ROWS_MAX, `${rows} rows of ${total} devices`);
    await page.locator("[data-next]").click();
    await page.locator("[data-total]").getByText("51 to 100").waitFor();
    expect((await page.locator("tbody tr").count()) <= ROWS_MAX, "the second page has more rows");
  });

  await check("a search is answered on the screen soon", async () => {
    const name = await page.locator("[data-device-row] th a").first().innerText();
    const stem = name.replace(/\d+$/, "");
    const texts = Array.from({ length: ROUNDS }, (_, round) => [`${stem}${round + 1}1`, `${stem}${round + 1}`]).flat();
    const times = [];
    for (const text of texts) times.push(await typed(text));
    times.sort((a, b) => a - b);
    const p95 = times[Math.ceil(times.length * 0.95) - 1];
    console.log(`      ${times.length} changes: median ${Math.round(times[times.length >> 1])} ms, p95 ${Math.round(p95)} ms`);
    expect(p95 <= PAINT_MS_P95_MAX, `p95 is ${Math.round(p95)} ms`);
  });

  await check("all that are found can be selected", async () => {
    await page.locator("#search").fill("");
    await page.locator("[data-device-row]").first().waitFor();
    await page.getByLabel("Select this page").check();
    await page.locator("[data-select-all]").click();
    await page.locator("[data-selected]").getByText(`${total} devices selected`).waitFor();
  });

  await check("the browser had nothing to complain about", async () => {
    expect(complaints.length === 0, complaints.join("\n"));
  });
} finally {
  await close();
}
console.log(`${checks.passed} passed, ${checks.failed} failed`);
process.exit(checks.failed === 0 ? 0 : 1);
