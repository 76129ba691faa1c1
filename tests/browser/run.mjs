// The dashboard's one path through a real browser: log in, upload, deploy,
// watch. `cargo xtask test` starts it against a gateway with real devices.
//
// FARRIER_URL         the gateway                FARRIER_LOGIN_URL  a fresh login link
// FARRIER_USER        a user's name              FARRIER_PASSWORD   and password
// FARRIER_CLI         the farrier command        FARRIER_TOKEN_FILE its login
// FARRIER_WASM        the module to upload       FARRIER_SCREENSHOTS  folder, made if missing
// CHROMIUM            the browser, /usr/bin/chromium unless set
// FARRIER_MODULE_NAME, FARRIER_SENSORS  how to deploy it, else what the form says
// FARRIER_CHANNELS    where it publishes, "average" unless set
// FARRIER_REFUSED_APP an application that some device has refused or stopped
//
// Waits are for conditions, never for time. The last line is `N passed, N failed`.

import fs from "node:fs";
import path from "node:path";
import { barriers } from "./accessibility.mjs";
import { launch, watchComplaints } from "./browser.mjs";
import { Checks, expect } from "./checks.mjs";
import { compare, ps, record } from "./same-report.mjs";

const ALL_MS_MAX = 300_000;
const DEPLOY_MS_MAX = 120_000;
/** What the README promises for a browser's first visit. */
const FIRST_VISIT_BYTES_MAX = 250_000;
const PAGES = ["/", "/devices", "/modules", "/deployments"];

const settings = {
  url: required("FARRIER_URL").replace(/\/$/, ""),
  loginUrl: required("FARRIER_LOGIN_URL"),
  wasm: required("FARRIER_WASM"),
  cli: required("FARRIER_CLI"),
  tokenFile: process.env.FARRIER_TOKEN_FILE ?? "",
  screenshots: process.env.FARRIER_SCREENSHOTS,
  chromium: process.env.CHROMIUM ?? "/usr/bin/chromium",
};

