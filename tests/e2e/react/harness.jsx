// Mounts the page's example, which ../test_page_react.py writes beside this file before the build.
import { createRoot } from "react-dom/client";
import { App } from "./example.jsx";

createRoot(document.getElementById("root")).render(<App />);
