// Runs named checks one after the other and counts them. A failed check leaves
// a picture, and the next one runs: a report of all that is wrong is worth more
// than an early end. A check that needs a failed one fails by itself.

import path from "node:path";

export class Checks {
  passed = 0;
  failed = 0;

  constructor(page, screenshots) {
    this.page = page;
    this.screenshots = screenshots;
  }

  async check(name, body) {
    const started = Date.now();
    try {
      await body();
      this.passed += 1;
      console.log(`ok    ${name} (${Date.now() - started} ms)`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAIL  ${name}\n      ${String(error.message ?? error).replaceAll("\n", "\n      ")}`);
      await this.picture(`failed-${this.failed}`).catch(() => {});
    }
  }

  async picture(name) {
    if (!this.screenshots) return;
    await this.page.screenshot({ path: path.join(this.screenshots, `${name}.png`), fullPage: true });
  }
}

/** Throws with `message` unless `condition` holds. */
export function expect(condition, message) {
  if (!condition) throw new Error(message);
}
