// Runs checks under real MicroPython: node run.mjs <folder of the npm build> < job.json
//
// The job: {"module": a module with CHECKS, ((name, function without arguments), ...),
//           "files": {path inside: its text}}.
// Prints one JSON object a check: {"name", "ok", "cases", "error"}.

import { createCipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const DRIVER = `
import io, json, sys

def run(name, check):
    outcome = {"name": name, "ok": False, "cases": 0, "error": ""}
    try:
        outcome["cases"] = check()
        outcome["ok"] = True
    except Exception as error:
        text = io.StringIO()
        sys.print_exception(error, text)
        outcome["error"] = text.getvalue()
    print(json.dumps(outcome))
`;

// The caller has checked every argument: a throw from here would end the run.
const nodeAes = {
  encrypt(name, key, iv, blocks) {
    const cipher = createCipheriv(name, Buffer.from(key, "hex"), iv ? Buffer.from(iv, "hex") : null);
    cipher.setAutoPadding(false);
    return cipher.update(blocks, "hex", "hex") + cipher.final("hex");
  },
};

function write(fs, path, text) {
  const folders = path.split("/").slice(0, -1);
  for (let depth = 1; depth <= folders.length; depth++) {
    const folder = "/" + folders.slice(0, depth).join("/");
    if (!fs.analyzePath(folder).exists) fs.mkdir(folder);
  }
  fs.writeFile("/" + path, text);
}

async function main() {
  const { module, files } = JSON.parse(readFileSync(0, "utf8"));
  const build = pathToFileURL(process.argv[2] + "/micropython.mjs");
  const { loadMicroPython } = await import(build);
  // A board calls on its C stack; here a call with thousands of arguments needs a larger pystack.
  const micropython = await loadMicroPython({ heapsize: 16 * 1024 * 1024, pystack: 64 * 1024 });
  micropython.registerJsModule("node_aes", nodeAes);
  for (const [path, text] of Object.entries(files)) write(micropython.FS, path, text);
  micropython.runPython(DRIVER + `\nfrom ${module} import CHECKS\ncount = len(CHECKS)\n`);
  const count = micropython.globals.get("count");
  // Each check in a run of its own: memory is collected only between them.
  for (let at = 0; at < count; at++) micropython.runPython(`run(*CHECKS[${at}])`);
}

// The trace of an error would show the whole of the build, which is one line.
main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
