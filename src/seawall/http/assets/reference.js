// Starts the API reference. What it needs is in data attributes, so that the page runs no inline script.
"use strict";

(() => {
  const root = document.documentElement;
  const main = document.getElementById("reference");
  const button = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const stored = "seawall-reference-theme";

  let choice = null;
  try {
    choice = window.localStorage.getItem(stored);
  } catch {
    // Storage is refused: the system's choice holds until somebody clicks.
  }

  function show() {
    const dark = (choice ?? (system.matches ? "dark" : "light")) === "dark";
    root.classList.toggle("dark-mode", dark);
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${dark ? "light" : "dark"} theme`);
  }

  button.addEventListener("click", () => {
    choice = root.classList.contains("dark-mode") ? "light" : "dark";
    try {
      window.localStorage.setItem(stored, choice);
    } catch {
      // As above; the choice holds for this page.
    }
    show();
  });
  system.addEventListener("change", show);
  show();

  window.SwaggerUIBundle({
    url: main.dataset.openapi,
    domNode: main,
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    validatorUrl: null, // by default the document is sent to a validator elsewhere
    queryConfigEnabled: false, // a link must not be able to show another document here
    deepLinking: true,
    displayRequestDuration: true,
    displayOperationId: false,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    filter: true,
    persistAuthorization: false, // credentials are gone with the page
    showExtensions: false,
    tryItOutEnabled: true,
    requestInterceptor(request) {
      // Swagger UI asks for anything until a media type is chosen by hand; a version may stand in it.
      const accept = request.headers?.accept !== undefined ? "accept" : "Accept";
      if (main.dataset.accept && !request.loadSpec && request.headers?.[accept] === "*/*") {
        request.headers[accept] = main.dataset.accept;
      }
      return request;
    },
    syntaxHighlight: { activated: true, theme: "agate" },
  });
})();
