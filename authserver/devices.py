"""A browser in the words that people use of it, in our words alone: user agents say what they like."""

# Most of them name several, the telling one first here.
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "FxiOS/": "Firefox",
    "Firefox": "Firefox",
    "CriOS/": "Chrome",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}
APPLIANCES = {"iPhone", "iPad"}
# By language: before a system, and before a thing that one holds.
ON = {"en": ("on", "on"), "de": ("unter", "auf"), "fr": ("sous", "sur")}


def device(user_agent: str | None, language: str) -> str:
    """Names the browser, as "Firefox on Linux", or "Firefox" on a system that we do not know; "" for any other."""
    agent = user_agent or ""
    browser = next((name for mark, name in BROWSERS.items() if mark in agent), "")
    system = next((name for mark, name in SYSTEMS.items() if mark in agent), "")
    return f"{browser} {ON[language][system in APPLIANCES]} {system}" if browser and system else browser
