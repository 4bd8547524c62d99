"""Writes what is generated from the types and from the chart's values.

``crds/*.yaml``, their copies in the chart and ``docs/reference/api.md`` come from the types; the chart's README comes
from its ``values.yaml``.

``python hack/generate`` writes; ``python hack/generate --check`` exits with 1 and shows the difference if a file is
stale, missing or no longer generated.
"""

import argparse
import difflib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Run as a folder, Python looks for modules in it, not beside it.
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "operator")]

from generate.files import generated_files, stray_files  # noqa: E402 - after the path that it is found by


def main(arguments: list[str]) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="hack/generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something is stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: the one of this program)")
    options = parser.parse_args(arguments)
    return check(options.root) if options.check else write(options.root)


def write(root: Path) -> int:
    """Write every generated file that differs, take away those that are generated no more."""
    generated = generated_files()
    for path, text in generated.items():
        if _read(root / path) != text:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            print(f"wrote {path}")
    for path in stray_files(root, generated):
        (root / path).unlink()
        print(f"removed {path}")
    return 0


def check(root: Path) -> int:
    """Show what ``write`` would change."""
    generated = generated_files()
    stale = [difference for path, text in generated.items() if (difference := _difference(root, path, text))]
    stray = [f"{path}: no type generates it\n" for path in stray_files(root, generated)]
    if not stale and not stray:
        return 0
    sys.stdout.writelines([*stale, *stray])
    print("\nGenerated files are stale. Run `make generate` and commit what it writes.", file=sys.stderr)
    return 1


def _difference(root: Path, path: str, text: str) -> str:
    old = _read(root / path).splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, text.splitlines(keepends=True), f"{path} (now)", f"{path} (generated)"))


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
