// What keeps somebody from using the open page, by axe-core.

import fs from "node:fs";
import { createRequire } from "node:module";

const source = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A line for each violation, with the elements it is about. */
export async function barriers(page) {
  // Through the debugger and not as a script of the page, whose policy allows none.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(source);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => {
      const where = nodes.slice(0, 3).map(({ html }) => html.slice(0, 160));
      return `${id}: ${help} (${nodes.length})\n  ${where.join("\n  ")}`;
    });
  });
}
