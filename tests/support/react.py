"""React as an application has it, as `scripts/react.sh` has fetched it: modules for a page, and a compiler for JSX."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.installed import ROOT

FOLDER = ROOT / ".venv" / "react"
TYPES = FOLDER / "19" / "node_modules"
EXPORTS = {
    "react": "StrictMode, createElement, useEffect, useState",
    "react/jsx-runtime": "Fragment, jsx, jsxs",
    "react-dom/client": "createRoot",
}
# React is written for the modules of Node. This is as much of them as it needs in a page.
MODULES = """
const factories = {%s};
const made = {};
function load(path) {
  if (!made[path]) {
    const module = (made[path] = { exports: {} });
    const require = (name) => load(resolve(name, path));
    factories[path](module, module.exports, require, { env: { NODE_ENV: "development" } });
  }
  return made[path].exports;
}
function resolve(name, from) {
  const path = name.startsWith("./") ? from.slice(0, from.lastIndexOf("/") + 1) + name.slice(2) : name;
  const found = [path, `${path}.js`, `${path}/index.js`].find((each) => each in factories);
  if (!found) throw new Error(`there is no ${name}`);
  return found;
}
export const required = (name) => load(resolve(name, ""));
"""
TRANSPILE = """
const ts = require("typescript");
const options = { jsx: ts.JsxEmit.ReactJSX, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 };
const code = require("fs").readFileSync(0, "utf8");
process.stdout.write(ts.transpileModule(code, { compilerOptions: options, fileName: "it.tsx" }).outputText);
"""


def fetched(version: str) -> Path:
    """The packages of a version. As root their absence is a failure, since `scripts/react.sh` fetches them."""
    folder = FOLDER / version / "node_modules"
    if folder.exists():
        return folder
    message = f"there is no React {version}: run scripts/react.sh, which needs npm"
    if os.geteuid() == 0:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def modules(version: str) -> dict[str, str]:
    """The modules of a page that uses React, by the names that an application imports them by."""
    packages = fetched(version)
    paths = [
        path
        for package in ("react", "react-dom", "scheduler")
        for path in (packages / package).rglob("*.js")
        if "umd" not in path.parts and "server" not in path.name and "production" not in path.name
    ]
    factories = ",\n".join(
        f"{json.dumps(str(path.relative_to(packages)))}: (module, exports, require, process) => "
        f"{{\n{path.read_text()}\n}}"
        for path in paths
    )
    shims = {
        name: f'import {{ required }} from "react-files";\nconst it = required("{name}");\nexport default it;\n'
        f"export const {{ {names} }} = it;\n"
        for name, names in EXPORTS.items()
    }
    return {"react-files": MODULES.replace("%s", factories), **shims}


def from_jsx(code: str) -> str:
    """A module written in JSX as a browser reads it."""
    fetched("19")
    return _node("node", "-e", TRANSPILE, given=code)


def type_errors(folder: Path) -> str:
    """What a strict compiler has to say of the programs in a folder; nothing where they are right."""
    packages = fetched("19")
    (folder / "node_modules").symlink_to(packages)
    options = ["--noEmit", "--strict", "--jsx", "react-jsx", "--target", "es2022", "--module", "esnext"]
    options += ["--moduleResolution", "bundler", "--esModuleInterop"]
    files = [str(path) for path in (*folder.glob("*.ts"), *folder.glob("*.tsx"))]
    compiler = str(packages / "typescript" / "lib" / "tsc.js")
    return _node("node", compiler, *options, *files, folder=folder, fails=True)


def _node(*command: str, given: str = "", folder: Path | None = None, fails: bool = False) -> str:
    program = shutil.which(command[0])
    assert program is not None, "npm is there, and node is not"
    done = subprocess.run(
        [program, *command[1:]], input=given, cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "NODE_PATH": str(TYPES)},
    )  # fmt: skip
    assert fails or done.returncode == 0, done.stderr
    return done.stdout
