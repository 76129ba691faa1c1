// Compares figures on a page with `farrier ps -o json` of the same report.
//
// Page and command see reports at different times. So the page's figures are
// recorded as they change, each under the number of its report, until the
// command prints a report that was also seen on the page.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "./checks.mjs";

const run = promisify(execFile);

/** The rows of `farrier ps -o json`. */
export async function ps({ cli, url, tokenFile }) {
  const env = { ...process.env, FARRIER_GATEWAY: url, FARRIER_TOKEN_FILE: tokenFile };
  const { stdout } = await run(cli, ["ps", "-o", "json"], { env, timeout: 20_000 });
  const answer = JSON.parse(stdout);
  return Array.isArray(answer) ? answer : answer.items;
}

/** Begins to record the figures of an application in the open page. */
export async function record(page, device, app) {
  await page.evaluate(([device, app]) => {
    const seen = (window.farrierSeen = {});
    const look = () => {
      for (const cell of document.querySelectorAll("[data-field][data-report-counter]")) {
        const { device: d, app: a, field, value, reportCounter, reportBoot } = cell.dataset;
        if (d !== device || a !== app || value === undefined) continue;
        (seen[`${reportBoot}/${reportCounter}`] ??= {})[field] = value;
      }
    };
    look();
    new MutationObserver(look).observe(document.body, { subtree: true, attributes: true, childList: true });
  }, [device, app]);
}

/** Figures that change with every report must be among those compared. */
const FIELDS_LEAST = ["calls", "cpu_us", "memory_bytes"];

/** Waits until both saw one report, and returns what was compared. */
export async function compare(page, gateway, device, app, deadlineMs) {
  for (;;) {
    const row = (await ps(gateway)).find((one) => one.device === device && one.app === app);
    expect(row, `farrier ps knows no ${app} on ${device}`);
    const key = `${row.report_boot_id}/${row.report_counter}`;
    // The report may reach the page a moment later than the command.
    const shown = await page
      .waitForFunction((key) => window.farrierSeen?.[key], key, { timeout: 3_000 })
      .then((handle) => handle.jsonValue())
      .catch(() => null);
    if (shown) {
      for (const field of FIELDS_LEAST) expect(field in shown, `the page does not show ${field}`);
      for (const [field, value] of Object.entries(shown)) {
        expect(Number(value) === row[field], `${field} of report ${key}: page ${value}, farrier ps ${row[field]}`);
      }
      return { report: key, fields: Object.keys(shown).length, calls: row.calls };
    }
    expect(Date.now() < deadlineMs, `no report was seen both on the page and by farrier ps, last ${key}`);
  }
}
