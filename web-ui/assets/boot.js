// Starts the dashboard. An own file, because the content security policy
// allows no inline script; in the head and not deferred, because the chosen
// theme has to be set before anything is painted.
(() => {
  const { app, wasm } = document.currentScript.dataset;
  try {
    const theme = localStorage.getItem("farrier-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage can be forbidden; then the system's theme holds.
  }
  import(app)
    .then((module) => module.default({ module_or_path: wasm }))
    .then(() => document.getElementById("boot")?.remove())
    .catch((error) => {
      const say = () => {
        const place = document.getElementById("boot");
        if (place) place.textContent = `The dashboard did not start: ${error}. Reload the page, or use the command farrier ps.`;
      };
      if (document.readyState === "loading") addEventListener("DOMContentLoaded", say);
      else say();
      throw error;
    });
})();
