// A fresh Chromium, and a list of everything that it complained about.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

/** Each step waits for a condition at most this long. */
const STEP_MS_MAX = 30_000;

export async function launch(executablePath) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "farrier-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    viewport: { width: 1440, height: 900 },
    args: [
      // The test may run as root and in a container, where the sandbox cannot.
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  context.setDefaultTimeout(STEP_MS_MAX);
  const close = async () => {
    await context.close().catch(() => {});
    fs.rmSync(profile, { recursive: true, force: true });
  };
  return { context, close };
}

/**
 * Collects console errors, exceptions and breaches of the content security
 * policy. A refusal that a check provokes is allowed by its status and path
 * beforehand; everything else is a failure.
 */
export function watchComplaints(page) {
  const complaints = [];
  const allowed = [];
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const text = message.text();
    const where = message.location().url ?? "";
    const wanted = allowed.some(({ status, path }) => text.includes(`status of ${status}`) && where.includes(path));
    if (!wanted) complaints.push(`console: ${text} (${where})`);
  });
  return { complaints, allow: (status, path) => allowed.push({ status, path }) };
}
