// Changes the theme at once. Without this module the same links reload the page in the theme they name.
export function startTheme() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-theme-choice]");
    if (!link) return;
    event.preventDefault();
    const choice = link.dataset.themeChoice;
    document.documentElement.dataset.theme = choice;
    document.querySelector('meta[name="color-scheme"]')?.setAttribute("content", choice === "system" ? "light dark" : choice);
    document.cookie = `fragua_theme=${choice}; Path=/; Max-Age=31536000; SameSite=Lax`;
    for (const other of document.querySelectorAll("[data-theme-choice]")) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
  });
}