function required(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set; see the head of run.mjs`);
    process.exit(2);
  }
  return value;
}

async function walk(page, checks, { complaints, allow }) {
  const check = checks.check.bind(checks);
  const deadlineMs = Date.now() + ALL_MS_MAX;
  let deployment;
  let device;

  await check("without a session every page says how to log in", async () => {
    allow(401, "/api/v1/");
    await page.goto(`${settings.url}/devices`);
    await page.getByText("farrier dashboard").waitFor();
  });

  await check("a wrong password is told in plain words, and the right one opens the overview", async () => {
    allow(401, "/api/v1/");
    await page.getByLabel("Name").fill(process.env.FARRIER_USER);
    await page.getByLabel("Password").fill("not the words of mine");
    await page.getByRole("button", { name: "Log in", exact: true }).click();
    const refused = await page.locator("[data-problem]").innerText();
    expect(refused.includes("name or the password is wrong"), refused);
    await checks.picture("login");
    await page.getByLabel("Password").fill(process.env.FARRIER_PASSWORD);
    await page.getByRole("button", { name: "Log in", exact: true }).click();
    await page.locator("[data-link=live]").waitFor();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Password").waitFor();
  });

  await check("the login link opens the overview with live figures", async () => {
    await page.goto(settings.loginUrl);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.locator("[data-link=live]").waitFor();
    expect(new URL(page.url()).pathname === "/", `the link led to ${page.url()}`);
  });

  await check("a first visit is small, and all of it from the gateway", async () => {
    const { bytes, elsewhere, isCompressed } = await page.evaluate(async () => {
      const entries = performance.getEntries().filter(({ entryType }) => ["navigation", "resource"].includes(entryType));
      const files = entries.filter(({ name }) => !new URL(name).pathname.startsWith("/api/"));
      const wasm = files.find(({ name }) => name.endsWith(".wasm"));
      return {
        bytes: files.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
        elsewhere: entries.map(({ name }) => name).filter((name) => new URL(name).origin !== location.origin),
        isCompressed: wasm.encodedBodySize < wasm.decodedBodySize,
      };
    });
    expect(elsewhere.length === 0, `requests to ${elsewhere}`);
    // A build for the warm loop is not compressed and not what anybody visits.
    expect(bytes > 0 && (!isCompressed || bytes <= FIRST_VISIT_BYTES_MAX), `a first visit takes ${bytes} B`);
    console.log(`      ${bytes} B${isCompressed ? "" : ", a build for development"}`);
  });

  await check("the overview counts the devices that are online", async () => {
    await page.waitForFunction(() => {
      const tile = document.querySelector("[data-field=devices_online]");
      return Number(tile?.dataset.value) >= 1;
    });
  });

  await check("a file that is not Wasm is refused before it is sent", async () => {
    await open(page, "Modules");
    await upload(page, "notes.wasm", Buffer.from("These are notes.\n"));
    const text = await page.locator("[data-not-sent]").innerText();
    expect(text.includes("not WebAssembly"), text);
  });

  await check("a truncated module shows the gateway's own words", async () => {
    allow(400, "/api/v1/modules");
    allow(422, "/api/v1/modules");
    const whole = fs.readFileSync(settings.wasm);
    const answer = page.waitForResponse(isPost("/api/v1/modules"));
    await upload(page, "half.wasm", whole.subarray(0, Math.floor(whole.length * 0.6)));
    const problem = await (await answer).json();
    const text = await page.locator("[data-upload-result] [data-problem]").innerText();
    expect(text.includes(problem.title) && text.includes(problem.detail), `${text} / ${problem.detail}`);
    await checks.picture("refused-upload");
  });

  await check("a module is uploaded by dropping it on the page", async () => {
    const name = process.env.FARRIER_MODULE_NAME;
    if (name) await page.getByLabel("Name").fill(name);
    await drop(page, path.basename(settings.wasm), fs.readFileSync(settings.wasm));
    const id = await page.locator("[data-uploaded]").getAttribute("data-uploaded");
    await page.locator(`[data-module-row="${id}"]`).waitFor();
    deployment = { module: id };
  });

  await check("it is deployed to all devices from the page", async () => {
    await page.locator(`[data-deploy="${deployment.module}"]`).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("All devices").check();
    await fill(dialog, "sensors", process.env.FARRIER_SENSORS);
    await fill(dialog, "channels", process.env.FARRIER_CHANNELS ?? "average");
    await checks.picture("deploy-dialog");
    const answer = page.waitForResponse(isPost("/api/v1/deployments"));
    await dialog.locator("[data-deploy-submit]").click();
    deployment = await (await answer).json();
    expect(deployment.id, `the gateway answered ${JSON.stringify(deployment)}`);
    await page.getByRole("heading", { name: "Deployments" }).waitFor();
  });

  await check("every device is seen to reach running", async () => {
    const seen = await page.waitForFunction(endOfDeployment, deployment.id, { timeout: DEPLOY_MS_MAX });
    const states = await seen.jsonValue();
    device = (states.find(({ state }) => state === "running") ?? states[0]).device;
    expect(states.every(({ state }) => state === "running"), JSON.stringify(states, null, 1));
  });

  await check("the artifact matrix has a finished artifact for each target", async () => {
    await open(page, "Modules");
    const row = page.locator(`[data-module-row="${deployment.module}"]`);
    await row.locator("[data-state=ready] [data-field=compile_ms]").first().waitFor();
    const refused = await row.locator("[data-state=refused]").count();
    expect(refused === 0, `${refused} artifacts are refused`);
  });

  await check("a device's chart moves", async () => {
    await open(page, "Devices");
    await page.locator(`[data-device-row="${device}"] a`).first().click();
    const line = page.locator("[data-chart=app-cpu] path[data-series]").first();
    await line.waitFor({ state: "attached" });
    const before = await line.getAttribute("d");
    await page.waitForFunction(
      (before) => document.querySelector("[data-chart=app-cpu] path[data-series]")?.getAttribute("d") !== before,
      before,
    );
  });

  await check("a log is chosen by level and text, and holds still when paused", async () => {
    await page.locator(".log .log-line").first().waitFor();
    await page.locator("[data-log-text]").fill("no line says this");
    await page.getByText("No line fits this filter.").waitFor();
    await page.locator("[data-log-text]").fill("");
    await page.locator("[data-log-level]").selectOption("error");
    await page.waitForFunction(() => {
      const levels = [...document.querySelectorAll(".log .log-level")].map((level) => level.innerText);
      return levels.every((level) => level === "error");
    });
    await page.locator("[data-log-level]").selectOption("");
    await page.locator("[data-log-pause]").click();
    await page.getByText("Paused: newer lines wait.").waitFor();
    await page.locator("[data-log-pause]").click();
  });

  await check("a module's card tells its ticks, channels, calls and confinement", async () => {
    const card = page.locator(`[data-app-card="${deployment.app}"]`);
    await card.locator("[data-app-details]").click();
    for (const name of ["Ticks", "Class and confinement", "Channels", "Host calls"]) {
      await card.getByRole("region", { name, exact: true }).waitFor();
    }
    await card.locator("[data-app-details]").click();
  });

  await check("figures on the page equal those of farrier ps of the same report", async () => {
    await record(page, device, deployment.app);
    const same = await compare(page, settings, device, deployment.app, deadlineMs);
    console.log(`      report ${same.report}: ${same.fields} fields equal, ${same.calls} calls`);
  });

  await check("the page says where figures include an emulator", async () => {
    const rows = await ps(settings);
    await open(page, "Overview");
    for (const row of rows) {
      const marks = page.locator(`[data-app-row="${row.device}/${row.app}"] .mark`);
      if (row.emulated) await marks.waitFor();
      else expect((await marks.count()) === 0, `${row.device_name} is marked as emulated`);
    }
  });

  await check("what a device refused is explained on its page", async () => {
    const refused = (await ps(settings)).filter((row) => row.refusal);
    expect(!process.env.FARRIER_REFUSED_APP || refused.length > 0, "no application is refused");
    for (const { device, app, refusal } of refused) {
      await page.goto(`${settings.url}/devices/${device}`);
      const card = page.locator(`[data-app-card="${app}"]`);
      await card.getByText(refusal.title, { exact: false }).first().waitFor();
      await card.getByText(refusal.advice, { exact: false }).first().waitFor();
    }
  });

  await check("devices are found by facets, chips and text, and the address keeps the search", async () => {
    await open(page, "Devices");
    await page.locator("[data-device-row]").first().waitFor();
    const all = await page.locator("[data-device-row]").count();
    const name = (await ps(settings)).find((row) => row.device === device).device_name;
    await page.keyboard.press("/");
    await page.keyboard.type(name);
    await page.waitForFunction(() => document.querySelectorAll("[data-device-row]").length === 1);
    await page.locator("[data-facet=status]").selectOption("online");
    await page.locator('[data-chip="status:online"]').waitFor();
    const q = new URL(page.url()).searchParams.get("q");
    expect(q === `${name} status:online`, `the address says ${q}`);
    await page.locator("[data-save]").click();
    await page.reload();
    await page.locator(`[data-device-row="${device}"]`).waitFor();
    expect((await page.locator("[data-device-row]").count()) === 1, "the reload lost the search");
    await page.locator(`[data-chip="${name}"]`).click();
    await page.waitForFunction((all) => document.querySelectorAll("[data-device-row]").length === all, all);
    await page.locator("#search").fill("nobody-has-this-name");
    await page.locator("[data-empty]").waitFor();
    await page.locator("[data-saved] .chip").first().click();
    await page.waitForFunction(() => document.querySelectorAll("[data-device-row]").length === 1);
    allow(400, "/api/v1/devices");
    await page.locator("#search").fill("colour:red");
    await page.locator("[data-problem]").getByText("there is no facet").waitFor();
    await page.locator("#search").fill("");
    await page.waitForFunction((all) => document.querySelectorAll("[data-device-row]").length === all, all);
  });

  await check("columns sort, and the head says which way", async () => {
    const names = () => page.locator("[data-device-row] th a").allInnerTexts();
    const upwards = await names();
    await page.locator("[data-sort=name]").click();
    await page.locator("th[aria-sort=descending] [data-sort=name]").waitFor();
    await page.waitForFunction(
      (first) => document.querySelector("[data-device-row] th a")?.innerText === first,
      upwards.at(-1),
    );
    expect(String(await names()) === String(upwards.toReversed()), `${await names()}`);
    await page.locator("[data-sort=name]").click();
  });

  await check("selected devices are deployed to together, with a result for each", async () => {
    await page.locator("[data-device-row]").nth(1).waitFor();
    await page.getByLabel("Select this page").check();
    const count = await page.locator("[data-device-row]").count();
    await page.locator("[data-selected]").getByText(`${count} devices selected`).waitFor();
    await page.locator("[data-bulk=deploy]").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Module").selectOption(deployment.module);
    const answer = page.waitForResponse(isPost("/api/v1/deployments"));
    await dialog.locator("[data-deploy-submit]").click();
    const made = await (await answer).json();
    expect(made.devices.these.length === count, JSON.stringify(made.devices));
    await page.waitForFunction((count) => document.querySelectorAll("[data-outcome]").length === count, count);
    await checks.picture("bulk-result");
    // Removing asks for the number; nobody is removed here.
    await page.locator("[data-bulk=remove]").click();
    const sure = dialog.getByRole("button", { name: "Remove", exact: true });
    expect(await sure.isDisabled(), "devices can be removed without being asked");
    await dialog.locator("input[name=confirm]").fill(String(count));
    expect(await sure.isEnabled(), "the number does not confirm");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    deployment = { ...deployment, ...made, devices: "all" };
    await open(page, "Deployments");
    await page.waitForFunction(endOfDeployment, made.id, { timeout: DEPLOY_MS_MAX });
  });

  await check("everything is reached by keyboard", async () => {
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("Keys").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await page.keyboard.press("g");
    await page.keyboard.press("d");
    await page.locator("[data-page=devices]").waitFor();
    await page.locator("[data-device-row]").nth(1).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    await page.keyboard.press("x");
    await page.locator("[data-selected]").getByText("1 device selected").waitFor();
    const first = await page.locator("[data-device-row]").first().getAttribute("data-device-row");
    await page.keyboard.press("Enter");
    await page.locator(`[data-device-page="${first}"]`).waitFor();
    await page.goBack();
    await page.locator("[data-page=devices]").waitFor();
  });

  await check("one click goes back to what ran before", async () => {
    // The same module with other terms, as another operator would deploy it.
    const other = await page.evaluate(async ({ module, devices, sensors, channels }) => {
      const body = JSON.stringify({ module, devices, sensors, channels, interval_ms: 777 });
      const headers = { "content-type": "application/json" };
      return (await fetch("/api/v1/deployments", { method: "POST", headers, body })).json();
    }, deployment);
    await open(page, "Deployments");
    const card = page.locator(`[data-deployment="${other.id}"]`);
    const answer = page.waitForResponse(isPost(`/api/v1/deployments/${deployment.id}/repeat`));
    await card.locator("[data-go-back]").click();
    const again = await (await answer).json();
    expect(again.interval_ms === deployment.interval_ms, JSON.stringify(again));
    expect(String(again.sensors) === String(deployment.sensors), JSON.stringify(again));
    await page.locator(`[data-deployment="${other.id}"] [data-deployment-state=replaced]`).waitFor();
    await page.waitForFunction(endOfDeployment, again.id, { timeout: DEPLOY_MS_MAX });
  });

  await check("a deep link survives a reload", async () => {
    await page.goto(`${settings.url}/devices/${device}`);
    await page.locator(`[data-device-page="${device}"]`).waitFor();
    await page.reload();
    await page.locator(`[data-device-page="${device}"]`).waitFor();
    await page.locator(`[data-app-card="${deployment.app}"]`).waitFor();
  });

  await check("a chart has its table, and the theme can be chosen", async () => {
    await page.locator("[data-chart=app-memory] summary").click();
    await page.locator("[data-chart=app-memory] tbody tr").first().waitFor();
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    await page.locator("[data-theme-button]").click();
    expect((await theme()) === "light", `the theme is ${await theme()}`);
    await page.locator("[data-theme-button]").click();
    expect((await theme()) === "dark", `the theme is ${await theme()}`);
    await page.reload();
    await page.locator("[data-device-page]").waitFor();
    expect((await theme()) === "dark", "the theme was lost by a reload");
    await page.locator("[data-theme-button]").click();
  });

  for (const colorScheme of ["light", "dark"]) {
    await check(`every page fits its screen, has no barrier and names the demo trust, ${colorScheme}`, async () => {
      await page.emulateMedia({ colorScheme });
      const found = [];
      for (const width of [1440, 768, 320]) {
        await page.setViewportSize({ width, height: 900 });
        for (const address of [...PAGES, `/devices/${device}`]) {
          found.push(...(await visit(page, checks, address, `${colorScheme}-${width}`)));
        }
      }
      await page.setViewportSize({ width: 1440, height: 900 });
      expect(found.length === 0, [...new Set(found)].join("\n"));
    });
  }

  await check("the browser had nothing to complain about", async () => {
    expect(complaints.length === 0, complaints.join("\n"));
  });
}

/** Runs in the page: the devices' states once each has come to an end. */
function endOfDeployment(id) {
  const rows = document.querySelectorAll(`[data-deployment="${id}"] [data-progress-device]`);
  const states = [...rows].map((row) => ({
    device: row.dataset.progressDevice,
    state: row.dataset.progressState,
    why: row.nextElementSibling?.matches(".reason") ? row.nextElementSibling.innerText : "",
  }));
  const ended = ({ state }) => ["running", "refused", "stopped"].includes(state);
  return states.length > 0 && states.every(ended) && states;
}

/** What is wrong with the page at this address. */
async function visit(page, checks, address, picture) {
  await page.goto(settings.url + address);
  await page.locator("[data-page]").waitFor();
  await page.locator("[data-link=live]").waitFor();
  const session = await page.evaluate(async () => (await fetch("/api/v1/session")).json());
  const { threshold, root_key_count, release_key_online } = session.trust;
  if ((threshold === 1 && root_key_count === 1) || release_key_online) {
    const notice = await page.locator("[data-trust-notice]").innerText();
    expect(notice.includes(`root ${threshold} of ${root_key_count}`), notice);
  }
  if (address.startsWith("/devices/")) await page.locator("path[data-series]").first().waitFor({ state: "attached" });
  // What differs between widths is where things stand: the widest has all colours, the
  // narrowest all that is folded.
  const isExamined = picture.endsWith("-1440") || picture === "light-320";
  const found = isExamined ? await barriers(page) : [];
  found.forEach((barrier, index) => (found[index] = `${address} at ${picture}: ${barrier}`));
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (excess > 0) found.push(`${address} is ${excess} px too wide at ${picture}`);
  const name = address.startsWith("/devices/") ? "device" : address.slice(1) || "overview";
  await checks.picture(`${name}-${picture}`);
  return found;
}

async function open(page, name) {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
}

async function upload(page, name, buffer) {
  await page.locator("[data-upload]").setInputFiles({ name, mimeType: "application/wasm", buffer });
}

// As a hand would: the file first hovers, then is let go.
async function drop(page, name, buffer) {
  const dataTransfer = await page.evaluateHandle(
    ([name, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (digit) => digit.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name, { type: "application/wasm" }));
      return transfer;
    },
    [name, buffer.toString("base64")],
  );
  const zone = page.locator("section.drop");
  await zone.dispatchEvent("dragover", { dataTransfer });
  await page.locator("section.drop.dragging").waitFor();
  await zone.dispatchEvent("drop", { dataTransfer });
}

async function fill(dialog, name, value) {
  const input = dialog.locator(`input[name=${name}]`);
  if (value && (await input.count()) > 0) await input.fill(value);
}

function isPost(address) {
  return (answer) => answer.request().method() === "POST" && new URL(answer.url()).pathname === address;
}

if (settings.screenshots) fs.mkdirSync(settings.screenshots, { recursive: true });
const { context, close } = await launch(settings.chromium);
const page = context.pages()[0] ?? (await context.newPage());
const checks = new Checks(page, settings.screenshots);
const overdue = setTimeout(async () => {
  console.log(`FAIL  the whole path took more than ${ALL_MS_MAX / 1000} s`);
  console.log(`${checks.passed} passed, ${checks.failed + 1} failed`);
  await close();
  process.exit(1);
}, ALL_MS_MAX);
try {
  await walk(page, checks, watchComplaints(page));
} finally {
  clearTimeout(overdue);
  await close();
}
console.log(`${checks.passed} passed, ${checks.failed} failed`);
process.exit(checks.failed === 0 ? 0 : 1);
